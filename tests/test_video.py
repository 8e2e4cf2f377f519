"""The door for pictures: what comes in, and what is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_video import pictures, write_video

from mmdia_eval.artifacts import VideoInfo
from mmdia_eval.video import Limits, decode, frame_bytes


def decoded(path: Path, limits: Limits | None = None) -> tuple[VideoInfo, np.ndarray | None]:
    out = path.with_suffix(".npy")
    info = decode(path, out, limits or Limits())
    assert out.exists() == (info.problem is None)
    return info, np.load(out, mmap_mode="r") if out.exists() else None


def bar(frames: np.ndarray) -> list[int]:
    """Where the bright bar's left edge is in each frame."""
    return [int((frame[24, :, 0] > 130).argmax()) for frame in frames]


def test_frames_come_as_they_were_drawn(tmp_path: Path) -> None:
    drawn = pictures(30)
    info, frames = decoded(write_video(tmp_path / "a.mp4", drawn))
    assert info == VideoInfo(30, 64, 48, 25.0, 1.2, 0, None)
    assert frames is not None
    assert np.abs(frames.astype(int) - drawn).mean() < 3
    assert bar(frames) == bar(drawn)
    assert frame_bytes(tmp_path / "a.mp4") == frames.nbytes


def test_another_rate_becomes_25_by_time(tmp_path: Path) -> None:
    drawn = pictures(60)
    info, frames = decoded(write_video(tmp_path / "a.mp4", drawn, rate=50))
    assert (info.frames, info.frame_rate) == (30, 50.0)
    assert frames is not None
    # Of the two pictures that fall on a frame, the later one is shown.
    shown = bar(drawn)
    assert all(
        a in (shown[2 * i], shown[2 * i + 1], shown[2 * i - 1]) for i, a in enumerate(bar(frames))
    )


def test_a_picture_is_held_until_the_next(tmp_path: Path) -> None:
    drawn = pictures(4)
    times = [0.0, 0.04, 0.4, 0.44]
    info, frames = decoded(write_video(tmp_path / "a.mp4", drawn, times=times))
    assert frames is not None
    a, b, c, d = bar(drawn)
    assert bar(frames) == [a, *[b] * 9, c, d]
    assert info.duration == pytest.approx(0.48)


def test_time_counts_from_the_first_picture(tmp_path: Path) -> None:
    times = [5 + n / 25 for n in range(5)]
    info, _ = decoded(write_video(tmp_path / "a.mp4", pictures(5), times=times))
    assert (info.frames, info.problem) == (5, None)


def test_one_picture_is_a_video(tmp_path: Path) -> None:
    assert decoded(write_video(tmp_path / "a.mp4", pictures(1)))[0].frames == 1


def test_a_gap_of_a_hundred_hours_is_refused_at_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", pictures(3), times=[0.0, 0.04, 360_000.0], ticks=25)
    problem = decoded(path)[0].problem
    assert problem is not None
    assert problem.startswith(("gap:", "too_long:"))


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(pixels=1000), "too_large: 64x48"),
        (Limits(side=50), "too_large: 64x48"),
        (Limits(duration=0.5), "too_long: 1 s"),
        (Limits(rate=20), "rate: 25 pictures a second"),
    ],
)
def test_limits(tmp_path: Path, limits: Limits, problem: str) -> None:
    found = decoded(write_video(tmp_path / "a.mp4", pictures(30)), limits)[0].problem
    assert found is not None
    assert found.startswith(problem)


def test_a_truncated_file_is_refused_and_a_damaged_one_is_marked(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4",
        np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8),
    )
    whole = path.read_bytes()
    start = whole.index(b"mdat") + 4
    damaged = bytearray(whole)
    for place in np.random.default_rng(1).integers(start + 500, whole.rindex(b"moov") - 500, 60):
        damaged[place] ^= 0x5A
    (tmp_path / "b.mp4").write_bytes(damaged)
    info, _ = decoded(tmp_path / "b.mp4")
    assert info.problem is not None or info.decode_errors > 0
    # Without its index, which stands at the end, nothing can be read.
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) // 2])
    problem = decoded(tmp_path / "c.mp4")[0].problem
    assert problem is not None
    assert problem.startswith("unreadable:")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a video",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
    ],
    ids=["empty", "text", "hls", "concat"],
)
def test_what_is_no_video_reaches_no_other_file(tmp_path: Path, content: bytes) -> None:
    write_video(tmp_path / "other.mp4", pictures(30))
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    problem = decoded(path)[0].problem
    assert problem is not None
    assert problem.startswith(("unreadable:", "empty:"))


@pytest.mark.parametrize(("late", "first"), [(0.0, 0), (0.4, 0), (-0.4, 10)])
def test_frames_keep_together_with_the_sound(late: float, first: int, tmp_path: Path) -> None:
    """Pictures that begin before or after the sound, which begins at 1 s."""
    frames = pictures(40)
    frames += np.arange(40, dtype=np.uint8)[:, None, None, None]
    times = [1 + late + index / 25 for index in range(40)]
    sound = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    path = write_video(
        tmp_path / "v.mov", frames, times=times, sound=sound, sound_at=1.0, codec="pcm_s16le"
    )
    out = tmp_path / "v.npy"
    info = decode(path, out)
    found = np.load(out)
    held = round(late * 25)
    assert info.frames == len(found) == 40 + held
    np.testing.assert_allclose(found[0].mean(), frames[first].mean(), atol=2)
    np.testing.assert_allclose(found[20].mean(), frames[20 - held].mean(), atol=2)


def test_sound_alone_has_no_pictures(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16000)
    (tmp_path / "a.wav").rename(tmp_path / "a.mp4")
    problem = decoded(tmp_path / "a.mp4")[0].problem
    assert problem is not None
    assert "unreadable" in problem


def test_a_link_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(3))
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    assert decoded(tmp_path / "b.mp4")[0].problem is not None
