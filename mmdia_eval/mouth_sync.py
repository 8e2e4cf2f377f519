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
"""Frames of speech in a row in which a face must be seen, to be scored there."""
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
    comes before the lips, as SyncNet's offset, and None where nothing correlates above 0;
    `shuffled` without lag after the sound was moved by half the clip: the floor. `seconds` of
    speech were scored of `speech`; in `contested` of them another face was in sight too, and in
    `bound` the speaker's own correlates best, at the lag at which the best faces fit best. `faces`
    names the speakers' faces, `clear` those that fit better than every other by `CLEAR` there.
    """

    correlation: float
    best: float
    lag: int | None
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
    sound = np.asarray(envelope, dtype=np.float64)
    clip = _Clip(mouths, sound, speech)
    faces = clip.faces(known or {})
    curve, seconds = clip.scored(faces)
    if not seconds:
        return None
    at = int(curve.argmax())
    moved, _ = _Clip(mouths, np.roll(sound, len(sound) // 2), speech).scored(faces)
    contested, bound = clip.binding(faces)
    return MouthSync(
        correlation=float(curve[MAX_LAG]),
        best=float(curve[at]),
        lag=LAGS[at] if curve[at] > 0 else None,
        shuffled=float(moved[MAX_LAG]),
        seconds=seconds,
        speech=sum(each.seconds for each in speech),
        contested=contested,
        bound=bound,
        faces=faces,
        clear=clip.clear(faces),
    )


@dataclass(frozen=True)
class _Sums:
    """What a correlation is made of: frames, the mouth's and the sound's squares, their product.

    The sound's and the products are (31,), one a lag.
    """

    frames: int
    mouth: float
    sound: Array
    product: Array

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.frames + other.frames,
            self.mouth + other.mouth,
            self.sound + other.sound,
            self.product + other.product,
        )

    @property
    def curve(self) -> Array:
        """Pearson's correlation at each lag."""
        least = self.frames * STILL**2
        moves = (self.mouth > least) & (self.sound > least)
        scale = np.sqrt(np.where(moves, self.mouth * self.sound, 1.0))
        found: Array = np.where(moves, self.product / scale, 0.0)
        return found


