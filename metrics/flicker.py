"""How much the brightness jumps from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, FrameStatistics
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.picture_counts import FIELDS, picture_counts, reference_figures, worst_counts
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue


@metric("flicker")
class Flicker(Metric):
    """Mean change of the luma's mean between neighbouring frames of a shot, in grey levels.

    0 to 255; mean over dialogues.
    """

    version = "1"
    fields = FIELDS
    reference_fields = ("dialogues",)
    unit = "grey levels"
    higher_is_better = False
    aggregation = "dialogues"
    needs = (FrameStatistics,)
    reference_needs = (FrameStatistics,)
    companion = "reference"

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = artifacts[FrameStatistics].flicker
        if found is None:
            raise MissingOutputError("the video has no two frames of one shot")
        return picture_counts(artifacts, "flicker", found)

    def worst(self, dialogue: Dialogue) -> Counts:
        """Black and white in turn."""
        return worst_counts(255.0)

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["value"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return reference_figures(rows)
