"""The reference's lossy generations: same pictures in the same order, a little the worse."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdia_eval.round_trips import recoded, recoded_crops, versions
from mmdia_eval.types import Frames

pytest.importorskip("cv2")


def blobs(count: int, height: int, width: int) -> Frames:
    """Smooth colours with a bright disc that moves to the right, three pixels a frame."""
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 200 / width, y * 200 / height, (x + y) * 100 / (width + height)], axis=-1)
    frames = np.repeat(base[None], count, axis=0)
    for index in range(count):
        disc = (x - 12 - 3 * index) ** 2 + (y - height / 2) ** 2 < 64
        frames[index, disc] = 240
    return frames.astype(np.uint8)


def apart(a: Frames, b: Frames) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize(("height", "width"), [(96, 128), (97, 127)])
def test_whole_frames_keep_size_and_order_and_lose_little(height: int, width: int) -> None:
    frames = blobs(20, height, width)
    worn = recoded(frames)
    assert worn.shape == frames.shape
    assert worn.dtype == np.uint8
    assert 0 < apart(worn, frames) < 3
    for index in (0, 9, 19):
        assert np.argmin([apart(worn[index], frame) for frame in frames]) == index


def test_crops_lose_more() -> None:
    crops = blobs(20, 224, 224)
    crops = (crops + np.random.default_rng(0).integers(0, 12, crops.shape)).astype(np.uint8)
    worn = recoded_crops(crops)
    assert worn.shape == crops.shape
    assert apart(recoded(crops), crops) < apart(worn, crops) < 15
    for index in (0, 9, 19):
        assert np.argmin([apart(worn[index], crop) for crop in crops]) == index


def test_one_frame_is_enough() -> None:
    assert recoded(blobs(1, 48, 64)).shape == (1, 48, 64, 3)
    assert recoded_crops(blobs(1, 224, 224)).shape == (1, 224, 224, 3)


def test_the_encoders_are_named() -> None:
    assert versions()["libavcodec"].count(".") == 2


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg binary")
def test_frames_are_those_of_the_command_line(tmp_path: Path) -> None:
    """Two commands of syncnet_python's run_pipeline; versions of FFmpeg differ in the last bits."""
    import cv2

    frames = blobs(20, 96, 128)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "128x96", "-r", "25", "-i", "-"]
    quiet = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run(
        [*quiet, *source, "-qscale:v", "2", "-r", "25", "v.avi"],
        input=frames.tobytes(),
        cwd=tmp_path,
        check=True,
    )
    extract = ["-i", "v.avi", "-qscale:v", "2", "-threads", "1", "-f", "image2", "%06d.jpg"]
    subprocess.run([*quiet, *extract], cwd=tmp_path, check=True)
    read: list[Any] = [cv2.imread(str(path)) for path in sorted(tmp_path.glob("*.jpg"))]
    expected = np.stack(read)[..., ::-1]
    assert expected.shape == frames.shape
    assert apart(recoded(frames), expected) < 0.3 * apart(expected, frames)
