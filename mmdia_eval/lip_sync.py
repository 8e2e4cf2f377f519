"""How far lips and sound are apart: SyncNet's distances over offsets, LSE-C and LSE-D.

The measures are those of Chung and Zisserman 2016 as `syncnet_python` computes them, and of Prajwal
et al. 2020 (Wav2Lip), who named them. Arrays only: no network, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.artifacts import LipSyncEmbeddings

Padding = Literal["valid", "legacy"]

WINDOW = 5
"""Frames under one embedding: 0.2 s."""

MAX_OFFSET = 15
"""Frames that the sound is shifted by either way: 0.6 s at 25 frames a second."""

EPSILON = 1e-6
"""Added to each difference, as torch's `pairwise_distance` does."""

Distances = NDArray[np.float64]


@dataclass(frozen=True)
class LipSync:
    """One track against its sound.

    `confidence` (LSE-C) is the median less the minimum of the mean distances over all offsets,
    higher is better; `distance` (LSE-D) that minimum, lower is better; `offset` where it is, in
    frames: positive when the sound comes before the lips. `distance_at_zero` forgives no lag.
    `confidence + distance` is the median distance, near 14.5 for the published weights.
    """

    confidence: float
    distance: float
    offset: int
    distance_at_zero: float
    windows: int


def distances(lips: Any, sound: Any, first: int = 0, most: int = MAX_OFFSET) -> Distances:
    """Distances (windows, 2 * most + 1) of each lip window to the sound around it.

    `lips` (n, d) and `sound` (m, d) are embeddings of one clip, windows one frame apart, the lips'
    from frame `first` on. Row `i`, column `k` compares the lips at frame `first + i` with the sound
    at `first + i + k - most`; it is nan where the clip has none. Lips after the sound's end have no
    row.
    """
    a, b = np.asarray(lips, dtype=np.float64), np.asarray(sound, dtype=np.float64)
    windows = max(0, min(len(a), len(b) - first))
    found = np.full((windows, 2 * most + 1), np.nan)
    for column, shift in enumerate(range(first - most, first + most + 1)):
        start, end = max(0, -shift), min(windows, len(b) - shift)
        if start < end:
            apart = a[start:end] - b[start + shift : end + shift] + EPSILON
            found[start:end, column] = np.linalg.norm(apart, axis=1)
    return found


def zero_padded(found: Distances, lips: Any) -> Distances:
    """The distances with those to a zero vector where the clip has no sound.

    So the reference code has it, which makes its confidence depend on the clip's length: a third of
    the comparisons at the largest offset are with zeros in a track of 50 frames.
    """
    alone = np.linalg.norm(np.asarray(lips, dtype=np.float64)[: len(found)] + EPSILON, axis=1)
    return np.where(np.isnan(found), alone[:, None], found)


def lip_sync(found: Distances) -> LipSync | None:
    """The measures from distances (windows, offsets); nan entries are left out of each mean.

    None where some offset has no entry at all: the track is shorter than the offsets.
    """
    if not len(found) or np.isnan(found).all(axis=0).any():
        return None
    means = np.nanmean(found, axis=0)
    most = len(means) // 2
    best = int(means.argmin())
    return LipSync(
        confidence=float(np.median(means) - means[best]),
        distance=float(means[best]),
        offset=most - best,
        distance_at_zero=float(means[most]),
        windows=len(found),
    )


@dataclass(frozen=True, eq=False)
class LipTrack:
    """Lip embeddings (n, d) of one face, for windows that begin at frame `first` and on.

    `identity` is whose face it is: tracks of one person in several shots share it.
    """

    identity: str
    first: int
    lips: Any


def lip_tracks(found: LipSyncEmbeddings) -> list[LipTrack]:
    """The tracks that are long enough for a window, one face each."""
    rows = [found.tracks == index for index in range(len(found.identities))]
    return [
        LipTrack(identity, int(found.windows[r][0]), found.lips[r])
        for identity, r in zip(found.identities, rows, strict=True)
        if r.any()
    ]


def track_lip_sync(track: LipTrack, sound: Any, padding: Padding) -> LipSync | None:
    """A whole track against its clip's sound, or None where it is too short.

    "valid" compares with all of the clip's sound, from before and after the track too, and leaves
    out what the clip does not have. "legacy" is the reference's: the sound is cut to the track's
    time, beyond it are zeros, and the last window is lost.
    """
    if padding == "valid":
        return lip_sync(distances(track.lips, sound, track.first))
    windows = max(0, min(len(track.lips) - 1, len(sound) - track.first))
    lips = track.lips[:windows]
    heard = sound[track.first : track.first + windows]
    return lip_sync(zero_padded(distances(lips, heard), lips))
