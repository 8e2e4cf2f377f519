"""Who is who: tracks of one person in several shots are found by how the face looks.

No network: a face is described by its colours and a small grey picture of it. That tells the people
of one scene apart in one light; it is no face recognition, and knows nobody across videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.faces import Track
from mmdia_eval.types import FloatArray, Frames

SAME_PERSON = 0.885
"""Least similarity of two faces of one person. In a film scene and in drawn clips, tracks of one
person are 0.90 to 1.00 alike, across framings from 51 to 108 pixels and before other walls; those
of two at most 0.87, but for two women side by side in one light, 0.92, whom being seen at once
keeps apart."""
SAMPLED = 8
"""Frames of a track that are looked at, evenly spread."""
SIDE = 64
"""Pixels to which a face is scaled before its colours are counted."""
BINS = (4, 24, 24)
RANGES = ((0, 256), (96, 192), (96, 192))
SMOOTHED = (0.5, 1.0, 1.0)
"""Of lightness, a* and b* in OpenCV's 8 bits (128 is grey): bins, their range, beyond which is the
last bin, and the Gaussian over them. Few in lightness, so that light matters less than colour;
smoothed, for a small change of colour would else be a change of bin."""
THUMBNAIL = 16
LOOK_SIZE = BINS[0] * BINS[1] * BINS[2] + THUMBNAIL**2
COLOUR_SHARE = 0.9
"""Weight of colours; the rest is the grey picture's, which changes more as the head turns."""


def identities(
    frames: Frames, tracks: Sequence[Track], same_person: float = SAME_PERSON
) -> tuple[str, ...]:
    """Name each track's person by how the faces look, as `link` does."""
    return link(tracks, looks(frames, tracks), same_person)


def looks(frames: Frames, tracks: Sequence[Track]) -> FloatArray:
    """What `look` says of each track, (tracks, 2560) float32."""
    found = [look(frames, track) for track in tracks]
    return np.array(found, dtype=np.float32).reshape(len(tracks), LOOK_SIZE)


def look(frames: Frames, track: Track) -> FloatArray:
    """Describe a track's face: a vector (2560,) float32 of unit length.

    Only what lies in the circle in the face's square counts, without the wall in its corners.
    The product of two is their similarity, at most 1: by `COLOUR_SHARE` the Bhattacharyya
    coefficient of their colour histograms (Swain and Ballard 1991 match objects by those), and for
    the rest the correlation of their 16 x 16 grey pictures, each as a mean over the track.
    """
    picks = np.unique(np.linspace(0, len(track.boxes) - 1, SAMPLED).round().astype(int))
    colours, greys = zip(
        *(_described(frames[track.first + i], track.boxes[i]) for i in picks), strict=True
    )
    return np.concatenate(
        [
            np.sqrt(COLOUR_SHARE) * _unit(np.mean(colours, axis=0)),
            np.sqrt(1 - COLOUR_SHARE) * _unit(np.mean(greys, axis=0)),
        ]
    ).astype(np.float32)


def _described(frame: NDArray[np.uint8], box: FloatArray) -> tuple[Any, Any]:
    import cv2  # noqa: PLC0415
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    side = max(4, round(float(max(box[2] - box[0], box[3] - box[1]))))
    centre = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    face = cv2.getRectSubPix(np.ascontiguousarray(frame), (side, side), centre)
    face = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(face, cv2.COLOR_RGB2LAB)[_circle()].astype(np.float64)
    low, high = np.array(RANGES).T
    counts, _ = np.histogramdd(np.clip(colours, low, high), bins=BINS, range=RANGES)
    shares = gaussian_filter(counts, SMOOTHED, mode="constant").ravel()
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float64)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel()
    return np.sqrt(shares), _unit(small - small.mean())


def _circle() -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    inside: NDArray[np.bool_] = np.hypot(rows, columns) <= SIDE / 2
    return inside


def _unit(vector: Any) -> Any:
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-9 else vector


def link(
    tracks: Sequence[Track], looks: FloatArray, same_person: float = SAME_PERSON
) -> tuple[str, ...]:
    """Name each track's person: "face 1", "face 2" … in the order in which they are first seen.

    The most similar groups of tracks become one, again and again, down to `same_person` (mean
    similarity of their tracks); groups seen at the same time never do. `looks` is (tracks, d).
    """
    groups = [[index] for index in range(len(tracks))]
    alike = np.asarray(looks, dtype=np.float64) @ np.asarray(looks, dtype=np.float64).T
    while True:
        pairs = [
            (float(alike[np.ix_(a, b)].mean()), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups[:i])
            if not any(_together(tracks[x], tracks[y]) for x in a for y in b)
        ]
        best = max(pairs, default=(-1.0, 0, 0))
        if best[0] < same_person:
            break
        groups[best[2]] += groups.pop(best[1])
    groups.sort(key=lambda group: min((tracks[i].first, i) for i in group))
    return tuple(
        next(f"face {number}" for number, group in enumerate(groups, 1) if index in group)
        for index in range(len(tracks))
    )


def _together(a: Track, b: Track) -> bool:
    return a.first <= b.last and b.first <= a.last


def match(
    known: dict[str, FloatArray], seen: dict[str, FloatArray], same_person: float = SAME_PERSON
) -> dict[str, str]:
    """For each of `known` the one of `seen` that it is, by their looks.

    The sum of the pairs' similarities is greatest; those unlike all others are absent.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    if not known or not seen:
        return {}
    alike = np.stack(list(known.values())) @ np.stack(list(seen.values())).T
    rows, columns = linear_sum_assignment(np.where(alike >= same_person, alike, 0), maximize=True)
    return {
        list(known)[row]: list(seen)[column]
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if alike[row, column] >= same_person
    }