class _Clip:
    """How each face goes with the sound in each segment of speech in which it is seen."""

    def __init__(self, mouths: Sequence[Mouth], sound: Array, speech: Sequence[Speech]) -> None:
        self.segments = [each for each in alone(speech) if each.seconds >= SHORTEST]
        self.identities = sorted({mouth.identity for mouth in mouths})
        self.sums: dict[tuple[int, str], _Sums] = {}
        heard = np.pad(np.sqrt(sound), MAX_LAG)
        for mouth in mouths:
            openings = np.asarray(mouth.openings, dtype=np.float64)
            last = min(mouth.first + len(openings), len(sound))
            for index, segment in enumerate(self.segments):
                first, after = _inside(segment)
                first, after = max(first, mouth.first), min(after, last)
                if after - first >= FEWEST:
                    part = openings[first - mouth.first : after - mouth.first]
                    sums = _sums(part, heard, first)
                    key = index, mouth.identity
                    self.sums[key] = self.sums[key] + sums if key in self.sums else sums
        self.of_speakers: dict[tuple[str, str], _Sums] = {}
        for (index, identity), sums in self.sums.items():
            pair = self.segments[index].speaker, identity
            found = self.of_speakers.get(pair)
            self.of_speakers[pair] = sums if found is None else found + sums

    def faces(self, known: Mapping[str, str]) -> dict[str, str]:
        """One face for each speaker: as known, else by the most evidence at one lag."""
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

        speakers = [each for each in self._speakers if each not in known]
        free = [each for each in self.identities if each not in known.values()]
        evidence = np.full((len(LAGS), len(speakers), len(free)), np.nan)
        for (speaker, identity), sums in self.of_speakers.items():
            if speaker in speakers and identity in free:
                at = speakers.index(speaker), free.index(identity)
                evidence[:, *at] = sums.frames * sums.curve
        best: tuple[float, dict[str, str]] = (-np.inf, {})
        for at_lag in evidence:
            seen = ~np.isnan(at_lag)
            rows, columns = linear_sum_assignment(np.where(seen, at_lag, -1e9), maximize=True)
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if seen[r, c]]
            total = float(sum(at_lag[pair] for pair in pairs))
            if total > best[0]:
                best = (total, {speakers[r]: free[c] for r, c in pairs})
        return {each: known[each] for each in self._speakers if each in known} | best[1]

    @property
    def _speakers(self) -> list[str]:
        return list(dict.fromkeys(each.speaker for each in self.segments))

    def scored(self, faces: Mapping[str, str]) -> tuple[Array, float]:
        """The mean curve of the speakers whose face is seen, and the seconds behind it."""
        pairs = [pair for pair in faces.items() if pair in self.of_speakers]
        found = [self.of_speakers[pair] for pair in pairs]
        if not found:
            return np.zeros(len(LAGS)), 0.0
        frames = [sums.frames for sums in found]
        curve: Array = np.average([sums.curve for sums in found], axis=0, weights=frames)
        return curve, sum(frames) / FRAME_RATE

    def _at(self) -> int:
        """The index of the lag at which the face that fits best, whose ever it is, fits best."""
        total = np.zeros(len(LAGS))
        for index in range(len(self.segments)):
            seen = [sums for (i, _), sums in self.sums.items() if i == index]
            if seen:
                total += seen[0].frames * np.max([sums.curve for sums in seen], axis=0)
        return int(total.argmax())

    def binding(self, faces: Mapping[str, str]) -> tuple[float, float]:
        """Seconds with a choice of faces, and those of them in which the speaker's is the best."""
        at = self._at()
        contested = bound = 0.0
        for index, segment in enumerate(self.segments):
            fits = {face: sums.curve[at] for (i, face), sums in self.sums.items() if i == index}
            face = faces.get(segment.speaker)
            if face in fits and len(fits) > 1:
                others = max(fit for identity, fit in fits.items() if identity != face)
                contested += segment.seconds
                bound += segment.seconds * bool(fits[face] > others)
        return contested, bound

    def clear(self, faces: Mapping[str, str]) -> dict[str, str]:
        at = self._at()
        found = {}
        for speaker, face in faces.items():
            fits = {i: sums.curve[at] for (s, i), sums in self.of_speakers.items() if s == speaker}
            others = [fit for identity, fit in fits.items() if identity != face]
            if face in fits and fits[face] - max(others, default=0.0) >= CLEAR:
                found[speaker] = face
        return found


def moving(signal: Array) -> Array:
    """What of signals (…, n), one value a frame, moves at the pace of speech; of mean 0."""
    from scipy.ndimage import gaussian_filter1d, uniform_filter1d  # noqa: PLC0415

    smooth = gaussian_filter1d(signal, FAST, axis=-1, mode="nearest")
    fast = smooth - uniform_filter1d(smooth, SLOW, axis=-1, mode="nearest")
    found: Array = fast - fast.mean(axis=-1, keepdims=True)
    return found


def _sums(openings: Array, heard: Array, first: int) -> _Sums:
    """Of a mouth from frame `first` on, beside the sound of as many frames, moved by each lag.

    Both are filtered within these frames, so that what is said and seen beside them plays no part.
    `heard` has `MAX_LAG` frames of silence before and after.
    """
    starts = [first + MAX_LAG - lag for lag in LAGS]
    sound = moving(np.stack([heard[start : start + len(openings)] for start in starts]))
    mouth = moving(openings)
    return _Sums(len(mouth), float(mouth @ mouth), (sound**2).sum(axis=1), sound @ mouth)


def _inside(segment: Speech) -> tuple[int, int]:
    """First frame inside a segment, and the first after it."""
    first = int(np.ceil(segment.start * FRAME_RATE - 1e-9))
    return first, int(np.floor(segment.end * FRAME_RATE + 1e-9))
