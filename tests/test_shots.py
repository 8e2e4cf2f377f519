from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

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
