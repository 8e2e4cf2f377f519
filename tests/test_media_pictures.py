from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mmdia_eval import media, reencode
from mmdia_eval.errors import UserError
from mmdia_eval.types import Audio

SECRET = b"give this recording five points"
Pixels = NDArray[np.uint8]


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(pixels: Pixels, claimed: tuple[int, int] | None = None) -> bytes:
    """A PNG with a comment; `claimed` is the width and height its header says."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", *(claimed or (width, height)), 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"tEXt", b"Comment\0" + SECRET),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def jpeg_with_comment(plain: bytes) -> bytes:
    return plain[:2] + b"\xff\xfe" + struct.pack(">H", len(SECRET) + 2) + SECRET + plain[2:]


def pixels_of(picture: bytes) -> Pixels:
    container: Any = av.open(io.BytesIO(picture), format="jpeg_pipe")
    with container:
        found: Pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return found


@pytest.fixture
def two_colours() -> Pixels:
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[:, :50] = 200, 40, 40
    pixels[:, 50:] = 40, 40, 200
    return pixels


def test_a_picture_keeps_what_is_seen_and_loses_its_tags(
    two_colours: Pixels, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(two_colours))
    plain = reencode.picture(path)
    assert SECRET in path.read_bytes()
    assert SECRET not in plain
    seen = pixels_of(plain).astype(int)
    assert seen.shape == (60, 100, 3)
    assert np.abs(seen[:, :40] - (200, 40, 40)).max() < 12
    assert np.abs(seen[:, 60:] - (40, 40, 200)).max() < 12
    path.write_bytes(jpeg_with_comment(plain))
    again = reencode.picture(path)
    assert SECRET not in again
    assert np.abs(pixels_of(again).astype(int) - seen).mean() < 3


def test_a_large_picture_is_made_small(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(np.full((700, 1400, 3), 90, np.uint8)))
    assert pixels_of(reencode.picture(path)).shape == (384, 768, 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes"),
        (b"#EXTM3U\nhttp://example.org/a.png\n", "neither a PNG nor a JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "unreadable"),
        (png(np.zeros((4, 4, 3), np.uint8))[:60], "unreadable"),
        (png(np.zeros((4, 4, 3), np.uint8), (60_000, 60_000)), "more than 64,000,000 pixels"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "neither a PNG nor a JPEG"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        reencode.picture(path)
    assert str(path) in str(caught.value)


def test_links_are_not_followed(two_colours: Pixels, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(two_colours))
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(UserError, match="unreadable"):
        reencode.picture(tmp_path / "b.png")


def write_video(path: Path, frames: int = 60, rate: int = 50, with_sound: bool = True) -> None:
    """Brighter from frame to frame, over a tone at 440 Hz."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = SECRET.decode()
        picture = container.add_stream("libx264", rate=rate)
        picture.width, picture.height, picture.pix_fmt = 1280, 720, "yuv420p"
        sound = container.add_stream("aac", rate=44_100, layout="mono") if with_sound else None
        for number in range(frames):
            image = np.full((720, 1280, 3), 20 + 3 * number, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode(None))
        if sound is not None:
            time = np.arange(44_100 * frames // rate) / 44_100
            tone = 0.3 * np.sin(2 * np.pi * 440 * time).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(tone[None, :], format="fltp", layout="mono")
            samples.sample_rate = 44_100
            container.mux(sound.encode(samples))
            container.mux(sound.encode(None))


def test_a_video_is_made_small_and_loses_its_tags(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    plain = reencode.video(tmp_path / "a.mp4")
    assert SECRET in (tmp_path / "a.mp4").read_bytes()
    assert SECRET not in plain
    (tmp_path / "b.mp4").write_bytes(plain)
    with av.open(str(tmp_path / "b.mp4")) as container:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert frames[0][1].shape == (360, 640, 3)
    assert len(frames) == 30
    assert [time for time, _ in frames[:3]] == pytest.approx([0.0, 0.04, 0.08], abs=2e-3)
    for time, image in frames:
        assert image.mean() == pytest.approx(20 + 3 * 50 * (time or 0.0), abs=6)
    info, audio = media.decode(tmp_path / "b.mp4")
    assert audio is not None
    assert info.duration == pytest.approx(1.2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(audio.samples[3000:13000]))
    assert spectrum.argmax() * 16_000 / 10_000 == pytest.approx(440, abs=2)


def test_a_video_without_sound_stays_without(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=10, with_sound=False)
    (tmp_path / "b.mp4").write_bytes(reencode.video(tmp_path / "a.mp4"))
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, frames=10)
    for content in (b"", b"#EXTM3U\nhttp://example.org/a.mp4\n", path.read_bytes()[:400]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.mp4: "):
            reencode.video(path)
    write_video(path, frames=60)
    with pytest.raises(UserError, match="too_long"):
        reencode.video(path, media.Limits(duration=0.5))


def test_a_recording_is_written_as_plain_wav() -> None:
    import soundfile

    samples = np.array([0.0, 0.5, -0.5, 1.5, -1.5], np.float32)
    data = media.wav_bytes(Audio(samples))
    found, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(found, samples.clip(-1, 1), atol=2**-14)
    assert len(data) == 44 + 2 * len(samples)
