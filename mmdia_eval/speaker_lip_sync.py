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

from mmdia_eval.lip_sync import MAX_OFFSET, distances

FRAME_RATE = 25
WINDOW = 5
"""Frames under one embedding."""
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
class LipTrack:
    """Lip embeddings (n, d) of one face, for windows that begin at frame `first` and on.

    `identity` is whose face it is: tracks of one person in several shots share it.
    """

    identity: str
    first: int
    lips: Any


@dataclass(frozen=True)
class Score:
    """Segments scored under one assignment of speakers to faces, weighted by seconds of speech.

    `confidence` (SA-LSE-C, higher is better) and `distance` (SA-LSE-D, lower is better) at the one
    `offset` of the clip, in frames as in `LipSync`; `seconds` of speech behind them.
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
    with the faces handed on to the next speaker, `shuffled` the same with the sound moved by half
    the clip: both must be near each other, and near no confidence.

    Seconds: of all `speech`; of it `overlapped` by another speaker, `short` after that, `offscreen`
    while no face of its speaker is seen; `bound` of `contested`: the speaker's face has the highest
    confidence, where at least two are seen. `leak` is the mean confidence of the other faces while
    someone speaks, near 0 unless their lips move with the words too, and `leak_muted` the same with
    their mouths held; both over `leak_seconds` face-seconds, and like `bound` at the offset of
    `greedy`. `silence_motion` is how much a face's
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
    """Score a clip: `sound` is (m, d), one embedding a frame; `oracle` names speakers' faces."""
    parts = alone(speech)
    segments = [each for each in parts if each.seconds >= SHORTEST]
    clip = _Clip(tracks, sound, segments)
    faces = clip.consistent()
    chosen = faces if oracle is None else dict(oracle)
    leak, leak_seconds = clip.leak(chosen)
    muted, _ = _Clip(_muted(tracks, chosen, speech), sound, segments).leak(chosen)
    contested, bound = clip.binding(chosen)
    moved = np.roll(np.asarray(sound), len(sound) // 2, axis=0)
    can_move = len(sound) / 2 >= SHUFFLED_BY * FRAME_RATE
    return SpeakerLipSync(
        consistent=clip.score(faces),
        oracle=None if oracle is None else clip.score(oracle),
        greedy=clip.greedy(),
        swapped=clip.score(_handed_on(chosen)) if len(set(chosen.values())) > 1 else None,
        shuffled=_Clip(tracks, moved, segments).score(chosen) if can_move else None,
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


def _windows(segment: Speech) -> tuple[int, int]:
    """First window inside a segment, and the first after it."""
    first = int(np.ceil(segment.start * FRAME_RATE - 1e-9))
    last = int(np.floor(segment.end * FRAME_RATE + 1e-9)) - WINDOW
    return first, last + 1


class _Clip:
    """Mean distances over offsets of every segment and face that is seen long enough in it."""

    def __init__(self, tracks: Sequence[LipTrack], sound: Any, segments: Sequence[Speech]) -> None:
        self.segments = segments
        self.speakers = list(dict.fromkeys(each.speaker for each in segments))
        self.identities = sorted({track.identity for track in tracks})
        found: list[dict[str, list[Array]]] = [{} for _ in segments]
        padded = np.asarray(sound, dtype=np.float64)
        for track in tracks:
            table = _placed(track, padded)
            for index, segment in enumerate(segments):
                first, last = _windows(segment)
                rows = table[max(0, first - track.first) : max(0, last - track.first)]
                if len(rows):
                    found[index].setdefault(track.identity, []).append(rows)
        self.means: list[dict[str, Array]] = [
            {
                identity: np.nanmean(rows, axis=0)
                for identity, parts in of_segment.items()
                if len(rows := np.concatenate(parts)) >= FEWEST_WINDOWS
                and not np.isnan(rows).all(axis=0).any()
            }
            for of_segment in found
        ]

    def _evidence(self, index: int, identity: str) -> Array:
        """Seconds of the segment times the confidence at each offset; 0 for a face unseen."""
        means = self.means[index].get(identity)
        if means is None:
            return np.zeros(2 * MAX_OFFSET + 1)
        evidence: Array = self.segments[index].seconds * (np.median(means) - means)
        return evidence

    def consistent(self) -> dict[str, str]:
        """The speakers' faces and the offset with the most evidence together; the faces of it."""
        from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

        evidence = np.zeros((2 * MAX_OFFSET + 1, len(self.speakers), len(self.identities)))
        seen = np.zeros(evidence.shape[1:], dtype=bool)
        for index, segment in enumerate(self.segments):
            row = self.speakers.index(segment.speaker)
            for column, identity in enumerate(self.identities):
                evidence[:, row, column] += self._evidence(index, identity)
                seen[row, column] |= identity in self.means[index]
        best: tuple[float, dict[str, str]] = (-np.inf, {})
        for at_offset in evidence:
            rows, columns = linear_sum_assignment(np.where(seen, at_offset, -1e9), maximize=True)
            pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if seen[r, c]]
            total = float(sum(at_offset[pair] for pair in pairs))
            if total > best[0]:
                best = (total, {self.speakers[r]: self.identities[c] for r, c in pairs})
        return best[1]

    def score(self, faces: Mapping[str, str]) -> Score | None:
        """Every segment on its speaker's face."""
        return self._score(
            [
                (segment.seconds, self.means[index][faces[segment.speaker]])
                for index, segment in enumerate(self.segments)
                if faces.get(segment.speaker) in self.means[index]
            ]
        )

    def greedy(self) -> Score | None:
        """Every segment on the face that fits it best, at the offset that is best for all."""
        evidence = [
            np.max([self._evidence(index, identity) for identity in means], axis=0)
            for index, means in enumerate(self.means)
            if means
        ]
        if not evidence:
            return None
        at = int(np.sum(evidence, axis=0).argmax())
        chosen = [
            (self.segments[index].seconds, max(means.values(), key=lambda m: np.median(m) - m[at]))
            for index, means in enumerate(self.means)
            if means
        ]
        return self._score(chosen, at)

    def _score(self, chosen: Sequence[tuple[float, Array]], at: int | None = None) -> Score | None:
        """The weighted mean at the offset of the smallest pooled distance, unless `at` is given."""
        if not chosen:
            return None
        weights = np.array([seconds for seconds, _ in chosen])
        means = np.stack([each for _, each in chosen])
        if at is None:
            at = int(np.average(means, axis=0, weights=weights).argmin())
        confidences = np.median(means, axis=1) - means[:, at]
        return Score(
            confidence=float(np.average(confidences, weights=weights)),
            distance=float(np.average(means[:, at], weights=weights)),
            offset=MAX_OFFSET - at,
            seconds=float(weights.sum()),
        )

    def _at(self) -> int | None:
        """The column of the offset at which lips and sound fit best, whoever's lips they are."""
        found = self.greedy()
        return None if found is None else MAX_OFFSET - found.offset

    def offscreen(self, faces: Mapping[str, str]) -> float:
        return sum(
            segment.seconds
            for index, segment in enumerate(self.segments)
            if faces.get(segment.speaker) not in self.means[index]
        )

    def binding(self, faces: Mapping[str, str]) -> tuple[float, float]:
        """Seconds with a choice of faces, and those of them in which the speaker's is the best."""
        at = self._at()
        contested = bound = 0.0
        for index, segment in enumerate(self.segments):
            means = self.means[index]
            face = faces.get(segment.speaker)
            if at is not None and face in means and len(means) > 1:
                best = max(
                    means, key=lambda identity: np.median(means[identity]) - means[identity][at]
                )
                contested += segment.seconds
                bound += segment.seconds * (best == face)
        return contested, bound

    def leak(self, faces: Mapping[str, str]) -> tuple[float, float]:
        """Mean confidence of faces other than the speaker's, and the face-seconds behind it."""
        at = self._at()
        total = seconds = 0.0
        for index, segment in enumerate(self.segments):
            for identity, means in self.means[index].items():
                if at is not None and identity != faces.get(segment.speaker):
                    total += segment.seconds * float(np.median(means) - means[at])
                    seconds += segment.seconds
        return (total / seconds if seconds else 0.0), seconds


def _placed(track: LipTrack, sound: Array) -> Array:
    """Distances of a track's windows to the sound around each, by the clip's own frames."""
    lips = np.asarray(track.lips, dtype=np.float64)
    placed = np.full((len(sound), lips.shape[1] if lips.ndim == 2 else 0), np.nan)
    last = min(len(sound), track.first + len(lips))
    placed[track.first : last] = lips[: max(0, last - track.first)]
    return distances(placed, sound)[track.first : last]


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
