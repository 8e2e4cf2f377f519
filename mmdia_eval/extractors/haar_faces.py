"""Faces by the Haar cascade that comes with OpenCV: no download, frontal faces only.

P. Viola, M. Jones: Rapid object detection using a boosted cascade of simple features, CVPR 2001.
The cascade `frontalface_alt2` is R. Lienhart's, trained with gentle AdaBoost on trees
(Lienhart, Kuranov, Pisarevsky, DAGM 2003). OpenCV 5 ships no cascades.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.pictures import OPENCV, SCENEDETECT, luma, seen_frames
from mmdia_eval.faces import TrackSettings, overlap, pack_tracks, suppress, track_faces
from mmdia_eval.identities import SAME_PERSON, identities
from mmdia_eval.registry import extractor
from mmdia_eval.shots import shots
from mmdia_eval.store import file_sha256
from mmdia_eval.types import FloatArray, Frames, Weights

CASCADE = "haarcascade_frontalface_alt2.xml"
WEIGHTS = Weights(
    f"opencv-python-headless/{CASCADE}",
    "7b0c967d9abbdfbde025eb9c786947d151b6426040d07a8f9562ed8fd90724b4",
)
DOUBLES = 0.3
"""IoU above which two boxes of a frame are one face, as S3FD has it (syncnet_python)."""
NEARLY = 1.5
"""How many times larger or smaller than a moment ago a face is looked for: two steps of 1.2 either
way, for the neighbours that must agree lie on both sides."""
NOTHING: FloatArray = np.empty((0, 5), dtype=np.float32)


class HaarSettings(api.Settings):
    """How faces are searched, and which tracks are kept.

    The first frame of a shot and every `every`-th from there are searched all over, the others near
    the faces of the `gap` frames before. A frame is searched with its longer side at most
    `longest_side` pixels; each step grows the face by `scale_factor`, `neighbours` hits must agree,
    and `least_face` is the smallest face, as a share of the picture's shorter side (OpenCV's
    `scaleFactor` and `minNeighbors` at their defaults). Tracks are linked by an IoU above `overlap`
    over gaps of up to `gap` frames; kept are those whose face was found in more than `min_track`
    frames and in a share of `least_detected` of the track's, for false faces come and go.
    `same_person` is the least similarity of two tracks of one person.
    """

    every: int = Field(default=5, ge=1)
    longest_side: int = Field(default=480, ge=64)
    scale_factor: float = Field(default=1.1, gt=1.0, le=2.0)
    neighbours: int = Field(default=3, ge=1)
    least_face: float = Field(default=0.1, gt=0.0, le=1.0)
    overlap: float = Field(default=0.5, gt=0.0, lt=1.0)
    gap: int = Field(default=25, ge=1)
    min_track: int = Field(default=20, ge=0)
    least_detected: float = Field(default=0.5, ge=0.0, le=1.0)
    same_person: float = Field(default=SAME_PERSON, gt=0.0, le=1.0)


@extractor("haar_faces")
class HaarFaces(Extractor[FaceTracks]):
    """Tracks of frontal faces; a box is about as wide as the face and reaches from brow to chin.

    Scores are the weights of the cascade's last stage: more is surer, with no fixed scale. Tracks
    cover 154 of 251 frames of a stage with turned heads; of a talking head's 200, all.
    """

    version = "3"
    makes = FaceTracks
    cost = 0.2
    requires = (OPENCV, SCENEDETECT)
    reads_frames = True
    Settings = HaarSettings

    def weights(self) -> tuple[Weights, ...]:
        return (WEIGHTS,)

    def load(self) -> None:
        self._cascade = _cascade()

    def extract(self, batch: Sequence[Inputs]) -> Sequence[FaceTracks]:
        return [self._tracks(seen_frames(item)) for item in batch]

    def _tracks(self, frames: Frames) -> FaceTracks:
        settings = self.settings
        limits = TrackSettings(
            overlap=settings.overlap,
            gap=settings.gap,
            min_track=settings.min_track,
            min_face=settings.least_face * min(frames.shape[1:3]),
        )
        cuts = shots(frames)
        faces = [each for first, end in cuts for each in self._faces(frames[first:end])]
        found = track_faces(faces, cuts, limits)
        kept = [track for track in found if np.mean(track.scores != 0) >= settings.least_detected]
        return pack_tracks(kept, identities(frames, kept, settings.same_person), cuts)

    def _faces(self, shot: Frames) -> list[FloatArray]:
        """The faces of each frame of a shot."""
        found: list[FloatArray] = []
        known, unseen = NOTHING, np.empty(0, dtype=int)
        for number, frame in enumerate(shot):
            faces = self.detect(frame, known if number % self.settings.every else None)
            found.append(faces)
            lost = overlap(known, faces).max(axis=1, initial=0) <= DOUBLES
            lost &= unseen < self.settings.gap
            known = np.concatenate([faces, known[lost]])
            unseen = np.concatenate([np.zeros(len(faces), dtype=int), unseen[lost] + 1])
        return found

    def detect(self, frame: Any, known: FloatArray | None = None) -> FloatArray:
        """Faces of one frame: (n, 5) box and score, in the frame's pixels.

        With `known` faces (m, 5) it is searched near them alone, for faces of about their size.
        """
        import cv2  # noqa: PLC0415

        if known is not None and not len(known):
            return NOTHING
        grey: Any = luma(frame)
        shrunk = min(1.0, self.settings.longest_side / max(grey.shape))
        if shrunk < 1:
            grey = cv2.resize(grey, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
        least = max(1, round(self.settings.least_face * min(grey.shape)))
        if known is None:
            faces = self._search(grey, least)
        else:
            near = [self._search_near(grey, least, box) for box in known[:, :4] * shrunk]
            faces = np.concatenate(near)
        scale = np.array([shrunk] * 4 + [1], dtype=np.float32)
        return suppress(faces / scale, DOUBLES)

    def _search_near(self, grey: Any, least: int, box: FloatArray) -> FloatArray:
        """The faces (n, 5) that lie within a quarter of a side of `box` and are about as large."""
        side = float((box[2:] - box[:2]).max())
        left, top = (max(0, round(float(low) - side / 4)) for low in box[:2])
        right, bottom = (round(float(high) + side / 4) for high in box[2:])
        part = np.ascontiguousarray(grey[top:bottom, left:right])
        faces = self._search(part, max(least, round(side / NEARLY)), round(side * NEARLY))
        return faces + np.array([left, top, left, top, 0], dtype=np.float32)

    def _search(self, grey: Any, least: int, most: int = 0) -> FloatArray:
        """The faces (n, 5) of a grey picture, `least` to `most` pixels wide; 0 is no bound."""
        boxes, _, scores = self._cascade.detectMultiScale3(
            grey,
            self.settings.scale_factor,
            self.settings.neighbours,
            minSize=(least, least),
            maxSize=(most, most),
            outputRejectLevels=True,
        )
        if not len(boxes):
            return NOTHING
        corners = np.asarray(boxes, dtype=np.float32)
        corners[:, 2:] += corners[:, :2]
        return np.column_stack([corners, np.ravel(scores)]).astype(np.float32)


def _cascade() -> Any:
    import cv2  # noqa: PLC0415
    from cv2 import data  # noqa: PLC0415

    path = Path(data.haarcascades) / CASCADE
    if not path.is_file():
        raise UserError(
            f"OpenCV {cv2.__version__} brings no {CASCADE}; run: "
            "pip install 'opencv-python-headless>=4.14,<5'"
        )
    if file_sha256(path) != WEIGHTS.sha256:
        raise UserError(
            f"{path} is not the cascade that this project knows; run: "
            "pip install --force-reinstall 'opencv-python-headless>=4.14,<5'"
        )
    cv2.setNumThreads(1)
    return cv2.CascadeClassifier(str(path))
