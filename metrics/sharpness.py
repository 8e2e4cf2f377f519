"""How sharp the pictures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, FrameStatistics
from mmdia_eval.counts import ratios
from mmdia_eval.picture_counts import FIELDS, picture_counts, reference_figures, worst_counts
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue


@metric("sharpness")
class Sharpness(Metric):
    """Mean over dialogues of the Laplacian's variance over the luma's. Best near the reference's.

    A blurred video has less, one with noise or blocks more.
    """

    version = "1"
    fields = (*FIELDS, "blockiness", "with_blockiness")
    reference_fields = ("dialogues",)
    unit = "ratio"
    higher_is_better = None
    aggregation = "dialogues"
    needs = (FrameStatistics,)
    reference_needs = (FrameStatistics,)
    companion = "ratio"

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = artifacts[FrameStatistics]
        counts = picture_counts(artifacts, "sharpness", found.sharpness)
        return {**counts, "blockiness": found.blockiness, "with_blockiness": 1.0}

    def worst(self, dialogue: Dialogue) -> Counts:
        """No picture has an edge."""
        return {**worst_counts(0.0), "blockiness": 0.0, "with_blockiness": 0.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["value"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        blocks = ratios(rows, blockiness=("blockiness", "with_blockiness"))
        return {**reference_figures(rows), **blocks}
