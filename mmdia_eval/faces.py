"""Faces over time: suppression of double boxes, tracks, and the crops that SyncNet looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.types import FloatArray, Frames

SMOOTHED_OVER = 13
"""Frames of the median filter over a track's box before cropping (syncnet_python, run_pipeline)."""
CROP_SCALE = 0.4
"""How far the crop goes beyond the box, below and to the sides, in halves of the box's side."""
OUTSIDE = 110
"""Grey of what a crop has beyond the picture."""


@dataclass(frozen=True)
class TrackSettings:
    """`overlap` in IoU; `gap` in frames without the face.

    A track is kept whose face was found in more than `min_track` frames, and whose mean width or
    mean height is more than `min_face` pixels (syncnet_python, run_pipeline: 100 each).
    """

    overlap: float = 0.5
    gap: int = 25
    min_track: int = 20
    min_face: float = 50.0


@dataclass(frozen=True)
class Track:
    """One face through consecutive frames of one shot.

    `boxes` is (n, 4) float32, x1, y1, x2, y2 in pixels, for frames `first` to `first + n - 1`;
    `scores` (n,) the detector's, 0 where the box is interpolated.
    """

    first: int
    boxes: FloatArray
    scores: FloatArray

    @property
    def last(self) -> int:
        return self.first + len(self.boxes) - 1


