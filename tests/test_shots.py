from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import scenedetect

from mmdia_eval.shots import shots
from mmdia_eval.types import Frames


def views(*lengths: int) -> Frames:
    """Noise of another colour in each shot, moving a little from frame to frame."""
    rng = np.random.default_rng(0)
    parts = []
    for index, length in enumerate(lengths):
        colour = ([20, 60, 180], [180, 150, 20])[index % 2]
        picture = rng.integers(0, 60, (48, 64, 3)) + np.array(colour)
        parts += [np.roll(picture, frame % 3, axis=1) for frame in range(length)]
    return np.array(parts, dtype=np.uint8)


@pytest.mark.parametrize("lengths", [(40,), (30, 50), (20, 25, 30)])
def test_cuts_are_where_the_view_changes(lengths: tuple[int, ...]) -> None:
    edges = [0, *np.cumsum(lengths).tolist()]
    assert shots(views(*lengths)) == tuple(pairwise(edges))


def test_shots_fill_the_video_however_short() -> None:
    assert shots(views(1)) == ((0, 1),)
    assert shots(views(0)) == ()


def test_a_flash_makes_one_cut_at_most() -> None:
    frames = views(60)
    frames[30:32] = 255
    assert len(shots(frames)) <= 2


def test_a_threshold_that_nothing_passes_leaves_one_shot() -> None:
    assert shots(views(20, 20), threshold=255.0) == ((0, 40),)


@pytest.mark.parametrize("size", [(64, 48), (257, 62), (640, 90), (1280, 48)])
def test_cuts_are_those_of_the_librarys_own_manager(size: tuple[int, int], tmp_path: Path) -> None:
    """Frames of full size would give other cuts in the 640x90 pixels of noise."""
    draw = np.random.default_rng(sum(size))
    shape = (size[1], size[0], 3)
    views = [
        np.clip(draw.integers(80, 170, 3) + draw.normal(0, draw.uniform(0, 40), shape), 0, 255)
        for _ in range(12)
    ]
    frames = [view.astype(np.uint8) for view in views for _ in range(20)]
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 25, size)
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    reader = cv2.VideoCapture(str(path))
    seen = np.array([reader.read()[1][..., ::-1] for _ in frames])
    theirs = scenedetect.detect(str(path), scenedetect.ContentDetector(), start_in_scene=True)
    expected = tuple((a.get_frames(), b.get_frames()) for a, b in theirs)
    assert shots(seen) == expected
    assert len(expected) > 1
