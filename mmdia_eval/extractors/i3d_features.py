"""Features of a video's clips by I3D, for FVD."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mmdia_eval import api, models
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import VideoFeatures
from mmdia_eval.extractors.pictures import TORCH, seen_frames
from mmdia_eval.registry import extractor
from mmdia_eval.types import FloatArray

BATCH_NORM_EPSILON = 1e-5
"""Of DeepMind's TF-Hub module and its conversions; another network of equal names has 1e-3."""

_FILES = {"i3d-torchscript": "i3d_torchscript.pt", "i3d-kinetics-400": "i3d_pretrained_400.pt"}


class I3dSettings(api.Settings):
    """`preset` says which clips, see `mmdia_eval.clips`; `model` the weights' id in the manifest.

    `clips_at_once` bounds the memory: clips of a video that pass through the network together.
    """

    preset: Literal["fvd-mmdia-v1", "google-tf1", "styleganv-16f"] = "fvd-mmdia-v1"
    model: Literal["i3d-torchscript", "i3d-kinetics-400"] = "i3d-torchscript"
    clips_at_once: int = 4


@extractor("i3d_features")
class I3dFeatures(Extractor[VideoFeatures]):
    """Logits of 400 Kinetics classes for each clip, averaged over time, before the softmax.

    In single precision: nothing published says what less costs. A video shorter than a clip
    has no features.
    """

    version = "1"
    makes = VideoFeatures
    device = "gpu"
    reads_frames: ClassVar[bool] = True
    requires = (TORCH,)
    cost = 0.5
    Settings = I3dSettings

    def models(self) -> tuple[str, ...]:
        return (self.settings.model,)

    def load(self) -> None:
        name = self.settings.model
        self._network = _loaded(models.folder(name) / _FILES[name], name).to(self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[VideoFeatures]:
        return [VideoFeatures(self._features(inputs)) for inputs in batch]

    def _features(self, inputs: Inputs) -> FloatArray:
        import torch  # noqa: PLC0415

        from mmdia_eval.clips import PRESETS, clips  # noqa: PLC0415
        from mmdia_eval.networks.i3d import CLASSES  # noqa: PLC0415

        cut = clips(seen_frames(inputs), PRESETS[self.settings.preset])
        if not len(cut):
            return np.zeros((0, CLASSES), dtype=np.float32)
        with torch.inference_mode():
            parts = torch.split(cut, self.settings.clips_at_once)
            found = [self._network(part.to(self.torch_device)).cpu() for part in parts]
        features: FloatArray = torch.cat(found).numpy()
        return features


def _loaded(path: Path, name: str) -> Any:
    import torch  # noqa: PLC0415

    from mmdia_eval.networks.checkpoint import load_exactly, read_checkpoint  # noqa: PLC0415
    from mmdia_eval.networks.i3d import I3D  # noqa: PLC0415

    if name == "i3d-torchscript":
        return _Scripted(torch.jit.load(path, map_location="cpu").eval())  # type: ignore[no-untyped-call]
    network = I3D(epsilon=BATCH_NORM_EPSILON)
    tensors = read_checkpoint(path)
    # The published file leaves out how many batches training saw, which changes nothing.
    counters = {key: value for key, value in network.state_dict().items() if "num_batches" in key}
    load_exactly(network, {**counters, **tensors}, str, path)
    return network.eval()


class _Scripted:
    """The TorchScript archive, told that sizes and values are right already."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def to(self, device: str) -> _Scripted:
        self._module.to(device)
        return self

    def __call__(self, clips: Any) -> Any:
        return self._module(clips, rescale=False, resize=False, return_features=True)
