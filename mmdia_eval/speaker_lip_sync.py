"""Speaker-aware lip sync (SA-LSE): do the lips of the one who speaks move with the words?

LSE-C and LSE-D look at a whole track. In a dialogue that is wrong twice: a listener's still mouth
counts against the system, and a clip in which the wrong person's lips move scores like a correct
one. Here each speech segment is scored on its own frames and on the face of its own speaker.
Arrays only: lips and sound come as embeddings, speech as segments. See docs/metrics/sa-lse.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.lip_sync import MAX_OFFSET, WINDOW, LipTrack, distances
from mmdia_eval.types import FRAME_RATE

SHORTEST = 0.6
"""Seconds of speech below which a segment is not scored: too few windows for a distance."""
FEWEST_WINDOWS = int(SHORTEST * FRAME_RATE) - WINDOW + 1
SHUFFLED_BY = 2.0
"""Seconds at least by which the sound is moved for the control."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Speech:
    """`speaker` talks from `start` to `end`, in seconds."""

    speaker: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Score:
    """Segments scored under one assignment of speakers to faces.

    `confidence` (SA-LSE-C, higher is better) and `distance` (SA-LSE-D, lower is better) at the one
    `offset` of the clip, in frames as in `LipSync`: means over segments, weighted by the `seconds`
    of speech during which the face is in sight.
    """

    confidence: float
    distance: float
    offset: int
    seconds: float


@dataclass(frozen=True)
class SpeakerLipSync:
    """All that is measured of one clip; a score is None where it has no segment.

    `consistent` gives each speaker one face for the whole clip, by the evidence; `oracle` the faces
    that the benchmark names; `greedy` the best face of each segment, an upper bound: what it gains
    over the others is wrong binding. `swapped` is the first of oracle and consistent that exists
    with the faces handed on to the next speaker, `shuffled` the same assignment made and scored
    with the sound moved by half the clip, so that it holds what the choice of faces and offset
    gains by chance: both must be near each other, and near no confidence.

    Seconds: of all `speech`; of it `overlapped` by another speaker, `short` after that, `offscreen`
    while no face of its speaker is seen, or the sound is over; `bound` of `contested`: the
    speaker's face has the highest confidence, where at least two are seen. `leak` is the mean
    confidence of the other faces while someone speaks, near 0 unless their lips move with the words
    too, and `leak_muted` the same with their mouths held; both over `leak_seconds` face-seconds,
    and like `bound` at the offset of `greedy`. `silence_motion` is how much a face's
    embedding moves from frame to frame while nobody speaks, as a share of its motion in its own
    speech.
    """

    consistent: Score | None
    oracle: Score | None
    greedy: Score | None
    swapped: Score | None
    shuffled: Score | None
    speech: float
    overlapped: float
    short: float
    offscreen: float
    contested: float
    bound: float
    leak: float
    leak_muted: float
    leak_seconds: float
    silence_motion: float | None
    faces: Mapping[str, str]


def alone(speech: Sequence[Speech]) -> list[Speech]:
    """What remains of each segment while nobody else speaks, in order of time."""
    found = []
    for segment in speech:
        parts = [(segment.start, segment.end)]
        for other in speech:
            if other.speaker != segment.speaker:
                parts = [
                    part
                    for start, end in parts
                    for part in ((start, min(end, other.start)), (max(start, other.end), end))
                    if part[0] < part[1]
                ]
        found += [Speech(segment.speaker, start, end) for start, end in parts]
    return sorted(found, key=lambda each: (each.start, each.end, each.speaker))


def speaker_lip_sync(
    tracks: Sequence[LipTrack],
    sound: Any,
    speech: Sequence[Speech],
    oracle: Mapping[str, str] | None = None,
) -> SpeakerLipSync:
    """Score a clip: `sound` is (m, d), one embedding a frame; `oracle` names speakers' faces.

    A segment that is in sight for part of its time, as where a cut falls into it, counts with that
    part. One at the clip's very beginning or end lacks offsets, of which it needs more than half.
    """
    parts = alone(speech)
    segments = [each for each in parts if each.seconds >= SHORTEST]
    clip = _Clip(tracks, sound, segments)
    faces = clip.consistent()
    chosen = faces if oracle is None else dict(oracle)
    moved = _moved(tracks, sound, segments)
    shuffled = (
        None if moved is None else moved.score(moved.consistent() if oracle is None else oracle)
    )
    leak, leak_seconds = clip.leak(chosen)
    muted, _ = _Clip(_muted(tracks, chosen, speech), sound, segments).leak(chosen)
    contested, bound = clip.binding(chosen)
    return SpeakerLipSync(
        consistent=clip.score(faces),
        oracle=None if oracle is None else clip.score(oracle),
        greedy=clip.greedy(),
        swapped=clip.score(_handed_on(chosen)) if len(set(chosen.values())) > 1 else None,
        shuffled=shuffled,
        speech=sum(each.seconds for each in speech),
        overlapped=sum(each.seconds for each in speech) - sum(each.seconds for each in parts),
        short=sum(each.seconds for each in parts if each.seconds < SHORTEST),
        offscreen=clip.offscreen(chosen),
        contested=contested,
        bound=bound,
        leak=leak,
        leak_muted=muted,
        leak_seconds=leak_seconds,
        silence_motion=_silence_motion(tracks, chosen, speech),
        faces=chosen,
    )


