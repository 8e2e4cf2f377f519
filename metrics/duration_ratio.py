"""How long the outputs are, measured by their references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, MediaInfo
from mmdia_eval.counts import ratios
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue


def reference_seconds(dialogue: Dialogue) -> float | None:
    """The reference's length in seconds, else the end of its last turn, else None."""
    if dialogue.duration is not None:
        return dialogue.duration
    ends = [turn.segment.end for turn in dialogue.turns if turn.segment is not None]
    return max(ends, default=None)


@metric("duration_ratio")
class DurationRatio(Metric):
    """Output seconds over reference seconds, summed over dialogues. Best near 1."""

    version = "1"
    fields = ("output_seconds", "reference_seconds", "deviation", "dialogues")
    reference_fields = ("reference_seconds", "dialogues")
    unit = "ratio"
    higher_is_better = None
    aggregation = "corpus"
    needs = (MediaInfo,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if not reference_seconds(dialogue):
            return "the reference has neither a duration nor turn times"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        return _counts(dialogue, artifacts[MediaInfo].duration)

    def worst(self, dialogue: Dialogue) -> Counts:
        """Nothing was said: 0 s."""
        return _counts(dialogue, 0.0)

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["output_seconds"] / total["reference_seconds"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return ratios(rows, mean_deviation=("deviation", "dialogues"))


def _counts(dialogue: Dialogue, output: float) -> Counts:
    reference = reference_seconds(dialogue)
    if not reference:
        raise ValueError(f"{dialogue.id}: the reference has no duration")
    return {
        "output_seconds": output,
        "reference_seconds": reference,
        "deviation": abs(output / reference - 1),
        "dialogues": 1.0,
    }
