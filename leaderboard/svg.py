"""Plots as SVG paths, made when the page is built: no script draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdia_eval.details import Voice
from mmdia_eval.types import FloatArray

WIDTH, HEIGHT = 320, 56
BINS = 40
AXIS = 4
"""Pixels below the bars."""
WAVE_HEIGHT = 40
LANE_HEIGHT = 14


@dataclass(frozen=True)
class Histogram:
    """How many values lie where between `low` and `high`: `bars`, the highest as high as can be.

    `mark` is the metric's value and `band` its interval, in pixels.
    """

    low: float
    high: float
    count: int
    bars: str
    mark: float | None
    band: tuple[float, float] | None


def histogram(
    values: Sequence[float], mark: float | None, band: tuple[float, float] | None
) -> Histogram | None:
    """`BINS` bars, those with a value at least a pixel high; None without values."""
    if not values:
        return None
    shown = [*values, *([mark] if mark is not None else []), *(band or ())]
    low, high = min(shown), max(shown)
    # Values that differ by rounding alone are one value.
    span = high - low if high - low > 1e-9 * max(abs(low), abs(high)) else 1.0

    def x(value: float) -> float:
        return round(float((value - low) / span * WIDTH), 1)

    places = ((np.asarray(values) - low) / span * BINS).astype(int)
    counts = np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
    floor, step = HEIGHT - AXIS, WIDTH // BINS
    heights = [max(1, round(count / counts.max() * (floor - 1))) for count in counts]
    bars = "".join(
        f"M{step * place} {floor}v-{tall}h{step - 1}v{tall}z"
        for place, (tall, count) in enumerate(zip(heights, counts, strict=True))
        if count
    )
    ends = (x(band[0]), x(band[1])) if band else None
    return Histogram(low, high, len(values), bars, None if mark is None else x(mark), ends)


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
