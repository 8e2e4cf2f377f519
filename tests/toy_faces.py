"""Drawn faces with mouths that open, for tests of what looks at video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.faces import Track, pack_tracks
from mmdia_eval.types import Audio, Dialogue, Frames, Segment, Turn

FRAME_RATE = 25
SIDE = 80
"""Pixels of a face's square."""
MARGIN = 24
PATCH = (SIDE + 2 * MARGIN, SIDE + 2 * MARGIN)
Colour: TypeAlias = tuple[float, ...]
SKINS: tuple[Colour, ...] = ((225, 180, 150), (150, 100, 70), (240, 205, 190))
WALL: Colour = (110, 125, 140)
LEFT, RIGHT = (24, 28), (152, 28)
"""Places of two faces in `film`."""

Signal = NDArray[np.float64]


def speech(frames: int, seed: int) -> Signal:
    """How loud someone is, frame by frame, in [0, 1]: noise at the pace of syllables."""
    noise = np.random.default_rng(seed).normal(size=frames)
    waves = gaussian_filter1d(noise, 1.5, mode="wrap") - gaussian_filter1d(noise, 5, mode="wrap")
    return np.clip(0.5 + 0.2 * waves / (waves.std() or 1.0), 0, 1)


def sound(loudness: Signal) -> Audio:
    """A tone of 200 Hz whose RMS in each frame is the square of `loudness`, times 0.5."""
    tone = np.sqrt(2) * np.sin(2 * np.pi * 200 * np.arange(len(loudness) * 640) / 16_000)
    return Audio((0.5 * tone * np.repeat(loudness**2, 640)).astype(np.float32))


def spoken(turns: Sequence[tuple[str, float, float]]) -> Dialogue:
    """A dialogue of turns: speaker, start and end in seconds."""
    return Dialogue("d", tuple(Turn(who, "words", Segment(a, b)) for who, a, b in turns))


def gated(loudness: Signal, dialogue: Dialogue, speaker: str) -> Signal:
    """`loudness` in the speaker's own turns, else 0."""
    found = np.zeros_like(loudness)
    for turn in dialogue.turns:
        if turn.speaker == speaker and turn.segment is not None:
            span = slice(*(round(each * FRAME_RATE) for each in vars(turn.segment).values()))
            found[span] = loudness[span]
    return found


def _ellipse(x: float, y: float, a: float, b: float) -> Any:
    """How much of an ellipse with half axes `a` and `b` each pixel of a patch holds."""
    rows, columns = np.mgrid[: PATCH[0], : PATCH[1]]
    outside = np.sqrt(((columns - MARGIN - x) / a) ** 2 + ((rows - MARGIN - y) / b) ** 2)
    return np.clip((1.1 - outside) / 0.2, 0, 1)[..., None]


@cache
def face(opening: float, skin: Colour) -> tuple[Any, Any]:
    """A face's colours, (height, width, 3), and how much each pixel covers; its square begins at
    `MARGIN` from the left and the top.
    """
    shade: Colour = tuple(0.75 * each for each in skin)
    socket: Colour = tuple(0.6 * each for each in skin)
    parts: list[tuple[float, float, float, float, Colour]] = [
        (0.5, 0.45, 0.48, 0.68, (50, 35, 30)),
        (0.5, 0.52, 0.41, 0.57, skin),
        *((x, 0.33, 0.11, 0.025, (80, 50, 40)) for x in (0.32, 0.68)),
        *((x, 0.42, 0.12, 0.07, socket) for x in (0.32, 0.68)),
        *((x, 0.42, 0.06, 0.035, (30, 20, 20)) for x in (0.32, 0.68)),
        (0.5, 0.63, 0.08, 0.02, shade),
        (0.5, 0.8, 0.17, 0.035 + 0.08 * opening, shade),
        (0.5, 0.8, 0.14, 0.005 + 0.08 * opening, (40, 15, 15)),
    ]
    colours: Any = np.zeros((*PATCH, 3))
    covered: Any = np.zeros((*PATCH, 1))
    for x, y, a, b, colour in parts:
        share = _ellipse(*(SIDE * each for each in (x, y, a, b)))
        colours = (1 - share) * colours + share * np.asarray(colour, dtype=np.float64)
        covered = covered + share * (1 - covered)
    return colours, covered


def paste(picture: Any, place: tuple[int, int], opening: float, skin: Colour) -> None:
    """Put a face whose square begins at `place` (x, y) into a float picture."""
    colours, covered = face(round(20 * opening) / 20, skin)
    left, top = place[0] - MARGIN, place[1] - MARGIN
    part = picture[top : top + PATCH[0], left : left + PATCH[1]]
    part[:] = (1 - covered) * part + colours


def film(
    openings: Mapping[tuple[int, int], Signal],
    size: tuple[int, int] = (256, 136),
    skins: Sequence[Colour] = SKINS,
    wall: Colour = WALL,
) -> tuple[Frames, FaceTracks]:
    """Faces at (x, y) with mouths that open so far in each frame, and their tracks."""
    frames = len(next(iter(openings.values())))
    pictures = np.empty((frames, size[1], size[0], 3), dtype=np.uint8)
    for frame in range(frames):
        picture = np.full((size[1], size[0], 3), wall, dtype=np.float64)
        for (place, signal), skin in zip(openings.items(), skins, strict=False):
            paste(picture, place, float(signal[frame]), skin)
        pictures[frame] = picture.round()
    tracks = [still_track(place, frames) for place in openings]
    names = [f"face {number}" for number in range(1, len(tracks) + 1)]
    return pictures, pack_tracks(tracks, names, ((0, frames),))


def still_track(place: tuple[float, float], frames: int, first: int = 0) -> Track:
    """A face that keeps its place."""
    x, y = place
    box = np.array([x, y, x + SIDE, y + SIDE], dtype=np.float32)
    return Track(first, np.tile(box, (frames, 1)), np.ones(frames, dtype=np.float32))
