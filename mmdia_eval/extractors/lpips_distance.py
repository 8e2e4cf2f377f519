"""LPIPS of a video's frames to those of its reference."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from mmdia_eval import models
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import PerceptualDistance
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.frame_similarity import (
    TOGETHER,
    FrameSimilaritySettings,
    beside_reference,
    resize,
)
from mmdia_eval.extractors.pictures import OPENCV, TORCH, TORCHMETRICS
from mmdia_eval.extractors.voices import inference
from mmdia_eval.registry import extractor
from mmdia_eval.store import file_sha256
from mmdia_eval.types import FloatArray, Frames, Weights

MODEL = "alexnet"
CHECKPOINT = "alexnet-owt-7be5be79.pth"
HEADS = Weights(
    "torchmetrics/lpips_models/alex.pth",
    "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
)
"""The weights of LPIPS 0.1, the same file as in the authors' repository."""


@extractor("lpips_distance")
class LpipsDistance(Extractor[PerceptualDistance]):
    """Frame `n` beside frame `n`, paired and sized as by `frame_similarity`; a mean over frames.

    AlexNet with torchvision's ImageNet weights, frames at the reference's size, single precision.
    """

    version = "1"
    makes = PerceptualDistance
    device = "gpu"
    cost = 1.0
    requires = (OPENCV, TORCH, TORCHMETRICS)
    reads_frames = True
    reads_reference_frames = True
    reads = ("reference_video",)
    Settings = FrameSimilaritySettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    def weights(self) -> tuple[Weights, ...]:
        return (*super().weights(), HEADS)

    def load(self) -> None:
        from mmdia_eval.networks import lpips  # noqa: PLC0415

        network = lpips.load(models.folder(MODEL) / CHECKPOINT, _heads())
        self._network = network.to(self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[PerceptualDistance]:
        return [self._distance(item) for item in batch]

    def _distance(self, item: Inputs) -> PerceptualDistance:
        from mmdia_eval.networks.lpips import LEAST  # noqa: PLC0415

        found = beside_reference(item, self.settings.most_extra, LEAST, "LPIPS")
        if isinstance(found, str):
            return PerceptualDistance(lpips=0.0, frames=0, resized=False, problem=found)
        frames, reference = found
        parts = [
            self._compared(frames[at : at + TOGETHER], reference[at : at + TOGETHER])
            for at in range(0, len(frames), TOGETHER)
        ]
        return PerceptualDistance(
            lpips=float(np.concatenate(parts).mean()),
            frames=len(frames),
            resized=frames.shape[1:3] != reference.shape[1:3],
        )

    def _compared(self, frames: Frames, reference: Frames) -> FloatArray:
        """The distance of each frame, (n,)."""
        import torch  # noqa: PLC0415

        sized = resize(frames, reference.shape[2], reference.shape[1])
        with inference():
            mine, theirs = (
                torch.from_numpy(np.array(each)).to(self.torch_device).permute(0, 3, 1, 2) / 255
                for each in (sized, reference)
            )
            distances: FloatArray = self._network(mine, theirs).cpu().numpy()
        return distances


def _heads() -> Path:
    """The file inside torchmetrics.

    Raises:
        UserError: it is not there, or is another.
    """
    path = Path(str(files("torchmetrics"))) / "functional/image/lpips_models/alex.pth"
    if not path.is_file() or file_sha256(path) != HEADS.sha256:
        raise UserError(
            f"{path} is not LPIPS 0.1 for AlexNet as this project knows it; run: "
            "pip install --force-reinstall 'torchmetrics>=1.9,<2'"
        )
    return path
