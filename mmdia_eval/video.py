"""The door for pictures: video decoded once, with limits, to frames at 25 a second on disk.

Nothing else in the harness opens a video's pictures. Files go through PyAV with the whitelists of
`mmdia_eval.media`, so that a playlist in disguise reaches no other file and no network.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmdia_eval import media
from mmdia_eval.artifacts import VideoInfo
from mmdia_eval.types import FRAME_RATE

VERSION = "2"
"""Raised when decoding or a check changes, so that cached findings are made again."""


@dataclass(frozen=True)
class Limits:
    """What a video may be: pixels of a picture and of its side, seconds, pictures a second."""

    pixels: int = 1920 * 1080
    side: int = 3840
    duration: float = 120.0
    rate: float = 120.0
    gap: float = 1.0


LIMITS = Limits()


def decode(path: Path, out: Path, limits: Limits = LIMITS) -> VideoInfo:
    """Decode a video's pictures into `out`, an .npy file of frames, and say what was found.

    Frames are (T, height, width, 3) uint8, red-green-blue.

    The picture shown at time n / 25 becomes frame n: of those whose time rounds to a frame, the
    last one, held until the next. Time counts from the start of the file's sound, so that frames
    and samples keep together: a first picture that comes later is held from there, and one that
    comes before is not shown. Without sound it counts from the first picture. `out` exists exactly
    when `VideoInfo.problem` is None; else that is "unreadable: …", "no_video: …", "too_large: …",
    "too_long: …", "rate: …", "gap: …", "empty: …", "truncated: …" or "size_changed: …". A bad file
    never raises. Damage that the decoder hides is counted in `decode_errors`.
    """
    with out.open("wb") as file:
        info = decode_into(path, file, limits)
    if info.problem is not None:
        out.unlink()
    return info


def decode_into(path: Path, file: BinaryIO, limits: Limits = LIMITS) -> VideoInfo:
    """As `decode`, into an open file; what is in it is of no use where there is a problem."""
    try:
        with media.opened_video(path) as container, _log() as errors:
            return _decoded(container, file, limits, errors)
    except media.UnusableError as error:
        return VideoInfo(problem=str(error))


def frame_bytes(path: Path) -> int:
    """What a video's frames take once decoded, by its header; 0 where that cannot tell."""
    try:
        with media.opened_video(path) as container:
            context = container.streams.video[0].codec_context
            frames = (container.duration or 0) / 1e6 * FRAME_RATE
            return int(frames * context.width * context.height * 3)
    except media.UnusableError:
        return 0


def read_header(path: Path) -> VideoInfo:
    """Size, rate and length as the header says them, `frames` 0: nothing is decoded."""
    try:
        with media.opened_video(path) as container:
            stream = container.streams.video[0]
            return VideoInfo(
                width=stream.codec_context.width,
                height=stream.codec_context.height,
                frame_rate=float(stream.average_rate or 0),
                duration=(container.duration or 0) / 1e6,
            )
    except media.UnusableError as error:
        return VideoInfo(problem=str(error))


def _decoded(container: Any, file: BinaryIO, limits: Limits, errors: Sequence[Any]) -> VideoInfo:
    stream = container.streams.video[0]
    _check_header(container, stream, limits)
    # A picture may be larger than the header says; this is refused before its memory is taken.
    stream.codec_context.options = {"max_pixels": str(4 * limits.pixels)}
    height, width = stream.codec_context.height, stream.codec_context.width
    count = 0
    pictures = _Pictures(container, stream, limits)
    file.write(bytes(HEADER))
    for frame, repeats in _at_frame_rate(pictures):
        if (frame.height, frame.width) != (height, width):
            raise media.UnusableError(
                f"size_changed: {frame.width}x{frame.height} after {width}x{height}"
            )
        pixels = np.ascontiguousarray(frame.reformat(format="rgb24", threads=1).to_ndarray())
        for _ in range(repeats):
            file.write(pixels.data)
        count += repeats
    file.seek(0)
    file.write(npy_header((count, height, width, 3)))
    # A cut file can end without an error; its header still says how many pictures there were.
    if pictures.seen < stream.frames - 1:
        raise media.UnusableError(
            f"truncated: {pictures.seen} of {stream.frames} pictures could be decoded"
        )
    return VideoInfo(
        frames=count,
        width=width,
        height=height,
        frame_rate=float(stream.average_rate or 0),
        duration=count / FRAME_RATE,
        decode_errors=len(errors),
    )


