"""Whether mouths open with the sound, speaker by speaker: correlation over lags.

As in `speaker_lip_sync`, each speaker is scored in his own speech, on his own face. Arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.speaker_lip_sync import SHORTEST, Speech, alone
from mmdia_eval.types import FRAME_RATE

MAX_LAG = 15
"""Frames that the sound is moved by either way: 0.6 s, as for SyncNet."""
LAGS = range(-MAX_LAG, MAX_LAG + 1)
FEWEST = int(SHORTEST * FRAME_RATE)
"""Frames of a speaker's speech in which his face must be seen."""
FAST, SLOW = 1.0, FRAME_RATE
"""Mouths and sound pass a Gaussian of this sigma, and lose their mean over so many frames: what is
left moves at about 1 to 7 Hz, where Chandrasekaran et al. 2009 found them to go together. A turn of
the head is slower, noise faster."""
STILL = 1e-6
"""Standard deviation below which nothing moves, and the correlation is 0 by definition."""
CLEAR = 0.1
"""By how much a face must correlate better than all others in sight to be a speaker's for sure."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mouth:
    """Openings (n,) of a mouth in frames `first` and on; `identity` is whose it is."""

    identity: str
    first: int
    openings: Any


@dataclass(frozen=True)
class MouthSync:
    """One clip. Correlations are in [-1, 1], means over speakers weighted by seconds scored.

    `correlation` without any lag, `best` at `lag`, which is in frames and positive when the sound
    comes before the lips, as SyncNet's offset; `shuffled` without lag after the sound was moved by
    half the clip: the floor. `seconds` of speech were scored of `speech`; in `contested` of them
    another face was in sight, and in `bound` the speaker's own correlates best, at `lag`.
    `faces` names the speakers' faces, `clear` those that fit better than every other by `CLEAR`.
    """

    correlation: float
    best: float
    lag: int
    shuffled: float
    seconds: float
    speech: float
    contested: float
    bound: float
    faces: Mapping[str, str]
    clear: Mapping[str, str]


def mouth_sync(
    mouths: Sequence[Mouth],
    envelope: Any,
    speech: Sequence[Speech],
    known: Mapping[str, str] | None = None,
) -> MouthSync | None:
    """Score a clip: `envelope` (m,) is the sound's RMS, one a frame; `known` names speakers' faces.

    Speakers that are not `known` get the faces, one for the whole clip, that correlate best
    together at one lag. None where no speaker's face is seen for 0.6 s of his own speech.
    """
    clip = _Clip(mouths, envelope, speech)
    faces = clip.faces(known or {})
    scored = clip.scored(faces)
    if not scored:
        return None
    weights = np.array([seconds for seconds, _ in scored.values()])
    curve = np.average([each for _, each in scored.values()], axis=0, weights=weights)
    at = int(curve.argmax())
    moved = np.roll(np.asarray(envelope, dtype=np.float64), len(envelope) // 2)
    shuffled = [each for _, each in _Clip(mouths, moved, speech).scored(faces).values()]
    contested, bound = clip.binding(faces, at)
    return MouthSync(
        correlation=float(curve[MAX_LAG]),
        best=float(curve[at]),
        lag=LAGS[at],
        shuffled=float(np.average(shuffled, axis=0, weights=weights)[MAX_LAG]),
        seconds=float(weights.sum()),
        speech=sum(each.seconds for each in speech),
        contested=contested,
        bound=bound,
        faces=faces,
        clear=clip.clear(faces, at),
    )


class _Clip:
    """What of each face is seen in each speaker's own speech."""

    def __init__(self, mouths: Sequence[Mouth], envelope: Any, speech: Sequence[Speech]) -> None:
        self.sound = moving(np.sqrt(np.asarray(envelope, dtype=np.float64)))
        self.segments = [each for each in alone(speech) if each.seconds >= SHORTEST]
        self.speakers = list(dict.fromkeys(each.speaker for each in self.segments))
        self.mouths = {
            identity: np.full(len(self.sound), np.nan)
            for identity in sorted({mouth.identity for mouth in mouths})
        }
        for mouth in mouths:
            openings = moving(np.asarray(mouth.openings, dtype=np.float64))
            room = self.mouths[mouth.identity][mouth.first : mouth.first + len(openings)]
            room[:] = openings[: len(room)]
        self.curves = {
            (speaker, identity): curve
            for speaker in self.speakers
            for identity in self.mouths
            if (curve := self._curve(identity, self._frames(speaker))) is not None
        }

    def _frames(self, speaker: str) -> NDArray[np.int64]:
        parts = [_inside(each) for each in self.segments if each.speaker == speaker]
        frames = np.concatenate([np.arange(first, after) for first, after in parts])
        return frames[frames < len(self.sound)]

    def _curve(self, identity: str, frames: NDArray[np.int64]) -> tuple[float, Array] | None:
        """Seconds in which the face is seen, and its correlation with the sound at each lag."""
        seen = frames[~np.isnan(self.mouths[identity][frames])]
        if len(seen) < FEWEST:
            return None
        curve = [_correlation(self.mouths[identity], self.sound, seen, lag) for lag in LAGS]
        return len(seen) / FRAME_RATE, np.array(curve)

    def faces(self, known: Mapping[str, str]) -> dict[str, str]:
        """One face for each speaker: as known, else by the most evidence at one lag."""
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

        fixed = {speaker: face for speaker, face in known.items() if speaker in self.speakers}
        open_speakers = [each for each in self.speakers if each not in fixed]
        free = [each for each in self.mouths if each not in fixed.values()]
        evidence = np.full((len(LAGS), len(open_speakers), len(free)), np.nan)
        for row, speaker in enumerate(open_speakers):
            for column, identity in enumerate(free):
                if (speaker, identity) in self.curves:
                    seconds, curve = self.curves[speaker, identity]
                    evidence[:, row, column] = seconds * curve
        best: tuple[float, dict[str, str]] = (-np.inf, {})
        for at_lag in evidence:
            seen = ~np.isnan(at_lag)
            rows, columns = linear_sum_assignment(np.where(seen, at_lag, -1e9), maximize=True)
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if seen[r, c]]
            total = float(sum(at_lag[pair] for pair in pairs))
            if total > best[0]:
                best = (total, {open_speakers[r]: free[c] for r, c in pairs})
        return fixed | best[1]

    def scored(self, faces: Mapping[str, str]) -> dict[str, tuple[float, Array]]:
        """Seconds and curve of each speaker whose face is seen long enough."""
        return {
            speaker: self.curves[speaker, face]
            for speaker, face in faces.items()
            if (speaker, face) in self.curves
        }

    def binding(self, faces: Mapping[str, str], at: int) -> tuple[float, float]:
        """Seconds with a choice of faces, and those of them in which the speaker's is the best."""
        contested = bound = 0.0
        for segment in self.segments:
            frames = np.arange(*_inside(segment))
            frames = frames[frames < len(self.sound)]
            fits = {
                identity: float(curve[1][at])
                for identity in self.mouths
                if (curve := self._curve(identity, frames)) is not None
            }
            face = faces.get(segment.speaker)
            if face in fits and len(fits) > 1:
                contested += segment.seconds
                bound += segment.seconds * (max(fits, key=fits.__getitem__) == face)
        return contested, bound

    def clear(self, faces: Mapping[str, str], at: int) -> dict[str, str]:
        found = {}
        for speaker, face in faces.items():
            fits = {i: curve[at] for (s, i), (_, curve) in self.curves.items() if s == speaker}
            if face in fits:
                others = [fit for identity, fit in fits.items() if identity != face]
                if fits[face] - max(others, default=0.0) >= CLEAR:
                    found[speaker] = face
        return found


def moving(signal: Array) -> Array:
    """What of a signal, one value a frame, moves at the pace of speech."""
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d  # noqa: PLC0415

    if not len(signal):
        return signal
    smooth = gaussian_filter1d(signal, FAST, mode="nearest")
    found: Array = smooth - uniform_filter1d(smooth, SLOW, mode="nearest")
    return found


def _inside(segment: Speech) -> tuple[int, int]:
    """First frame inside a segment, and the first after it."""
    first = int(np.ceil(segment.start * FRAME_RATE - 1e-9))
    return first, int(np.floor(segment.end * FRAME_RATE + 1e-9))


def _correlation(mouth: Array, sound: Array, frames: NDArray[np.int64], lag: int) -> float:
    """Pearson's, of the mouth in `frames` and the sound `lag` frames before each."""
    frames = frames[(frames - lag >= 0) & (frames - lag < len(sound))]
    if len(frames) < FEWEST:
        return 0.0
    a, b = mouth[frames], sound[frames - lag]
    a, b = a - a.mean(), b - b.mean()
    if a.std() < STILL or b.std() < STILL:
        return 0.0
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
