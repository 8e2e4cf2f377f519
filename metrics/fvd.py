"""FVD: how far all generated videos together are from the real ones, in I3D's features."""

from __future__ import annotations

from mmdia_eval.api import SetMetric
from mmdia_eval.artifacts import Artifacts, VideoFeatures
from mmdia_eval.frechet import frechet_distance
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue, FloatArray


class VideoDistance(SetMetric):
    """A distance between the features of all generated and of all real clips."""

    version = "1"
    higher_is_better = False
    aggregation = "set"
    needs = (VideoFeatures,)
    reference_needs = (VideoFeatures,)
    companion = "floor"

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return None if dialogue.video else "no reference video"

    def features(self, artifacts: Artifacts) -> FloatArray:
        return artifacts[VideoFeatures].features


@metric("fvd")
class Fvd(VideoDistance):
    """Fréchet distance between Gaussians fitted to clips' logits; 0 or more, lower is better.

    Biased upwards by few clips: compare values of one protocol and split only, and read the value
    beside `floor`, what two halves of the real videos are apart.
    """

    unit = "distance"

    def distance(self, outputs: FloatArray, references: FloatArray) -> float:
        return frechet_distance(outputs, references)
