"""Which frames of a video FVD looks at, and how they become the network's input. Imports torch.

FVD's reference defines neither; implementations differ, and their values with them. So a preset has
a name, and values of different presets never share a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mmdia_eval.networks.i3d import SIDE
from mmdia_eval.types import Frames


@dataclass(frozen=True)
class Preset:
    """`frames` consecutive frames at each of `places`, shares of the way to the last clip.

    `resize`: "half_pixel" as torch and OpenCV sample, "tf1" as TensorFlow 1 did without half-pixel
    centres. Both squash the whole picture: a centre crop would cut both speakers of a two-shot.
    """

    frames: int
    places: tuple[float, ...]
    resize: Literal["half_pixel", "tf1"]


PRESETS: dict[str, Preset] = {
    # Ours: several clips a video, at places that depend on its length alone.
    "fvd-mmdia-v1": Preset(16, (0.0, 1 / 3, 2 / 3, 1.0), "half_pixel"),
    # Pictures as in google-research/frechet_video_distance; it defines no clips.
    "google-tf1": Preset(16, (0.0,), "tf1"),
    # StyleGAN-V's fvd2048_16f; its clips of real videos begin at random, ours at the start.
    "styleganv-16f": Preset(16, (0.0,), "half_pixel"),
}


def first_frames(frames: int, preset: Preset) -> list[int]:
    """Where each clip begins in a video of that many frames, without doubles, in order.

    Empty for a video shorter than a clip.

    >>> first_frames(100, PRESETS["fvd-mmdia-v1"])
    [0, 28, 56, 84]
    """
    room = frames - preset.frames
    return [] if room < 0 else sorted({round(place * room) for place in preset.places})


def clips(frames: Frames, preset: Preset) -> Tensor:
    """The clips of a video, (n, 3, frames, 224, 224) float32 in [-1, 1]; n is 0 for a short one."""
    starts = first_frames(len(frames), preset)
    wanted = sorted({start + index for start in starts for index in range(preset.frames)})
    place = {frame: index for index, frame in enumerate(wanted)}
    if not wanted:
        return torch.zeros((0, 3, preset.frames, SIDE, SIDE))
    # One by one: a whole video in single precision would take gigabytes, and longer.
    pictures = torch.stack([resized(frames[index], preset.resize) for index in wanted]) / 127.5 - 1
    cut = [pictures[place[start] : place[start] + preset.frames] for start in starts]
    return torch.stack(cut).transpose(1, 2)


def resized(picture: Frames, how: Literal["half_pixel", "tf1"]) -> Tensor:
    """A picture (height, width, 3) as (3, 224, 224) float32, 0 to 255, bilinear, squashed."""
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float()
    if how == "half_pixel":
        size = (SIDE, SIDE)
        return functional.interpolate(pixels[None], size, mode="bilinear", align_corners=False)[0]
    rows, columns = map(_tf1_weights, pixels.shape[1:])
    return torch.einsum("yh,chw,xw->cyx", rows, pixels, columns)


def _tf1_weights(size: int) -> Tensor:
    """(224, size): TensorFlow 1's `resize_bilinear` without aligned corners, along one side.

    Pixel `i` of the output is read at `i * size / 224`, not at the centre of what it covers.
    """
    at = torch.arange(SIDE, dtype=torch.float64) * size / SIDE
    low = at.floor().long()
    high = (low + 1).clamp(max=size - 1)
    share = at - low
    weights = torch.zeros(SIDE, size, dtype=torch.float64)
    weights[torch.arange(SIDE), low] += 1 - share
    weights[torch.arange(SIDE), high] += share
    return weights.float()
