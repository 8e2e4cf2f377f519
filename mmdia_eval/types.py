"""The nouns of the harness: what a benchmark expects and what a system gave.

All are frozen dataclasses. Times are seconds from the start of the file, as floats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal[1, 2, 3]
TASKS: tuple[Task, ...] = (1, 2, 3)
Split = Literal["hard", "test", "ood", "bench"]
SPLITS: tuple[Split, ...] = ("hard", "test", "ood", "bench")

SandboxMode = Literal["bubblewrap", "namespaces", "process", "off"]
"""How strangers' media are opened: in a process that sees one file alone, put into namespaces by
bubblewrap or by util-linux; in a process with limits that can see more; or without any."""

SAMPLE_RATE = 16_000
"""Hz. Every engine of the harness hears mono float32 at this rate."""
FRAME_RATE = 25
"""Frames a second of every video, once decoded."""

FloatArray = NDArray[np.float32]
Frames = NDArray[np.uint8]
"""Pictures (T, height, width, 3), red-green-blue, `FRAME_RATE` a second."""


@dataclass(frozen=True, order=True)
class Segment:
    """A stretch of time, `start` <= `end`, in seconds.

    >>> Segment(1.0, 3.0).overlap(Segment(2.0, 5.0))
    1.0
    >>> Segment(1.0, 3.0).distance(Segment(4.5, 5.0))
    1.5
    """

    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    def overlap(self, other: Segment) -> float:
        """Seconds shared with `other`; 0 when they do not meet."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))

    def distance(self, other: Segment) -> float:
        """Seconds of silence between the two; 0 when they meet."""
        return max(0.0, max(self.start, other.start) - min(self.end, other.end))


@dataclass(frozen=True)
class Turn:
    """What one speaker says before another does (or before the script starts a new line)."""

    speaker: str
    text: str
    segment: Segment | None = None


@dataclass(frozen=True)
class Style:
    """How a dialogue should sound: free description, and the affective triplet.

    `relationship` and `interaction_type` are categories (the paper's Tables 11 and 12): what a
    judge is asked for. The triplet that a system is told, where it is told one, is in the
    annotators' own words: `relationship_tag`, `interaction_type_tag` and `emotional_tone`.
    """

    description: str | None = None
    relationship: str | None = None
    interaction_type: str | None = None
    emotional_tone: str | None = None
    relationship_tag: str | None = None
    interaction_type_tag: str | None = None


@dataclass(frozen=True)
class Keyframe:
    """A still of the reference video: its file, its time in seconds, and who is seen, if known."""

    path: Path
    time: float
    speaker: str | None = None


@dataclass(frozen=True)
class Dialogue:
    """One reference item of a benchmark. `duration` is the reference's, in seconds, where known.

    `tasks` are those that it is part of: Tasks 2 and 3 take some dialogues of a split only.
    `group` is the film or series that it is from, where known: dialogues of one are no independent
    draws.
    """

    id: str
    turns: tuple[Turn, ...]
    style: Style = field(default_factory=Style)
    audio: Path | None = None
    video: Path | None = None
    duration: float | None = None
    keyframes: tuple[Keyframe, ...] = ()
    tasks: tuple[Task, ...] = TASKS
    group: str | None = None

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Speaker names in the order in which they first speak."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))


@dataclass(frozen=True)
class Sample:
    """One dialogue with the file a system gave for it, or None."""

    dialogue: Dialogue
    output: Path | None


@dataclass(frozen=True)
class Audio:
    """Decoded sound: `samples` has shape (n,), float32 in [-1, 1], mono, at `sample_rate` Hz."""

    samples: FloatArray
    sample_rate: int = SAMPLE_RATE

    @property
    def duration(self) -> float:
        return len(self.samples) / self.sample_rate

    def cut(self, segment: Segment) -> Audio:
        """The part inside `segment`, clipped to the file's ends."""
        first = max(0, round(segment.start * self.sample_rate))
        last = max(first, round(segment.end * self.sample_rate))
        return Audio(self.samples[first:last], self.sample_rate)


@dataclass(frozen=True)
class Weights:
    """A model file that determines an extractor's output.

    `verified` is False when its sha256 is not one that the project lists.
    """

    name: str
    sha256: str
    verified: bool = True
