"""How much of the video stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, FrameStatistics
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.picture_counts import FIELDS, picture_counts, reference_figures, worst_counts
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue


@metric("frozen_share")
class FrozenShare(Metric):
    """Share of frames, from the second, that repeat the one before; mean over dialogues, 0 to 1."""

    version = "1"
    fields = FIELDS
    reference_fields = ("dialogues",)
    unit = "share"
    higher_is_better = False
    aggregation = "dialogues"
    needs = (FrameStatistics,)
    reference_needs = (FrameStatistics,)
    companion = "reference"

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = artifacts[FrameStatistics].frozen
        if found is None:
            raise MissingOutputError("the video is a single frame")
        return picture_counts(artifacts, "frozen", found)

    def worst(self, dialogue: Dialogue) -> Counts:
        """Nothing ever moves."""
        return worst_counts(1.0)

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["value"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return reference_figures(rows)
