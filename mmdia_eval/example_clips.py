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
    Frame,
    Pose,
    draw_mouth,
    draw_person,
    draw_room,
    finished,
)
from mmdia_eval.types import SAMPLE_RATE, Dialogue, FloatArray, Segment

CLIPS = "clips.jsonl"
FRAME_RATE = 25
WIDTH, HEIGHT = 320, 240
SAMPLES = SAMPLE_RATE // FRAME_RATE
"""Samples of sound under one frame."""

QUALITY = 22
"""Constant rate factor of x264."""
SOUND_BIT_RATE = 40_000

WALLS: tuple[Colour, ...] = (
    (150, 160, 170),
    (180, 150, 130),
    (120, 140, 130),
    (160, 150, 170),
    (170, 165, 140),
)
FRAMINGS: Mapping[str, tuple[Pose, ...]] = {
    "close": (Pose(160, 112, 74, turn=0.1),),
    "medium": (Pose(150, 104, 56, turn=0.2),),
    "two": (Pose(92, 104, 47, turn=0.45), Pose(226, 108, 47, turn=-0.45)),
    "near two": (Pose(86, 110, 57, turn=0.4), Pose(236, 114, 57, turn=-0.4)),
}
"""Where the people of a shot are, from left to right."""

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

    @property
    def wall(self) -> Colour:
        """The colour of the room."""
        return WALLS[zlib.crc32(self.id.encode()) % len(WALLS)]


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


def separate_voices(
    clip: Clip, dialogue: Dialogue, source: Dialogue, samples: FloatArray, frames: int
) -> dict[str, FloatArray]:
    """What each speaker says in the clip and nothing else: (640 * frames,) samples by speaker.

    `samples` are those of the recording of `source`.
    """
    origin = segments_of(source)
    voices = {name: np.zeros(frames * SAMPLES, np.float32) for name in dialogue.speakers}
    for number, turn, segment in zip(
        clip.turns, dialogue.turns, segments_of(dialogue), strict=True
    ):
        first, last = (round(t * SAMPLE_RATE) for t in (origin[number].start, origin[number].end))
        at = round(segment.start * SAMPLE_RATE)
        voices[turn.speaker][at : at + last - first] += samples[first:last]
    return voices


def openings(voice: FloatArray) -> FloatArray:
    """How far a mouth is open in each frame, in [0, 1], from its owner's voice alone.

    The level of the 40 ms under each frame against the loud ones of the clip, smoothed over three.
    """
    level = np.sqrt((voice.reshape(-1, SAMPLES) ** 2).mean(axis=1))
    if not level.any():
        return level
    loud = np.quantile(level[level > 0.1 * level.max()], 0.9)
    opened = np.clip(level / loud, 0, 1) ** COMPRESSION
    smooth = np.convolve(opened, (0.25, 0.5, 0.25), mode="same")
    return np.where(smooth < 0.05, 0, smooth).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip with its people's mouths: `openings` (frames,) by name of those who speak in it."""

    clip: Clip
    openings: Mapping[str, FloatArray]

    @property
    def frames(self) -> int:
        return len(next(iter(self.openings.values())))

    @cached_property
    def poses(self) -> list[dict[str, Pose]]:
        """Who is seen in each frame, and how."""
        motions = {name: list(self._motion(name)) for name in self.clip.cast}
        ends = [shot.first for shot in self.clip.shots[1:]] + [self.frames]
        return [
            {
                name: _moved(place, motions[name][frame])
                for name, place in zip(shot.people, FRAMINGS[shot.framing], strict=True)
            }
            for shot, end in zip(self.clip.shots, ends, strict=True)
            for frame in range(shot.first, end)
        ]

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
        room = draw_room(WIDTH, HEIGHT, self.clip.wall)
        frames = np.empty((self.frames, HEIGHT, WIDTH, 3), np.uint8)
        for frame, poses in zip(frames, self.poses, strict=True):
            picture = room.copy()
            for name, pose in poses.items():
                draw_person(picture, LOOKS[self.clip.cast[name]], replace(pose, away=away))
            frame[:] = finished(picture)
        return frames

    @cached_property
    def still(self) -> Frames:
        """The frames without mouths."""
        return self.film_still()

    def film(self, mouths: Mapping[str, FloatArray]) -> Frames:
        """The frames with the mouths open as told; who is not told of keeps it closed."""
        frames = self.still.copy()
        for number, poses in enumerate(self.poses):
            for name, pose in poses.items():
                opening = float(mouths[name][number]) if name in mouths else 0.0
                draw_mouth(frames[number], LOOKS[self.clip.cast[name]], pose, opening)
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


def write_mp4(path: Path, frames: Frames, samples: FloatArray, preset: str) -> None:
    """Write H.264 and AAC; `preset` is one of x264's speeds.

    `samples` are mono at SAMPLE_RATE. The same FFmpeg gives the same bytes.
    """
    import av  # noqa: PLC0415

    exact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", container_options=exact) as container:
        picture = container.add_stream("libx264", rate=FRAME_RATE)
        picture.width, picture.height = frames.shape[2], frames.shape[1]
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": str(QUALITY), "preset": preset, "threads": "1"}
        sound = container.add_stream("aac", rate=SAMPLE_RATE, options={"flags": "+bitexact"})
        sound.bit_rate = SOUND_BIT_RATE
        sound.layout = "mono"
        whole = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        whole.sample_rate = SAMPLE_RATE
        for frame in (*frames, None):
            given = None if frame is None else _coded(frame)
            for packet in picture.encode(given):
                container.mux(packet)
        for item in (whole, None):
            for packet in sound.encode(item):
                container.mux(packet)


def _coded(frame: Frame) -> object:
    import av  # noqa: PLC0415

    return av.VideoFrame.from_ndarray(frame, format="rgb24")
