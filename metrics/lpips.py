"""How far the frames look from the reference video's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.counts import ratios
from mmdia_eval.metrics.psnr import comparable, without_reference
from mmdia_eval.registry import metric
from mmdia_eval.types import Artifacts, Dialogue, PerceptualDistance

FARTHEST = 7.74
"""No two pictures are further apart: two directions of one layer's features, none negative, differ
most where each has one feature of its own, and then by the two features' weights; the greatest two
of the five layers sum to 7.734."""


@metric("lpips")
class Lpips(Metric):
    """Perceptual distance to the reference's frames: mean over frames, then over dialogues."""

    version = "1"
    fields = ("lpips", "resized", "scored", "dialogues")
    unit = "LPIPS"
    higher_is_better = False
    aggregation = "dialogues"
    needs = (PerceptualDistance,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return without_reference(dialogue)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = comparable(artifacts[PerceptualDistance])
        return {
            "lpips": found.lpips,
            "resized": float(found.resized),
            "scored": 1.0,
            "dialogues": 1.0,
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """No greater value exists."""
        return {"lpips": FARTHEST, "resized": 0.0, "scored": 0.0, "dialogues": 1.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["lpips"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """`of_scored` is the mean where there was something to compare."""
        found = [row for row in rows if row["scored"]]
        return ratios(rows, scored=("scored", "dialogues"), resized=("resized", "scored")) | ratios(
            found, of_scored=("lpips", "scored")
        )
