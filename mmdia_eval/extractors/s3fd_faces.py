"""Face tracks from S3FD, the detector that the published LSE numbers were made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mmdia_eval import api, models
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.extractors.pictures import OPENCV, SCENEDETECT, TORCH, seen_frames
from mmdia_eval.extractors.voices import inference
from mmdia_eval.faces import TrackSettings, pack_tracks, track_faces
from mmdia_eval.identities import SAME_PERSON, identities
from mmdia_eval.registry import extractor
from mmdia_eval.shots import shots
from mmdia_eval.types import FloatArray, Frames

MODEL = "s3fd"
CHECKPOINT = "sfd_face.pth"

CPU_PIXELS = 4 * 320 * 180
GPU_PIXELS = 64 * 480 * 270
"""Pixels that pass the network at once: 2 GB of activations in the larger case."""


class S3fdSettings(api.Settings):
    """The reference's are `min_track` and `min_face_size` 100, and `round_trips`.

    Frames are resized by `scale` before detection; a face counts above `confidence`. Tracks: IoU
    above `overlap` from frame to frame, over at most `gap` frames; more than `min_track` frames
    with the face, wider or higher than `min_face_size` pixels; `same_person` is the least
    similarity of two tracks of one person. `round_trips`: the frames pass MPEG-4 and JPEG first.
    """

    scale: float = Field(default=0.25, gt=0, le=4)
    confidence: float = Field(default=0.9, ge=0, lt=1)
    overlap: float = Field(default=0.5, ge=0, lt=1)
    gap: int = Field(default=25, ge=0)
    min_track: int = Field(default=20, ge=0)
    min_face_size: float = Field(default=50.0, ge=0)
    same_person: float = Field(default=SAME_PERSON, gt=0, le=1)
    round_trips: bool = False


@extractor("s3fd_faces")
class S3fdFaces(Extractor[FaceTracks]):
    """Faces found in every frame and linked inside each shot.

    `min_track` is 20 (0.8 s), not the reference's 100: of shots whose lengths are as a film's, 100
    keeps 55 % of screen time, 50 keeps 90 % and 20 all (log-normal, median 3 s, sigma 0.6), and a
    dialogue's turns are short. `min_face_size` is 50, not 100: a two-shot shows smaller faces than
    a portrait, and below about 64 pixels the detector's smallest anchor finds none at this scale.
    """

    version = "2"
    makes = FaceTracks
    device = "gpu"
    reads_frames = True
    cost = 20.0
    requires = (TORCH, OPENCV, SCENEDETECT)
    Settings: ClassVar[type[api.Settings]] = S3fdSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    def identity(self) -> Mapping[str, Any]:
        return encoders(self.settings.round_trips)

    def load(self) -> None:
        from mmdia_eval.networks import s3fd  # noqa: PLC0415

        self._network = s3fd.load(models.folder(MODEL) / CHECKPOINT).to(self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[FaceTracks]:
        return [self._tracks(seen_frames(item)) for item in batch]

    def _tracks(self, frames: Frames) -> FaceTracks:
        chosen = self.settings
        if chosen.round_trips:
            from mmdia_eval.round_trips import recoded  # noqa: PLC0415

            frames = recoded(frames)
        limits = TrackSettings(chosen.overlap, chosen.gap, chosen.min_track, chosen.min_face_size)
        cuts = shots(frames)
        tracks = track_faces(self.detect(frames), cuts, limits)
        return pack_tracks(tracks, identities(frames, tracks, chosen.same_person), cuts)

    def detect(self, frames: Frames) -> list[FloatArray]:
        """The faces of each frame, (n, 5) float32: x1, y1, x2, y2 in pixels, and score."""
        import torch  # noqa: PLC0415

        from mmdia_eval.networks import s3fd  # noqa: PLC0415

        size = (frames.shape[2], frames.shape[1])
        found: list[FloatArray] = []
        for part in self._parts(frames):
            pictures = torch.from_numpy(part).to(self.torch_device).permute(0, 3, 1, 2)
            with inference():
                found += s3fd.detect(self._network, pictures, size, self.settings.confidence)
        return found

    def _parts(self, frames: Frames) -> Iterator[Frames]:
        """The frames resized, as many as pass the network at once."""
        import cv2  # noqa: PLC0415

        scale = self.settings.scale
        pixels = frames.shape[1] * frames.shape[2] * scale**2
        limit = CPU_PIXELS if self.torch_device == "cpu" else GPU_PIXELS
        step = max(1, int(limit / pixels))
        for first in range(0, len(frames), step):
            yield np.stack(
                [
                    cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
                    for frame in frames[first : first + step]
                ]
            )


def encoders(round_trips: bool) -> Mapping[str, Any]:
    """What the encoders add to an extractor's identity."""
    if not round_trips:
        return {}
    from mmdia_eval.round_trips import versions  # noqa: PLC0415

    return {"encoders": versions()}
