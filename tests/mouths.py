"""What the mouths of drawn clips do, measured in their pixels."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mmdia_eval import media
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.example_clips import SAMPLES, Clip, Frames, Scene, make_scene, read_clips
from mmdia_eval.types import Dialogue, FloatArray

Series = NDArray[np.float64]

MINI = resolve_benchmark("mini")
DIALOGUES = {one.id: one for split in load_benchmark(MINI).splits.values() for one in split}
CLIPS = {clip.id: clip for clip in read_clips(MINI)}


def dialogue_of(clip: Clip) -> Dialogue:
    return DIALOGUES[clip.id]


def scene_of(clip: Clip) -> Scene:
    return make_scene(clip, dialogue_of(clip), DIALOGUES[clip.source])


def pictures(path: Path | None) -> Frames:
    """The frames of a video, as they are in the file."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def sound(path: Path | None) -> FloatArray:
    assert path is not None
    info, audio = media.decode(path)
    assert audio is not None, info.problem
    return audio.samples


def envelope(samples: FloatArray) -> Series:
    """RMS of each frame's sound."""
    whole = samples[: len(samples) // SAMPLES * SAMPLES].astype(np.float64)
    return np.asarray(np.sqrt((whole.reshape(-1, SAMPLES) ** 2).mean(axis=1)))


def darkness(frames: Frames, scene: Scene, name: str) -> Series:
    """Share of dark pixels where a person's mouth is, in each frame; nan while unseen.

    Dark is what has less than half the green of the region's median.
    """
    dark = np.full(len(frames), np.nan)
    for number, poses in enumerate(scene.poses):
        if name in poses:
            x, y = poses[name].mouth
            size = poses[name].size
            rows = slice(round(y - 0.15 * size), round(y + 0.45 * size))
            columns = slice(round(x - 0.4 * size), round(x + 0.4 * size))
            green = frames[number][rows, columns, 1]
            dark[number] = np.mean(green < 0.5 * np.median(green))
    return dark


def correlation(left: Series, right: Series) -> float:
    """Over the frames where both have a value."""
    both = np.isfinite(left) & np.isfinite(right)
    return float(np.corrcoef(left[both], right[both])[0, 1])