def overlap(a: FloatArray, b: FloatArray) -> FloatArray:
    """IoU of each box of `a` (n, 4+) with each of `b` (m, 4+): (n, m) in [0, 1]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(np.clip(each[:, 2:4] - each[:, :2], 0, None), axis=1) for each in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - common
    found: FloatArray = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return found


def suppress(faces: FloatArray, most: float) -> FloatArray:
    """Those of `faces` (n, 5: box and score) that overlap no better one by an IoU above `most`."""
    order = faces[np.argsort(-faces[:, 4], kind="stable")]
    doubles = overlap(order, order) > most
    kept = np.ones(len(order), dtype=bool)
    for index in range(len(order)):
        kept[index] = not (doubles[index, :index] & kept[:index]).any()
    return order[kept]


@dataclass
class _Open:
    """A track that may still go on."""

    frames: list[int] = field(default_factory=list)
    faces: list[FloatArray] = field(default_factory=list)


def track_faces(
    faces: Sequence[FloatArray],
    shots: Sequence[tuple[int, int]],
    settings: TrackSettings | None = None,
) -> list[Track]:
    """Link the faces of each frame, (n, 5) box and score, into tracks that end with their shot.

    `shots` are first frame and first frame after. In each frame, faces and tracks are matched so
    that the sum of overlaps is greatest; their order in the frame plays no part, so two faces keep
    apart when the detector lists them the other way round. Gaps are filled by straight lines.
    """
    settings = settings or TrackSettings()
    found = [track for shot in shots for track in _of_shot(faces, shot, settings)]
    kept = [track for track in found if _large(track, settings)]
    return sorted(kept, key=lambda track: (track.first, *track.boxes[0]))


def pack_tracks(
    tracks: Sequence[Track], identities: Sequence[str], shots: Sequence[tuple[int, int]]
) -> FaceTracks:
    """The artifact of tracks, with whose face each is."""
    lengths = [len(track.boxes) for track in tracks]
    frames = [np.arange(track.first, track.last + 1) for track in tracks]
    return FaceTracks(
        boxes=np.concatenate([np.empty((0, 4)), *(t.boxes for t in tracks)]).astype(np.float32),
        scores=np.concatenate([np.empty(0), *(t.scores for t in tracks)]).astype(np.float32),
        frames=np.concatenate([np.empty(0), *frames]).astype(np.float32),
        tracks=np.repeat(np.arange(len(tracks)), lengths).astype(np.float32),
        identities=tuple(identities),
        shots=tuple(shots),
    )


def unpack_tracks(found: FaceTracks) -> list[Track]:
    """The tracks of an artifact, in the order of its `identities`."""
    rows = [found.tracks == index for index in range(len(found.identities))]
    return [Track(int(found.frames[r][0]), found.boxes[r], found.scores[r]) for r in rows]


def _of_shot(
    faces: Sequence[FloatArray], shot: tuple[int, int], settings: TrackSettings
) -> list[Track]:
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    tracks: list[_Open] = []
    for frame in range(*shot):
        here = faces[frame]
        going = [track for track in tracks if frame - track.frames[-1] <= settings.gap]
        taken: set[int] = set()
        if going and len(here):
            shared = overlap(np.stack([track.faces[-1] for track in going]), here)
            rows, columns = linear_sum_assignment(
                np.where(shared > settings.overlap, shared, 0), maximize=True
            )
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                if shared[row, column] > settings.overlap:
                    going[row].frames.append(frame)
                    going[row].faces.append(here[column])
                    taken.add(column)
        tracks += [_Open([frame], [face]) for index, face in enumerate(here) if index not in taken]
    return [
        filled(track.frames, np.stack(track.faces))
        for track in tracks
        if len(track.frames) > settings.min_track
    ]


def filled(frames: Sequence[int], faces: FloatArray) -> Track:
    """The track of faces (n, 5), box and score, in those frames; gaps become straight lines."""
    seen = np.array(frames)
    every = np.arange(seen[0], seen[-1] + 1)
    boxes = [np.interp(every, seen, faces[:, side]) for side in range(4)]
    scores = np.zeros(len(every), dtype=np.float32)
    scores[seen - seen[0]] = faces[:, 4]
    return Track(int(seen[0]), np.stack(boxes, axis=1).astype(np.float32), scores)


def _large(track: Track, settings: TrackSettings) -> bool:
    sides = (track.boxes[:, 2:] - track.boxes[:, :2]).mean(axis=0)
    return float(sides.max()) > settings.min_face


def crop_geometry(boxes: FloatArray) -> FloatArray:
    """Centre x, centre y and half side of each frame's crop, (n, 3), after a median over time.

    Beyond both ends the median sees zeros, as the reference's does. In a track that is shorter than
    the filter they would be the majority, so there the filter is as long as the track.
    """
    from scipy.signal import medfilt  # noqa: PLC0415

    window = min(SMOOTHED_OVER, len(boxes) - (len(boxes) + 1) % 2)
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    smooth = [medfilt(each, window) for each in (centre[:, 0], centre[:, 1], half)]
    found: FloatArray = np.stack(smooth, axis=1).astype(np.float32)
    return found


def crop_faces(frames: Frames, track: Track, side: int) -> Frames:
    """The track's face in each of its frames, (n, side, side, 3), as syncnet_python cuts it.

    From half a side above the centre to 1.8 below, and 1.4 to either side: mouth and chin are in.
    """
    import cv2  # noqa: PLC0415

    geometry = crop_geometry(track.boxes)
    crops = np.empty((len(geometry), side, side, 3), dtype=np.uint8)
    for index, (x, y, half) in enumerate(geometry.tolist()):
        # The reference rounds down after adding a border, so that negative places round down too.
        border = int(half * (1 + 2 * CROP_SCALE))
        rows = _span(y + border - half, y + border + half * (1 + 2 * CROP_SCALE), border)
        beside = half * (1 + CROP_SCALE)
        columns = _span(x + border - beside, x + border + beside, border)
        crops[index] = cv2.resize(_cut(frames[track.first + index], rows, columns), (side, side))
    return crops


def _span(low: float, high: float, border: int) -> tuple[int, int]:
    """First pixel and first after, of a picture that has `border` pixels more before it."""
    return int(low) - border, max(int(high), int(low) + 1) - border


def _cut(picture: Frames, rows: tuple[int, int], columns: tuple[int, int]) -> Frames:
    """That part of a picture, grey where it reaches beyond."""
    height, width = picture.shape[:2]
    part = np.full((rows[1] - rows[0], columns[1] - columns[0], 3), OUTSIDE, dtype=np.uint8)
    top, bottom = (min(max(each, 0), height) for each in rows)
    left, right = (min(max(each, 0), width) for each in columns)
    part[top - rows[0] : bottom - rows[0], left - columns[0] : right - columns[0]] = picture[
        top:bottom, left:right
    ]
    return part
