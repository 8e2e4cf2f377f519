"""Predicted speech quality, under the predictor's own name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import model_validator

from mmdia_eval import api
from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, MosPrediction
from mmdia_eval.counts import ratios
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

Score = Literal["ovrl", "p808", "sig", "bak", "utmos"]
PREDICTORS: tuple[tuple[Score, ...], ...] = (("ovrl", "p808", "sig", "bak"), ("utmos",))
"""The scores that each predictor gives: DNSMOS, UTMOS."""

LOWEST, HIGHEST = 1.0, 5.0
"""Ends of the opinion scale (ITU-T P.800)."""


class MosSettings(api.Settings):
    """`score` is the predictor's score that becomes the value, `turn_score` the one of turns."""

    score: Score = "ovrl"
    turn_score: Score = "p808"

    @model_validator(mode="after")
    def _of_one_predictor(self) -> Self:
        if self.turn_score not in self.scores:
            raise ValueError(
                f"score {self.score!r} and turn_score {self.turn_score!r} are of two predictors"
            )
        return self

    @property
    def scores(self) -> tuple[Score, ...]:
        """All that the predictor of `score` gives."""
        return next(scores for scores in PREDICTORS if self.score in scores)


@metric("mos")
class Mos(Metric):
    """Mean over dialogues of one score of a quality predictor, for the whole file, 1 to 5.

    Scores are clipped to the scale: a predictor can leave it, and a file that scored below 1
    would make leaving that file out an improvement.
    """

    version = "1"
    fields = (*PREDICTORS[0], "dialogues", "turn_score", "turns_scored", "turns")
    reference_fields = ("dialogues", "turns")
    unit = "MOS"
    higher_is_better = True
    aggregation = "dialogues"
    needs = (MosPrediction,)
    Settings = MosSettings

    def __init__(self, settings: MosSettings) -> None:
        super().__init__(settings)
        self._scores = settings.scores
        self.fields = (*self._scores, "dialogues", "turn_score", "turns_scored", "turns")

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        prediction = artifacts[MosPrediction]
        if absent := [score for score in self._scores if score not in prediction.scores]:
            raise ValueError(
                f"the predictor gave {', '.join(prediction.scores)} and not {', '.join(absent)}: "
                "the protocol names a score of another extractor"
            )
        turns = [_on_scale(turn.scores[self.settings.turn_score]) for turn in prediction.turns]
        unscored = len(dialogue.turns) - len(turns)
        return {
            **{score: _on_scale(prediction.scores[score]) for score in self._scores},
            "dialogues": 1.0,
            "turn_score": sum(turns) + LOWEST * unscored,
            "turns_scored": float(len(turns)),
            "turns": float(len(dialogue.turns)),
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """The foot of the scale, for the file and for each of its turns."""
        return {
            **dict.fromkeys(self._scores, LOWEST),
            "dialogues": 1.0,
            "turn_score": LOWEST * len(dialogue.turns),
            "turns_scored": 0.0,
            "turns": float(len(dialogue.turns)),
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total[self.settings.score] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        others = [score for score in self._scores if score != self.settings.score]
        return ratios(
            rows,
            **{score: (score, "dialogues") for score in others},
            **{f"turn_{self.settings.turn_score}": ("turn_score", "turns")},
            turns_scored=("turns_scored", "turns"),
        )


def _on_scale(score: float) -> float:
    return min(max(score, LOWEST), HIGHEST)
