"""Seven systems of Task 3 made of the mini benchmark's clips, six with one known defect each.

For the demo and the tests: each metric can be seen to notice what it ought to notice. The sound is
right in all of them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mmdia_eval import example_clips, example_faces
from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.example_clips import (
    CLIPS,
    Clip,
    Frames,
    Scene,
    make_scene,
    read_clips,
    write_mp4,
)
from mmdia_eval.example_systems import empty_folder, write_system_file
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.submission import Kind
from mmdia_eval.types import FRAME_RATE, Dialogue

LAG = 0.2
"""Seconds, for `lagged`."""

BLUR = 4.0
"""Pixels, for `blurred`: the standard deviation of the Gaussian."""

MADE = "made.json"
"""What is in the systems' folders, and what it was made of: so that it need not be made again."""

MAX_THREADS = 4
"""Each holds the frames of a clip several times over: some 150 MB."""


def as_is(scene: Scene) -> None:
    """Nothing to film: the reference clip itself is the answer."""


def late_mouths(scene: Scene) -> Frames:
    """Every mouth LAG after the sound."""
    lag = round(LAG * FRAME_RATE)
    return scene.film({name: np.pad(o, (lag, 0))[:-lag] for name, o in scene.openings.items()})


def others_mouths(scene: Scene) -> Frames:
    """Each mouth moves in the turns of the others; he who is alone keeps his closed."""
    return scene.film(
        {
            name: np.max([o for other, o in scene.openings.items() if other != name], axis=0)
            for name in scene.clip.cast
            if any(other != name for other in scene.openings)
        }
    )


def one_picture(scene: Scene) -> Frames:
    """The first frame all the time."""
    first = scene.film(scene.openings)[:1]
    return np.broadcast_to(first, (scene.frames, *first.shape[1:]))


def out_of_focus(scene: Scene) -> Frames:
    """A Gaussian blur of BLUR over every frame."""
    from av import VideoFormat, VideoFrame  # noqa: PLC0415
    from av.filter import Graph  # noqa: PLC0415

    frames = scene.film(scene.openings)
    graph = Graph()
    graph.threads = 1
    height, width = frames.shape[1:3]
    steps = (
        graph.add_buffer(
            width=width, height=height, format=VideoFormat("rgb24"), time_base=Fraction(1)
        ),
        graph.add("format", "gbrp"),
        graph.add("gblur", f"sigma={BLUR}:steps=3"),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    )
    graph.link_nodes(*steps).configure()
    for number, frame in enumerate(frames):
        sharp = VideoFrame.from_ndarray(frame, format="rgb24")
        sharp.pts = number
        graph.push(sharp)
        frames[number] = graph.vpull().to_ndarray()
    return frames


def closed_mouths(scene: Scene) -> Frames:
    """No mouth ever opens."""
    return scene.film({})


def turned_away(scene: Scene) -> Frames:
    """Everybody is seen from behind."""
    return scene.film_still(away=True)


@dataclass(frozen=True)
class VideoSystem:
    """A way to film a scene, and what is wrong with it in one line."""

    defect: str
    film: Callable[[Scene], Frames | None]
    kind: Kind = "system"


VIDEO_SYSTEMS: Mapping[str, VideoSystem] = {
    "reference": VideoSystem("None: the reference clips as they are.", as_is, "ground_truth"),
    "lagged": VideoSystem(f"The mouths are {1000 * LAG:g} ms late.", late_mouths),
    "swapped-mouths": VideoSystem("The listener's mouth moves, the speaker's not.", others_mouths),
    "frozen": VideoSystem("One picture stands throughout.", one_picture),
    "blurred": VideoSystem(f"A Gaussian blur of {BLUR:g} pixels.", out_of_focus),
    "silent-mouths": VideoSystem("No mouth ever opens.", closed_mouths),
    "missing-face": VideoSystem("Everybody is seen from behind.", turned_away),
}


def make_video_systems(benchmark_dir: Path, out: Path) -> list[Path]:
    """Write `out`/<system>/output_<id>.mp4 and submission.toml for each of VIDEO_SYSTEMS.

    `benchmark_dir` is a folder that make_mini_clips.py completed. Gives the systems' folders, in
    the order of VIDEO_SYSTEMS. What an earlier call made of the same clips is left as it is; else
    MP4 files already there are removed.

    Raises:
        UserError: the benchmark has no clips, or one of its files cannot be read.
    """
    clips = read_clips(benchmark_dir)
    mini = load_benchmark(benchmark_dir)
    dialogues = {one.id: one for split in mini.splits.values() for one in split}
    videos = {clip.id: _video(dialogues[clip.id]) for clip in clips}
    origin = _origin(benchmark_dir, videos.values())
    if not _is_made(out, origin):
        for name, system in VIDEO_SYSTEMS.items():
            empty_folder(out / name, "output_*.mp4")
            write_system_file(out / name, system.defect, system.kind)
        with ThreadPoolExecutor(max_workers=min(MAX_THREADS, os.cpu_count() or 1)) as pool:
            sources = [dialogues[clip.source] for clip in clips]
            answered = [dialogues[clip.id] for clip in clips]
            list(pool.map(partial(_answer, out), clips, answered, sources))
        made = {"origin": origin, "files": _contents(out)}
        (out / MADE).write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    return [out / name for name in VIDEO_SYSTEMS]


def _answer(out: Path, clip: Clip, dialogue: Dialogue, source: Dialogue) -> None:
    """Each system's video of a clip."""
    scene = make_scene(clip, dialogue, source)
    for name, system in VIDEO_SYSTEMS.items():
        path = out / name / f"output_{clip.id}.mp4"
        frames = system.film(scene)
        if frames is None:
            shutil.copyfile(_video(dialogue), path)
        else:
            write_mp4(path, frames, scene.sound)


def _origin(benchmark_dir: Path, videos: Iterable[Path]) -> str:
    """What the systems are made by and of: this code, the clips' scenes and files, FFmpeg."""
    code = (Path(__file__), Path(example_clips.__file__), Path(example_faces.__file__))
    files = [*code, benchmark_dir / CLIPS, *videos]
    return digest([version("av"), version("numpy"), *map(file_sha256, files)])


def _is_made(out: Path, origin: str) -> bool:
    """Whether the systems' folders hold just what was made of the same."""
    try:
        made = json.loads((out / MADE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(made == {"origin": origin, "files": _contents(out)})


def _contents(out: Path) -> dict[str, str]:
    """The sha256 of each system's files."""
    paths = [path for name in VIDEO_SYSTEMS for path in sorted((out / name).glob("*"))]
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in paths}


def _video(dialogue: Dialogue) -> Path:
    if dialogue.video is None or not dialogue.video.is_file():
        raise UserError(
            f"dialogue {dialogue.id!r}: its clip is missing; restore the mini benchmark"
        )
    return dialogue.video
