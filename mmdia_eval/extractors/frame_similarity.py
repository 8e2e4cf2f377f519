"""PSNR and SSIM of a video's frames to those of its reference, by torchmetrics.

Z. Wang et al.: Image quality assessment: from error visibility to structural similarity, IEEE
Transactions on Image Processing 2004.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import FrameSimilarity
from mmdia_eval.extractors.pictures import OPENCV, TORCH, TORCHMETRICS, seen_frames
from mmdia_eval.extractors.voices import inference
from mmdia_eval.registry import extractor
from mmdia_eval.types import Frames

MOST_PSNR = 100.0
"""dB of equal frames, whose PSNR has no end: that of a mean squared error of 1e-10."""
WINDOW = 11
SIGMA = 1.5
"""Side and sigma of SSIM's Gaussian window, with K1 = 0.01 and K2 = 0.03 (Wang et al. 2004)."""
TOGETHER = 8
"""Frames that are compared at once."""


class FrameSimilaritySettings(api.Settings):
    """Videos whose numbers of frames differ by more than `most_extra` are not compared."""

    most_extra: int = Field(default=1, ge=0)


@extractor("frame_similarity")
class FrameSimilarityExtractor(Extractor[FrameSimilarity]):
    """Frame `n` beside frame `n`, in RGB on [0, 1]; the figures are means over frames.

    PSNR is that of a frame's mean squared error over all channels, capped at 100 dB; SSIM the mean
    over channels and over the places where the whole window lies in the picture. A video of another
    size is first brought to the reference's, by area where it is larger, else bicubic.
    """

    version = "1"
    makes = FrameSimilarity
    device = "gpu"
    cost = 1.5
    requires = (OPENCV, TORCH, TORCHMETRICS)
    reads_frames = True
    reads_reference_frames = True
    reads = ("reference_video",)
    Settings = FrameSimilaritySettings

    def load(self) -> None:
        """Nothing."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[FrameSimilarity]:
        return [self._similarity(item) for item in batch]

    def _similarity(self, item: Inputs) -> FrameSimilarity:
        found = beside_reference(item, self.settings.most_extra, WINDOW, "SSIM")
        if isinstance(found, str):
            return FrameSimilarity(psnr=0.0, ssim=0.0, frames=0, resized=False, problem=found)
        frames, reference = found
        both = [
            self._compared(frames[at : at + TOGETHER], reference[at : at + TOGETHER])
            for at in range(0, len(frames), TOGETHER)
        ]
        psnr, ssim = (float(np.concatenate(each).mean()) for each in zip(*both, strict=True))
        resized = frames.shape[1:3] != reference.shape[1:3]
        return FrameSimilarity(psnr=psnr, ssim=ssim, frames=len(frames), resized=resized)

    def _compared(self, frames: Frames, reference: Frames) -> tuple[Any, Any]:
        """PSNR and SSIM of each frame, beside as many of the reference."""
        import torch  # noqa: PLC0415
        from torchmetrics.functional.image import (  # noqa: PLC0415
            peak_signal_noise_ratio,
            structural_similarity_index_measure,
        )

        sized = resize(frames, reference.shape[2], reference.shape[1])
        with inference():
            mine, theirs = (
                torch.from_numpy(np.array(each)).to(self.torch_device).permute(0, 3, 1, 2) / 255
                for each in (sized, reference)
            )
            psnr = peak_signal_noise_ratio(
                mine, theirs, data_range=1.0, reduction="none", dim=(1, 2, 3)
            )
            _, everywhere = structural_similarity_index_measure(
                mine,
                theirs,
                sigma=SIGMA,
                kernel_size=WINDOW,
                data_range=1.0,
                reduction="none",
                return_full_image=True,
            )
            # torchmetrics' own mean takes in the border, where the window sees mirrored pixels.
            edge = WINDOW // 2
            ssim = everywhere[..., edge:-edge, edge:-edge].mean(dim=(1, 2, 3))
            return psnr.clamp(0, MOST_PSNR).cpu().numpy(), ssim.cpu().numpy()


def resize(frames: Frames, width: int, height: int) -> Frames:
    """The frames at that size, which may be theirs already."""
    import cv2  # noqa: PLC0415

    if frames.shape[1:3] == (height, width):
        return frames
    larger = frames.shape[1] >= height and frames.shape[2] >= width
    how = cv2.INTER_AREA if larger else cv2.INTER_CUBIC
    return np.stack(
        [cv2.resize(np.ascontiguousarray(f), (width, height), interpolation=how) for f in frames]
    ).astype(np.uint8)


def beside_reference(
    item: Inputs, most_extra: int, least_side: int, who: str
) -> tuple[Frames, Frames] | str:
    """As many frames of the video and of its reference, or why the two cannot be compared.

    `who` needs a reference of `least_side` pixels to a side.

    Raises:
        ValueError: the frames of either were not handed over.
    """
    frames, reference = seen_frames(item), item.reference_frames
    if reference is None and item.dialogue.video is not None:
        raise ValueError(f"{item.path} came without the frames of {item.dialogue.video}")
    if reference is None:
        return "the dialogue has no reference video"
    if abs(len(frames) - len(reference)) > most_extra:
        return f"{len(frames)} frames, and the reference has {len(reference)}"
    height, width = reference.shape[1:3]
    if min(height, width) < least_side:
        return f"the reference is {width}x{height}: {who} needs {least_side} a side"
    count = min(len(frames), len(reference))
    return frames[:count], reference[:count]
