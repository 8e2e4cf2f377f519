"""Plain figures of a video's pictures: sharpness, blocks, repeated frames, flicker. No network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import FrameStatistics
from mmdia_eval.extractors.pictures import OPENCV, SCENEDETECT, luma, seen_frames
from mmdia_eval.registry import extractor
from mmdia_eval.shots import shots

Luma = NDArray[np.uint8]

BLOCK = 8
"""Pixels of a transform block of JPEG and MPEG, and of the coarser grids of later codecs."""
FROZEN_BLOCK = 16
"""Pixels of the blocks in which motion is looked for: a macroblock of H.264."""
FLAT = 1.0
"""Variance of luma below which a picture is one colour, and shows neither edges nor blocks."""


class FrameStatisticsSettings(api.Settings):
    """A frame repeats the one before when every 16 x 16 block differs by less than `frozen` grey
    levels of 255 on average.

    Codecs move flat blocks of a still picture by one whole level; in two real clips the least
    difference of the most moving block is 1.06 (a dark still audience) and 11.0 (a talking head). A
    still of each encoded by x264 stays below in 99 % of frames at crf 18, and pulses with the key
    frames at 35.
    """

    frozen: float = Field(default=1.05, ge=0.0, le=255.0)


@extractor("frame_statistics")
class FrameStatisticsExtractor(Extractor[FrameStatistics]):
    """Figures of the luma (ITU-R BT.601) at the video's own size.

    Sharpness is the variance of the 3 x 3 Laplacian (Pech-Pacheco et al., ICPR 2000) over that of
    the luma, so that contrast does not count; it depends on the picture's size and content, and
    compares only videos that show the same. Blockiness is the mean step across the borders of 8 x 8
    blocks over the mean of all other steps, as in Wang, Sheikh and Bovik, ICIP 2002, where it is a
    difference. Shots are PySceneDetect's.
    """

    version = "2"
    makes = FrameStatistics
    cost = 0.2
    requires = (OPENCV, SCENEDETECT)
    reads_frames = True
    Settings = FrameStatisticsSettings

    def load(self) -> None:
        """Nothing."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[FrameStatistics]:
        return [self._statistics(item) for item in batch]

    def _statistics(self, item: Inputs) -> FrameStatistics:
        frames = seen_frames(item)
        cuts = shots(frames)
        starts = {first for first, _ in cuts}
        pictures = [luma(frame) for frame in frames]
        means = [float(picture.mean()) for picture in pictures]
        within = [index for index in range(1, len(frames)) if index not in starts]
        repeated = [most_motion(a, b) < self.settings.frozen for a, b in pairwise(pictures)]
        changes = [abs(means[index] - means[index - 1]) for index in within]
        return FrameStatistics(
            frames=len(frames),
            shots=len(cuts),
            sharpness=float(np.mean([sharpness(picture) for picture in pictures])),
            blockiness=float(np.mean([blockiness(picture) for picture in pictures])),
            frozen=float(np.mean(repeated)) if repeated else None,
            flicker=float(np.mean(changes)) if changes else None,
        )


def sharpness(picture: Luma) -> float:
    """Variance of the Laplacian over that of the luma; 0 for one colour."""
    import cv2  # noqa: PLC0415

    variance = float(picture.var())
    edges: Any = cv2.Laplacian(picture, cv2.CV_64F)
    return float(edges.var()) / variance if variance > FLAT else 0.0


def blockiness(picture: Luma) -> float:
    """Mean step across borders of 8 x 8 blocks over the mean of all others; 1 for one colour."""
    grey = picture.astype(np.int16)
    at_borders: list[float] = []
    elsewhere: list[float] = []
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        border = np.arange(1, len(steps) + 1) % BLOCK == 0
        at_borders += steps[border].tolist()
        elsewhere += steps[~border].tolist()
    if not at_borders or not np.mean(elsewhere) or picture.var() <= FLAT:
        return 1.0
    return float(np.mean(at_borders) / np.mean(elsewhere))


def most_motion(a: Luma, b: Luma) -> float:
    """Mean difference of two pictures in that 16 x 16 block where it is greatest, 0 to 255."""
    import cv2  # noqa: PLC0415

    difference = cv2.absdiff(a, b).astype(np.float32)
    size = tuple(max(1, side // FROZEN_BLOCK) for side in difference.shape[::-1])
    blocks: Any = cv2.resize(difference, size, interpolation=cv2.INTER_AREA)
    return float(blocks.max())
