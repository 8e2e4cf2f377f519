"""Plugins for tests of Task 3: what frames, sound and the reference's frames an extractor sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmdia_eval import registry
from mmdia_eval.api import Counts, Extractor, Inputs, Metric, SetMetric
from mmdia_eval.artifacts import Artifact, Artifacts, VideoFeatures, VideoInfo
from mmdia_eval.types import Dialogue, FloatArray


@dataclass(frozen=True)
class Seen(Artifact):
    kind: ClassVar[str] = "seen"
    frames: int
    brightness: float
    reference_frames: int
    seconds: float


@registry.extractor("toy_seen")
class SeenExtractor(Extractor[Seen]):
    version = "1"
    makes = Seen
    reads = ("reference_video",)
    reads_frames = True
    reads_reference_frames = True

    def load(self) -> None: ...

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Seen]:
        return [self._one(inputs) for inputs in batch]

    def _one(self, inputs: Inputs) -> Seen:
        assert inputs.frames is not None
        other = 0 if inputs.reference_frames is None else len(inputs.reference_frames)
        return Seen(len(inputs.frames), float(inputs.frames.mean()), other, inputs.audio.duration)


@registry.extractor("toy_brightness")
class Brightness(Extractor[VideoFeatures]):
    version = "1"
    makes = VideoFeatures
    reads_frames = True

    def load(self) -> None: ...

    def extract(self, batch: Sequence[Inputs]) -> Sequence[VideoFeatures]:
        found = []
        for inputs in batch:
            assert inputs.frames is not None
            means = inputs.frames[::10].mean(axis=(1, 2, 3), dtype=np.float64)
            found.append(VideoFeatures(np.stack([means, means**2], axis=1).astype(np.float32)))
        return found


@registry.metric("toy_seen")
class SeenMetric(Metric):
    version = "1"
    fields = ("frames", "reference_frames", "seconds", "errors", "n")
    unit = "frames"
    higher_is_better = None
    aggregation = "mean"
    needs = (Seen, VideoInfo)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        seen = artifacts[Seen]
        return {
            "frames": seen.frames,
            "reference_frames": seen.reference_frames,
            "seconds": seen.seconds,
            "errors": artifacts[VideoInfo].decode_errors,
            "n": 1,
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        return {"frames": 0, "reference_frames": 0, "seconds": 0, "errors": 0, "n": 1}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["frames"] / total["n"]


@registry.metric("toy_distance")
class ToyDistance(SetMetric):
    version = "1"
    unit = "distance"
    higher_is_better = False
    aggregation = "set"
    needs = (VideoFeatures,)
    reference_needs = (VideoFeatures,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return None if dialogue.video else "no reference video"

    def features(self, artifacts: Artifacts) -> FloatArray:
        return artifacts[VideoFeatures].features

    def distance(self, outputs: FloatArray, references: FloatArray) -> float:
        return float(abs(outputs[:, 0].mean() - references[:, 0].mean()))