def _check_header(container: Any, stream: Any, limits: Limits) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if not width or not height:
        raise media.UnusableError("unreadable: the video has no size")
    if width * height > limits.pixels or max(width, height) > limits.side:
        raise media.UnusableError(
            f"too_large: {width}x{height}, at most {limits.pixels} pixels and "
            f"{limits.side} to a side"
        )
    seconds = (container.duration or 0) / 1e6
    if seconds > limits.duration:
        raise media.UnusableError(f"too_long: {seconds:.0f} s, at most {limits.duration:.0f}")
    if stream.average_rate and stream.average_rate > limits.rate:
        raise media.UnusableError(
            f"rate: {float(stream.average_rate):.0f} pictures a second, at most {limits.rate:.0f}"
        )


class _Pictures:
    """Each picture with its time in seconds after the start of the sound; `seen` counts them."""

    def __init__(self, container: Any, stream: Any, limits: Limits) -> None:
        self._container, self._stream, self._limits = container, stream, limits
        self.seen = 0

    def __iter__(self) -> Iterator[tuple[Any, Fraction]]:
        import av  # noqa: PLC0415

        start = _sound_start(self._container)
        last = None
        try:
            for frame in self._container.decode(self._stream):
                if frame.pts is None or frame.time_base is None:
                    raise media.UnusableError("unreadable: a picture has no time")
                time = frame.pts * frame.time_base
                start = time if start is None else start
                self._check(time - start, time - (start if last is None else last))
                self.seen += 1
                last = time
                yield frame, time - start
        except (av.error.FFmpegError, OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or str(error)
            raise media.UnusableError(f"truncated: {text}, after {self.seen} pictures") from None

    def _check(self, time: Fraction, since: Fraction) -> None:
        limits = self._limits
        if since > limits.gap:
            raise media.UnusableError(
                f"gap: no picture for {float(since):.1f} s, at most {limits.gap:g}"
            )
        if time > limits.duration:
            raise media.UnusableError(f"too_long: over {limits.duration:.0f} s")
        if self.seen > limits.duration * limits.rate:
            raise media.UnusableError(f"rate: over {limits.rate:.0f} pictures a second")


def _sound_start(container: Any) -> Fraction | None:
    """When the file's first sound begins, by the clock of its pictures; None where it has none."""
    for stream in container.streams.audio:
        if stream.start_time is not None and stream.time_base is not None:
            return Fraction(stream.start_time * stream.time_base)
    return None


def _at_frame_rate(timed: Iterable[tuple[Any, Fraction]]) -> Iterator[tuple[Any, int]]:
    """Each picture that is shown, with how many frames it is shown for."""
    held: Any = None
    since = 0
    for frame, time in timed:
        place = max(since, math.ceil(time * FRAME_RATE - Fraction(1, 2)))
        if held is not None and place > since:
            yield held, place - since
            since = place
        held = frame
    if held is None:
        raise media.UnusableError("empty: no picture could be decoded")
    yield held, 1


HEADER = 128
"""Bytes of an .npy file before its pictures."""


def npy_header(shape: tuple[int, ...]) -> bytes:
    """A version 1.0 header of .npy for uint8, `HEADER` bytes long: the count can come last."""
    text = str({"descr": "|u1", "fortran_order": False, "shape": shape})
    return (
        b"\x93NUMPY\x01\x00"
        + (HEADER - 10).to_bytes(2, "little")
        + (text.ljust(HEADER - 11) + "\n").encode("latin-1")
    )


@contextlib.contextmanager
def _log() -> Iterator[Sequence[Any]]:
    """What the decoder logs as errors, as it goes: damage that it hides shows nowhere else."""
    import av  # noqa: PLC0415

    level, skip = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=False) as lines:
            yield lines
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)
