"""How alike the frames' structure is to the reference video's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.counts import ratios
from mmdia_eval.metrics.psnr import comparable, without_reference
from mmdia_eval.registry import metric
from mmdia_eval.types import Artifacts, Dialogue, FrameSimilarity

LOWEST = -1.0


@metric("ssim")
class Ssim(Metric):
    """Structural similarity to the reference's frames: mean over frames, then over dialogues."""

    version = "1"
    fields = ("ssim", "resized", "scored", "dialogues")
    unit = "SSIM"
    higher_is_better = True
    aggregation = "dialogues"
    needs = (FrameSimilarity,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return without_reference(dialogue)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = comparable(artifacts[FrameSimilarity])
        return {
            "ssim": found.ssim,
            "resized": float(found.resized),
            "scored": 1.0,
            "dialogues": 1.0,
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """No smaller value exists."""
        return {"ssim": LOWEST, "resized": 0.0, "scored": 0.0, "dialogues": 1.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["ssim"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return ratios(rows, scored=("scored", "dialogues"), resized=("resized", "scored"))
