"""What a judge gives for one dimension of its rubric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean, median_low
from typing import Any, Literal

from mmdia_eval import api
from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, Verdict
from mmdia_eval.counts import ratios
from mmdia_eval.judges.material import Condition, lacks
from mmdia_eval.judges.rubric import HIGHEST, LOWEST
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

LEVELS = range(LOWEST, HIGHEST + 1)


class JudgeScoreSettings(api.Settings):
    """`dimension` is the one whose scores are averaged, `condition` that of the judge's settings:
    it decides which dialogues can be judged at all.
    """

    dimension: Literal[
        "spontaneity",
        "coherence",
        "intelligibility",
        "similarity",
        "quality",
        "instruction_following",
    ] = "instruction_following"
    condition: Condition = "description"


@metric("judge_score")
class JudgeScore(Metric):
    """Mean over dialogues of the median over a judge's draws, 1 to 5.

    A dialogue's score is a whole number: of an even number of draws the lower median counts.
    """

    version = "1"
    fields = (
        "score",
        "dialogues",
        *(f"at_{level}" for level in LEVELS),
        "spread",
        "repeated",
        "replies",
        "unread",
        "input_tokens",
        "output_tokens",
    )
    reference_fields = ("dialogues",)
    unit = "points"
    higher_is_better = True
    aggregation = "dialogues"
    needs = (Verdict,)
    companion = "share_at_5"
    Settings = JudgeScoreSettings

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return lacks(dialogue, self.settings.condition)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        verdict = artifacts[Verdict]
        given = [self._score(draw.answers) for draw in verdict.readable]
        if not given:
            raise ValueError("the verdict has no draw that could be read")
        pairs = [abs(one - other) for one, other in combinations(given, 2)]
        return {
            **self._at(median_low(given)),
            "spread": fmean(pairs) if pairs else 0.0,
            "repeated": float(bool(pairs)),
            "replies": float(len(verdict.draws)),
            "unread": float(len(verdict.draws) - len(given)),
            "input_tokens": float(sum(draw.input_tokens for draw in verdict.draws)),
            "output_tokens": float(sum(draw.output_tokens for draw in verdict.draws)),
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """The foot of the scale."""
        return {**dict.fromkeys(self.fields, 0.0), **self._at(LOWEST)}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["score"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return {
            **ratios(rows, **{f"share_at_{n}": (f"at_{n}", "dialogues") for n in LEVELS}),
            **ratios(
                rows, draw_spread=("spread", "repeated"), replies_unread=("unread", "replies")
            ),
            "input_tokens": sum(row["input_tokens"] for row in rows),
            "output_tokens": sum(row["output_tokens"] for row in rows),
        }

    def _score(self, answers: Mapping[str, int | str]) -> int:
        score = answers.get(self.settings.dimension)
        if not isinstance(score, int) or score not in LEVELS:
            raise ValueError(f"the verdict has no {self.settings.dimension} from 1 to 5: {score!r}")
        return score

    def _at(self, score: int) -> dict[str, float]:
        levels = {f"at_{level}": float(level == score) for level in LEVELS}
        return {"score": float(score), "dialogues": 1.0, **levels}