def _moved(tracks: Sequence[LipTrack], sound: Any, segments: Sequence[Speech]) -> _Clip | None:
    """The clip with its sound moved by half, or None where that is too little."""
    by = len(sound) // 2
    if by < SHUFFLED_BY * FRAME_RATE:
        return None
    return _Clip(tracks, np.roll(np.asarray(sound), by, axis=0), segments)


def _windows(segment: Speech) -> tuple[int, int]:
    """First window inside a segment, and the first after it."""
    first = int(np.ceil(segment.start * FRAME_RATE - 1e-9))
    last = int(np.floor(segment.end * FRAME_RATE + 1e-9)) - WINDOW
    return first, last + 1


@dataclass(frozen=True)
class _Seen:
    """A face during a segment: `seconds` in sight, and `evidence` (offsets,): the median of the
    mean distances less the one at each offset, nan where the clip has no sound.
    """

    seconds: float
    distances: Array
    evidence: Array

    @property
    def weighed(self) -> Array:
        """Evidence times seconds; none where there is no sound."""
        return np.nan_to_num(self.seconds * self.evidence)


def _seen(segment: Speech, parts: Sequence[Array]) -> _Seen | None:
    """From the distances of the windows in sight, run by run; None when they are too few."""
    rows = np.concatenate(parts)
    measured = ~np.isnan(rows).all(axis=0)
    if len(rows) < FEWEST_WINDOWS or measured.sum() <= MAX_OFFSET:
        return None
    means = np.full(rows.shape[1], np.nan)
    means[measured] = np.nanmean(rows[:, measured], axis=0)
    # A segment need not begin and end with a frame: up to two are not whole.
    frames = sum(len(part) + WINDOW - 1 for part in parts) + 2
    seconds = min(segment.seconds, frames / FRAME_RATE)
    return _Seen(seconds, means, float(np.nanmedian(means)) - means)


class _Clip:
    """Every segment with the faces that are seen long enough in it."""

    def __init__(self, tracks: Sequence[LipTrack], sound: Any, segments: Sequence[Speech]) -> None:
        self.segments = segments
        self.speakers = list(dict.fromkeys(each.speaker for each in segments))
        self.identities = sorted({track.identity for track in tracks})
        found: list[dict[str, list[Array]]] = [{} for _ in segments]
        for track in tracks:
            table = distances(track.lips, sound, track.first)
            for index, segment in enumerate(segments):
                first, last = _windows(segment)
                rows = table[max(0, first - track.first) : max(0, last - track.first)]
                if len(rows):
                    found[index].setdefault(track.identity, []).append(rows)
        self.faces: list[dict[str, _Seen]] = [
            {name: seen for name, parts in each.items() if (seen := _seen(segment, parts))}
            for segment, each in zip(segments, found, strict=True)
        ]

    def consistent(self) -> dict[str, str]:
        """The speakers' faces and the offset with the most evidence together; the faces of it."""
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

        evidence = np.zeros((2 * MAX_OFFSET + 1, len(self.speakers), len(self.identities)))
        seen = np.zeros(evidence.shape[1:], dtype=bool)
        for segment, faces in zip(self.segments, self.faces, strict=True):
            row = self.speakers.index(segment.speaker)
            for identity, face in faces.items():
                column = self.identities.index(identity)
                evidence[:, row, column] += face.weighed
                seen[row, column] = True
        best: tuple[float, dict[str, str]] = (-np.inf, {})
        for at_offset in evidence:
            rows, columns = linear_sum_assignment(np.where(seen, at_offset, -1e9), maximize=True)
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if seen[r, c]]
            total = float(sum(at_offset[pair] for pair in pairs))
            if total > best[0]:
                best = (total, {self.speakers[r]: self.identities[c] for r, c in pairs})
        return best[1]

    def of(self, faces: Mapping[str, str]) -> list[_Seen]:
        """Each segment's face, where it is seen."""
        return [
            seen[faces[segment.speaker]]
            for segment, seen in zip(self.segments, self.faces, strict=True)
            if faces.get(segment.speaker) in seen
        ]

    def score(self, faces: Mapping[str, str]) -> Score | None:
        """Every segment on its speaker's face, at the offset with the most evidence."""
        return _score(self.of(faces), _best_offset([face.weighed for face in self.of(faces)]))

    def greedy(self) -> Score | None:
        """Every segment on the face that fits it best, at the offset that is best for all."""
        at = self.at()
        return _score([_fittest(seen, at) for seen in self.faces if seen], at)

    def at(self) -> int:
        """The column of the offset at which lips and sound fit best, whoever's lips they are."""
        return _best_offset(
            [np.max([f.weighed for f in seen.values()], axis=0) for seen in self.faces if seen]
        )

    def offscreen(self, faces: Mapping[str, str]) -> float:
        spoken = sum(segment.seconds for segment in self.segments)
        return spoken - sum(face.seconds for face in self.of(faces))

    def binding(self, faces: Mapping[str, str]) -> tuple[float, float]:
        """Seconds with a choice of faces, and those of them in which the speaker's is the best."""
        at = self.at()
        contested = bound = 0.0
        for segment, seen in zip(self.segments, self.faces, strict=True):
            mine = seen.get(faces.get(segment.speaker, ""))
            if mine is not None and len(seen) > 1:
                contested += mine.seconds
                bound += mine.seconds * (_fittest(seen, at) is mine)
        return contested, bound

    def leak(self, faces: Mapping[str, str]) -> tuple[float, float]:
        """Mean confidence of faces other than the speaker's, and the face-seconds behind it."""
        at = self.at()
        others = [
            face
            for segment, seen in zip(self.segments, self.faces, strict=True)
            for identity, face in seen.items()
            if identity != faces.get(segment.speaker) and np.isfinite(face.evidence[at])
        ]
        seconds = sum(face.seconds for face in others)
        total = sum(face.seconds * float(face.evidence[at]) for face in others)
        return (total / seconds if seconds else 0.0), seconds


