"""How far each face's mouth is open, frame by frame, without a network.

The inside of an open mouth is dark. C. Chandrasekaran et al. (The natural statistics of audiovisual
speech, PLoS Computational Biology 2009) found the area of the mouth's opening to follow the sound's
envelope, both moving at 2 to 7 Hz, the mouth leading.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import FaceTracks, MouthMotion
from mmdia_eval.extractors.pictures import OPENCV, seen_frames
from mmdia_eval.faces import Track, unpack_tracks
from mmdia_eval.identities import looks
from mmdia_eval.registry import extractor
from mmdia_eval.types import Audio, FloatArray, Frames

FRAME_RATE = 25
MOUTH = (0.25, 0.62, 0.75, 1.0)
"""Left, top, right and bottom of the mouth's region, in sides of the face's square."""
PATCH = (48, 36)
"""Width and height in pixels to which that region is scaled."""
SMOOTHED_OVER = 13
"""Frames of the median over a box's place and size: else the detector's trembling is motion."""
GREEN = 1
"""The channel in which both lips and the cavity are darkest beside skin."""


class MouthSettings(api.Settings):
    """A pixel is dark below `dark` times the region's median.

    In a real talking head, `openings` and the sound's envelope, filtered as `av_sync` does,
    correlate by 0.52 at their best lag with 0.5, by 0.51 with 0.4, 0.41 with 0.6 and 0.24 with 0.7;
    at lags of 0.2 s and more from there by at most 0.23 with 0.5.
    """

    dark: float = Field(default=0.5, gt=0.0, lt=1.0)


@extractor("mouth_motion")
class MouthMotionExtractor(Extractor[MouthMotion]):
    """The share of dark pixels where the mouth is, for each track and frame, and the loudness.

    The region is measured by its own median, so that light and skin matter little; a beard, a
    shadow or a microphone adds a constant as long as it stays. `cost` is without detection.
    """

    version = "1"
    makes = MouthMotion
    needs = (FaceTracks,)
    cost = 0.03
    requires = (OPENCV,)
    reads_frames = True
    Settings = MouthSettings

    def load(self) -> None:
        """Nothing."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[MouthMotion]:
        return [self._motion(item) for item in batch]

    def _motion(self, item: Inputs) -> MouthMotion:
        frames = seen_frames(item)
        found = item.artifacts[FaceTracks]
        tracks = unpack_tracks(found)
        openings = [self._openings(frames, track) for track in tracks]
        return MouthMotion(
            openings=np.concatenate([np.empty(0, np.float32), *openings]),
            tracks=found.tracks,
            frames=found.frames,
            looks=looks(frames, tracks),
            envelope=envelope(item.audio, len(frames)),
            identities=found.identities,
        )

    def _openings(self, frames: Frames, track: Track) -> FloatArray:
        patches = mouths(frames, track)[..., GREEN].reshape(len(track.boxes), -1)
        skin = np.median(patches, axis=1, keepdims=True)
        found: FloatArray = np.mean(patches < self.settings.dark * skin, axis=1, dtype=np.float32)
        return found


def mouths(frames: Frames, track: Track) -> Frames:
    """The mouth's region in each of a track's frames, (n, 36, 48, 3).

    The face's square has the longer side of its box and the same centre; both are steadied by a
    median over `SMOOTHED_OVER` frames, and the place is taken between pixels.
    """
    import cv2  # noqa: PLC0415
    from scipy.ndimage import median_filter  # noqa: PLC0415

    sides = track.boxes[:, 2:] - track.boxes[:, :2]
    squares = np.column_stack([(track.boxes[:, :2] + track.boxes[:, 2:]) / 2, sides.max(axis=1)])
    steady = median_filter(squares, size=(SMOOTHED_OVER, 1), mode="nearest")
    left, top, right, bottom = MOUTH
    patches = np.empty((len(steady), PATCH[1], PATCH[0], 3), dtype=np.uint8)
    for index, (x, y, side) in enumerate(steady.tolist()):
        size = max(4, round(side * (right - left))), max(4, round(side * (bottom - top)))
        centre = x + side * ((left + right) / 2 - 0.5), y + side * ((top + bottom) / 2 - 0.5)
        frame = np.ascontiguousarray(frames[track.first + index])
        region = cv2.getRectSubPix(frame, size, centre)
        patches[index] = cv2.resize(region, PATCH, interpolation=cv2.INTER_AREA)
    return patches


def envelope(audio: Audio, frames: int) -> FloatArray:
    """RMS of the sound while each frame is shown, (frames,); 0 after the sound's end."""
    step = audio.sample_rate // FRAME_RATE
    heard = np.zeros(frames * step, dtype=np.float64)
    samples = audio.samples[: len(heard)]
    heard[: len(samples)] = samples
    power = np.square(heard).reshape(frames, step).mean(axis=1)
    found: FloatArray = np.sqrt(power).astype(np.float32)
    return found
