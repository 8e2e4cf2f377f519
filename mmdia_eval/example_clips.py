"""The mini benchmark's clips as scenes: who is seen where, whose mouth opens when, and the files.

The scenes are in clips.jsonl beside the benchmark. A mouth opens with the envelope of its owner's
own turns, cut out of the dialogue that the clip is an excerpt of.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.errors import UserError
from mmdia_eval.example_faces import (
    LOOKS,
    Colour,
    Look,
    Pose,
    draw_mouth,
    draw_person,
    draw_room,
    finished,
)
from mmdia_eval.example_systems import cut, read_reference
from mmdia_eval.types import FRAME_RATE, SAMPLE_RATE, Dialogue, FloatArray, Segment

CLIPS = "clips.jsonl"
WIDTH, HEIGHT = 320, 240
SAMPLES = SAMPLE_RATE // FRAME_RATE
"""Samples of sound under one frame."""

QUALITY = 22
"""Constant rate factor of x264."""
PRESET = "veryfast"
"""x264's speed. With `veryslow` its bytes differ from run to run (x264 in PyAV 18.1)."""
SOUND_BIT_RATE = 40_000

WALLS: tuple[Colour, ...] = (
    (146, 160, 176),
    (184, 150, 126),
    (124, 148, 136),
    (182, 144, 142),
    (148, 150, 182),
    (176, 164, 128),
)
"""Cool and warm ones in turn: walls that face each other differ enough for a cut to be found."""

SWAY = 0.035
"""How far a head moves either way, in halves of the face's height; in radians how far it tilts."""
BLINK = (0.4, 1.0, 1.0, 0.6, 0.2)
"""How far the eyes are closed in each frame of a blink."""
BLINK_GAPS = (1.6, 3.6)
"""Seconds from blink to blink, at least and at most."""
COMPRESSION = 0.7
"""Exponent on the envelope: quiet syllables open a mouth more than their level says."""

Frames: TypeAlias = NDArray[np.uint8]
"""(frames, height, width, 3), red-green-blue."""


@dataclass(frozen=True)
class Framing:
    """Where the people of a shot are, from left to right, and the room behind them.

    `opposite`: the camera looks the other way, at another wall.
    """

    places: tuple[Pose, ...]
    zoom: float
    opposite: bool = False


FRAMINGS: Mapping[str, Framing] = {
    "close": Framing((Pose(160, 112, 74, turn=0.1),), 1.7),
    "reverse": Framing((Pose(164, 114, 72, turn=-0.1),), 1.7, opposite=True),
    "medium": Framing((Pose(150, 104, 56, turn=0.2),), 1.25),
    "two": Framing((Pose(92, 104, 47, turn=0.45), Pose(226, 108, 47, turn=-0.45)), 1.0),
    "near two": Framing(
        (Pose(86, 110, 57, turn=0.4), Pose(236, 114, 57, turn=-0.4)), 1.3, opposite=True
    ),
}


@dataclass(frozen=True)
class Shot:
    """What is seen from frame `first` on: a framing, and its people from left to right."""

    first: int
    framing: str
    people: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """One line of clips.jsonl: the scene of the dialogue `id`.

    `source` is the dialogue that it is an excerpt of and `turns` the numbers of its turns there;
    `cast` gives each person who is ever seen a look of LOOKS.
    """

    id: str
    source: str
    turns: tuple[int, ...]
    cast: Mapping[str, str]
    shots: tuple[Shot, ...]

    def wall(self, framing: Framing) -> Colour:
        """The colour of the wall behind its people."""
        return WALLS[(zlib.crc32(self.id.encode()) + framing.opposite) % len(WALLS)]


def read_clips(benchmark_dir: Path) -> list[Clip]:
    """The clips of the mini benchmark.

    Raises:
        UserError: the folder has none.
    """
    path = benchmark_dir / CLIPS
    if not path.is_file():
        raise UserError(f"{path} is missing; example videos are made of the mini benchmark only")
    clips = []
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        shots = tuple(Shot(s["first"], s["framing"], tuple(s["people"])) for s in entry["shots"])
        clips.append(Clip(**(entry | {"turns": tuple(entry["turns"]), "shots": shots})))
    return clips


def segments_of(dialogue: Dialogue) -> list[Segment]:
    """The times of its turns.

    Raises:
        UserError: a turn has none.
    """
    segments = [turn.segment for turn in dialogue.turns if turn.segment is not None]
    if len(segments) < len(dialogue.turns):
        raise UserError(f"dialogue {dialogue.id!r} has turns without times")
    return segments


def make_scene(clip: Clip, dialogue: Dialogue, source: Dialogue) -> Scene:
    """The scene of `dialogue`, an excerpt of `source`, whose recording is read.

    Raises:
        UserError: turns without times, or no readable recording.
    """
    samples = read_reference(source)
    origin = segments_of(source)
    frames = round((dialogue.duration or 0) * FRAME_RATE)
    voices = {name: np.zeros(frames * SAMPLES, np.float32) for name in dialogue.speakers}
    for number, turn, segment in zip(
        clip.turns, dialogue.turns, segments_of(dialogue), strict=True
    ):
        spoken = cut(samples, origin[number])
        at = round(segment.start * SAMPLE_RATE)
        voices[turn.speaker][at : at + len(spoken)] += spoken
    return Scene(clip, voices)