def _best_offset(weighed: Sequence[Array]) -> int:
    """The column with the most evidence; that of no offset when there is none."""
    return int(np.sum(weighed, axis=0).argmax()) if weighed else MAX_OFFSET


def _fittest(seen: Mapping[str, _Seen], at: int) -> _Seen:
    """The face with the highest confidence at that offset."""
    return max(seen.values(), key=lambda face: np.nan_to_num(face.evidence[at], nan=-np.inf))


def _score(faces: Sequence[_Seen], at: int) -> Score | None:
    """The mean over segments at that offset, weighted by seconds in sight."""
    heard = [face for face in faces if np.isfinite(face.evidence[at])]
    if not heard:
        return None
    weights = np.array([face.seconds for face in heard])
    return Score(
        confidence=float(np.average([face.evidence[at] for face in heard], weights=weights)),
        distance=float(np.average([face.distances[at] for face in heard], weights=weights)),
        offset=MAX_OFFSET - at,
        seconds=float(weights.sum()),
    )


def _handed_on(faces: Mapping[str, str]) -> dict[str, str]:
    """Each speaker with the next one's face."""
    speakers = sorted(faces)
    return {
        speaker: faces[speakers[(index + 1) % len(speakers)]]
        for index, speaker in enumerate(speakers)
    }


def _spoken(speech: Sequence[Speech], frames: int) -> dict[str, NDArray[np.bool_]]:
    """For each speaker, the windows in which some of the frames are speech of theirs."""
    found: dict[str, NDArray[np.bool_]] = {}
    for segment in speech:
        windows = found.setdefault(segment.speaker, np.zeros(frames, dtype=bool))
        first = int(segment.start * FRAME_RATE) - WINDOW + 1
        windows[max(0, first) : max(0, int(np.ceil(segment.end * FRAME_RATE)))] = True
    return found


def _muted(
    tracks: Sequence[LipTrack], faces: Mapping[str, str], speech: Sequence[Speech]
) -> list[LipTrack]:
    """The tracks with the mouth held as it was last whenever their person does not speak."""
    held = []
    for track in tracks:
        lips = np.array(track.lips, dtype=np.float64)
        spoken = _spoken(speech, track.first + len(lips))
        mine = np.zeros(len(lips), dtype=bool)
        for speaker, windows in spoken.items():
            if faces.get(speaker) == track.identity:
                mine |= windows[track.first :]
        for index in range(1, len(lips)):
            if not mine[index]:
                lips[index] = lips[index - 1]
        held.append(LipTrack(track.identity, track.first, lips))
    return held


def _silence_motion(
    tracks: Sequence[LipTrack], faces: Mapping[str, str], speech: Sequence[Speech]
) -> float | None:
    silent: list[Array] = []
    speaking: list[Array] = []
    for track in tracks:
        lips = np.asarray(track.lips, dtype=np.float64)
        steps = np.linalg.norm(np.diff(lips, axis=0), axis=1)
        spoken = _spoken(speech, track.first + len(lips))
        anyone = np.zeros(len(lips), dtype=bool)
        mine = np.zeros(len(lips), dtype=bool)
        for speaker, windows in spoken.items():
            anyone |= windows[track.first :]
            if faces.get(speaker) == track.identity:
                mine |= windows[track.first :]
        silent.append(steps[~(anyone[1:] | anyone[:-1])])
        speaking.append(steps[mine[1:] & mine[:-1]])
    still, moving = (
        np.concatenate(silent or [np.empty(0)]),
        np.concatenate(speaking or [np.empty(0)]),
    )
    if not len(still) or not len(moving) or not moving.mean():
        return None
    return float(still.mean() / moving.mean())
