"""How far lips and sound are apart: SyncNet's distances over offsets, LSE-C and LSE-D.

The measures are those of Chung and Zisserman 2016 as `syncnet_python` computes them, and of Prajwal
et al. 2020 (Wav2Lip), who named them. Arrays only: no network, no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def distances(lips: Any, sound: Any, most: int = MAX_OFFSET) -> Distances:
    """Distances (windows, 2 * most + 1) of each lip window to the sound around it.

    `lips` and `sound` are (n, d) and (m, d) embeddings of the same clip, windows one frame apart.
    Column `k` compares window `i` with the sound of window `i + k - most`; it is nan where the clip
    has none.
    """
    a, b = np.asarray(lips, dtype=np.float64), np.asarray(sound, dtype=np.float64)
    windows = min(len(a), len(b))
    found = np.full((windows, 2 * most + 1), np.nan)
    for column, shift in enumerate(range(-most, most + 1)):
        first, last = max(0, -shift), min(windows, windows - shift)
        if first < last:
            moved = b[first + shift : last + shift]
            found[first:last, column] = np.linalg.norm(a[first:last] - moved + EPSILON, axis=1)
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
