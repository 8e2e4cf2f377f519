from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.clips import PRESETS, clips, first_frames, resized

OURS = PRESETS["fvd-mmdia-v1"]


@given(st.integers(0, 400))
def test_clips_lie_inside_the_video_in_order_and_once(frames: int) -> None:
    starts = first_frames(frames, OURS)
    assert starts == sorted(set(starts))
    assert all(0 <= start <= frames - OURS.frames for start in starts)
    assert bool(starts) == (frames >= OURS.frames)
    if frames > OURS.frames + 3:
        assert (starts[0], starts[-1], len(starts)) == (0, frames - OURS.frames, 4)


def test_a_clip_holds_its_own_frames_between_minus_one_and_one() -> None:
    frames = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 6, 8, 3))
    found = clips(frames, OURS)
    assert found.shape == (4, 3, 16, 224, 224)
    shown = (found[:, 0, :, 100, 100] + 1) * 127.5
    for start, clip in zip(first_frames(40, OURS), shown, strict=True):
        torch.testing.assert_close(clip, torch.arange(start, start + 16.0), atol=1e-3, rtol=0)
    assert clips(np.full_like(frames, 255), OURS).max().item() == pytest.approx(1)
    assert clips(frames[:15], OURS).shape == (0, 3, 16, 224, 224)


def test_the_whole_picture_is_squashed() -> None:
    """A bright left edge of a wide picture is still there, where a centre crop would lose it."""
    picture = np.zeros((90, 320, 3), dtype=np.uint8)
    picture[:, :20] = 255
    for how in ("half_pixel", "tf1"):
        small = resized(picture, how)
        assert small[0, 100, 0].item() == pytest.approx(255)
        assert small[0, 100, 20] == 0


def test_tensorflow_1_reads_pixels_at_their_corner() -> None:
    """Twice as wide: even pixels are the source's own, odd ones the mean of two, the last held."""
    source = np.arange(112, dtype=np.uint8) * 2
    picture = np.broadcast_to(source[None, :, None], (224, 112, 3))
    row = resized(picture, "tf1")[0, 0].numpy()
    np.testing.assert_allclose(row[::2], source, atol=1e-4)
    np.testing.assert_allclose(row[1:-1:2], (source[1:].astype(float) + source[:-1]) / 2, atol=1e-4)
    assert row[-1] == pytest.approx(source[-1])


def test_both_ways_leave_a_picture_of_the_right_size_alone() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    for how in ("half_pixel", "tf1"):
        same = resized(picture, how).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(same, picture, atol=1e-3)
