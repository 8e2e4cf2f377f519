"""Plots as SVG paths, made when the page is built: no script draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdia_eval.details import Voice
from mmdia_eval.types import FloatArray

WIDTH = 320
DOT = 4
"""Pixels from dot to dot, across and up."""
TALLEST = 10
"""Dots in a column; higher ones are scaled to it."""
WAVE_HEIGHT = 40
LANE_HEIGHT = 14


@dataclass(frozen=True)
class Strip:
    """Values as dots over a line from `low` to `high`, stacked where they meet.

    `mark` is the metric's value and `band` its interval, in pixels.
    """

    low: float
    high: float
    height: int
    dots: str
    mark: float | None
    band: tuple[float, float] | None


def strip(
    values: Sequence[float], mark: float | None, band: tuple[float, float] | None
) -> Strip | None:
    """A dot a dialogue; None without values."""
    if not values:
        return None
    shown = [*values, *([mark] if mark is not None else []), *(band or ())]
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(float(DOT + (value - low) / span * (WIDTH - 2 * DOT)), 1)

    columns = Counter(round(x(value) / DOT) * DOT for value in values)
    tallest = max(columns.values())
    scale = min(1.0, TALLEST / tallest)
    tall = {place: max(1, round(count * scale)) for place, count in columns.items()}
    height = (max(tall.values()) + 1) * DOT + 4
    dots = "".join(
        f"M{place} {height - 4 - DOT * (level + 1)}h0"
        for place, count in sorted(tall.items())
        for level in range(count)
    )
    ends = (x(band[0]), x(band[1])) if band else None
    return Strip(low, high, height, dots, None if mark is None else x(mark), ends)


def waveform(samples: FloatArray, width: int = 2 * WIDTH) -> str:
    """The envelope of mono samples in [-1, 1], (n,), as one vertical line for two pixels."""
    peaks = [
        float(np.abs(part).max()) if len(part) else 0.0
        for part in np.array_split(samples, width // 2)
    ]
    loudest = max(peaks) or 1.0
    middle = WAVE_HEIGHT / 2
    lines = []
    for number, peak in enumerate(peaks):
        half = max(0.5, peak / loudest * (middle - 1))
        lines.append(f"M{2 * number + 1} {middle - half:.1f}V{middle + half:.1f}")
    return "".join(lines)


@dataclass(frozen=True)
class Lane:
    """One voice: its label, and its stretches of speech as (x, width) in pixels."""

    speaker: str
    bars: tuple[tuple[float, float], ...]


def lanes(voices: Sequence[Voice], seconds: float, width: int = 2 * WIDTH) -> list[Lane]:
    """A lane a voice, in the order in which they first speak."""
    scale = width / max([seconds, *(voice.end for voice in voices)])
    return [
        Lane(
            speaker,
            tuple(
                (round(v.start * scale, 1), round(max(v.end - v.start, 0.02) * scale, 1))
                for v in voices
                if v.speaker == speaker
            ),
        )
        for speaker in dict.fromkeys(voice.speaker for voice in voices)
    ]
