"""KVD: FVD's question, without its bias from few clips and its assumption of Gaussians."""

from __future__ import annotations

from mmdia_eval.frechet import kernel_distance
from mmdia_eval.metrics.fvd import VideoDistance
from mmdia_eval.registry import metric
from mmdia_eval.types import FloatArray


@metric("kvd")
class Kvd(VideoDistance):
    """Unbiased kernel distance of clips' logits: around 0 for equal distributions, lower is better.

    Without the bias of few clips that FVD has, and without its assumption of Gaussians.
    """

    unit = "distance"

    def distance(self, outputs: FloatArray, references: FloatArray) -> float:
        return kernel_distance(outputs, references)