def opening(voice: FloatArray) -> FloatArray:
    """How far a mouth is open in each frame, in [0, 1], from its owner's voice alone.

    The level of the 40 ms under each frame against the loud ones of the clip, smoothed over three.
    """
    level: FloatArray = np.sqrt((voice.reshape(-1, SAMPLES) ** 2).mean(axis=1))
    if not level.any():
        return level
    loud = np.quantile(level[level > 0.1 * level.max()], 0.9)
    opened = np.clip(level / loud, 0, 1) ** COMPRESSION
    smooth = np.convolve(opened, (0.25, 0.5, 0.25), mode="same")
    return np.where(smooth < 0.05, 0, smooth).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip with what each of its speakers says and nothing else, (640 * frames,) by name."""

    clip: Clip
    voices: Mapping[str, FloatArray]

    @property
    def frames(self) -> int:
        return len(self.sound) // SAMPLES

    @cached_property
    def sound(self) -> FloatArray:
        """All voices together."""
        together: FloatArray = np.sum(list(self.voices.values()), axis=0)
        return together

    @cached_property
    def openings(self) -> dict[str, FloatArray]:
        """How far each speaker's mouth is open, (frames,) in [0, 1]."""
        return {name: opening(voice) for name, voice in self.voices.items()}

    def look(self, name: str) -> Look:
        """What one of the cast looks like."""
        return LOOKS[self.clip.cast[name]]

    @cached_property
    def poses(self) -> list[dict[str, Pose]]:
        """Who is seen in each frame, and how."""
        motions = {name: list(self._motion(name)) for name in self.clip.cast}
        return [
            {
                name: _moved(place, motions[name][frame])
                for name, place in zip(shot.people, FRAMINGS[shot.framing].places, strict=True)
            }
            for shot, end in self._shots
            for frame in range(shot.first, end)
        ]

    @property
    def _shots(self) -> Iterator[tuple[Shot, int]]:
        """Each shot with the first frame after it."""
        ends = [shot.first for shot in self.clip.shots[1:]] + [self.frames]
        return zip(self.clip.shots, ends, strict=True)

    def _motion(self, name: str) -> Iterator[Pose]:
        """How a head differs from its place in each frame; `x` and `y` in units of `size`."""
        dice = np.random.default_rng(zlib.crc32(f"{self.clip.id} {name}".encode()))
        seconds = np.arange(self.frames) / FRAME_RATE
        speeds, phases = dice.uniform(0.15, 0.6, (4, 2, 1)), dice.uniform(0, 1, (4, 2, 1))
        waves = np.sin(2 * np.pi * (speeds * seconds + phases)).mean(axis=1)
        blinks = np.zeros(self.frames + len(BLINK))
        frame = int(dice.uniform(0.3, BLINK_GAPS[1]) * FRAME_RATE)
        while frame < self.frames:
            blinks[frame : frame + len(BLINK)] = BLINK
            frame += int(dice.uniform(*BLINK_GAPS) * FRAME_RATE)
        for (x, y, tilt, turn), blink in zip(waves.T, blinks, strict=False):
            yield Pose(SWAY * x, SWAY * y, 1, SWAY * tilt, 0.2 * turn, float(blink))

    def film_still(self, *, away: bool = False) -> Frames:
        """The frames without mouths; with `away` everybody is seen from behind."""
        rooms = {shot.framing: self._room(FRAMINGS[shot.framing]) for shot in self.clip.shots}
        frames = np.empty((self.frames, HEIGHT, WIDTH, 3), np.uint8)
        for shot, end in self._shots:
            for number in range(shot.first, end):
                picture = rooms[shot.framing].copy()
                for name, pose in self.poses[number].items():
                    draw_person(picture, self.look(name), replace(pose, away=away))
                frames[number] = finished(picture)
        return frames

    def _room(self, framing: Framing) -> FloatArray:
        wall = self.clip.wall(framing)
        return draw_room(WIDTH, HEIGHT, wall, framing.zoom, mirrored=framing.opposite)

    @cached_property
    def still(self) -> Frames:
        """The frames without mouths."""
        return self.film_still()

    def film(self, mouths: Mapping[str, FloatArray]) -> Frames:
        """The frames with the mouths open as told; who is not told of keeps it closed."""
        frames = self.still.copy()
        for number, poses in enumerate(self.poses):
            for name, pose in poses.items():
                opened = float(mouths[name][number]) if name in mouths else 0.0
                draw_mouth(frames[number], self.look(name), pose, opened)
        return frames


def _moved(place: Pose, motion: Pose) -> Pose:
    return Pose(
        x=place.x + place.size * motion.x,
        y=place.y + place.size * motion.y,
        size=place.size,
        tilt=motion.tilt,
        turn=place.turn + motion.turn,
        blink=motion.blink,
    )


def write_mp4(path: Path, frames: Frames, samples: FloatArray) -> None:
    """Write H.264 at FRAME_RATE and AAC; `samples` are mono at SAMPLE_RATE.

    The same FFmpeg gives the same bytes.
    """
    import av  # noqa: PLC0415

    exact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", container_options=exact) as container:
        picture = container.add_stream("libx264", rate=FRAME_RATE)
        picture.width, picture.height = frames.shape[2], frames.shape[1]
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": str(QUALITY), "preset": PRESET, "threads": "1"}
        sound = container.add_stream("aac", rate=SAMPLE_RATE, options={"flags": "+bitexact"})
        sound.bit_rate = SOUND_BIT_RATE
        sound.layout = "mono"
        whole = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        whole.sample_rate = SAMPLE_RATE
        whole.pts = 0  # else the file hides nothing of AAC's 1024 samples of delay
        for frame in frames:
            coded = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(picture.encode(coded))
        container.mux(picture.encode(None))
        container.mux(sound.encode(whole))
        container.mux(sound.encode(None))
