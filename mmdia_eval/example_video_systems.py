"""Seven systems of Task 3 made of the mini benchmark's clips, six with one known defect each.

For the demo and the tests: each metric can be seen to notice what it ought to notice. The sound is
right in all of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.example_clips import (
    Clip,
    Frames,
    Scene,
    make_scene,
    read_clips,
    write_mp4,
)
from mmdia_eval.example_systems import empty_folder, write_system_file
from mmdia_eval.types import FRAME_RATE, Dialogue

LAG = 0.2
"""Seconds, for `lagged`."""

BLUR = 4.0
"""Pixels, for `blurred`: the standard deviation of the Gaussian."""

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
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415

    frames = scene.film(scene.openings)
    for frame in frames:
        gaussian_filter(frame, (BLUR, BLUR, 0), output=frame, truncate=3)
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


VIDEO_SYSTEMS: Mapping[str, VideoSystem] = {
    "reference": VideoSystem("None: the reference clips as they are.", as_is),
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
    the order of VIDEO_SYSTEMS; MP4 files already there are removed.

    Raises:
        UserError: the benchmark has no clips, or one of its files cannot be read.
    """
    clips = read_clips(benchmark_dir)
    mini = load_benchmark(benchmark_dir)
    dialogues = {one.id: one for split in mini.splits.values() for one in split}
    videos = {clip.id: _video(dialogues[clip.id]) for clip in clips}
    for name, system in VIDEO_SYSTEMS.items():
        empty_folder(out / name, "output_*.mp4")
        write_system_file(out / name, system.defect)

    def answer(clip: Clip) -> None:
        scene = make_scene(clip, dialogues[clip.id], dialogues[clip.source])
        for name, system in VIDEO_SYSTEMS.items():
            path = out / name / f"output_{clip.id}.mp4"
            frames = system.film(scene)
            if frames is None:
                shutil.copyfile(videos[clip.id], path)
            else:
                write_mp4(path, frames, scene.sound)

    with ThreadPoolExecutor(max_workers=min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        list(pool.map(answer, clips))
    return [out / name for name in VIDEO_SYSTEMS]


def _video(dialogue: Dialogue) -> Path:
    if dialogue.video is None or not dialogue.video.is_file():
        raise UserError(
            f"dialogue {dialogue.id!r}: its clip is missing; restore the mini benchmark"
        )
    return dialogue.video
