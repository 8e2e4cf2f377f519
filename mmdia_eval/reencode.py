"""Pictures and videos written anew, so that nothing but what is seen and heard goes on.

Judges and people get these copies: no metadata, caption, profile, chapter or further stream.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mmdia_eval.errors import UserError
from mmdia_eval.media import (
    LIMITS,
    Limits,
    UnusableError,
    decode,
    decode_at,
    opened,
    opened_video,
)
from mmdia_eval.types import SAMPLE_RATE, Audio

_PICTURE_FORMATS = {b"\x89PNG\r\n\x1a\n": "png_pipe", b"\xff\xd8\xff": "jpeg_pipe"}
MAX_PIXELS = 64_000_000
"""Of a picture or a frame: decoders refuse larger ones before they ask for the memory."""
PICTURE_SIDE = 768
"""Pixels of a re-encoded picture's longer side at most."""
VIDEO_RATE = 25
"""Frames per second of a re-encoded video at most."""


@dataclass(frozen=True)
class VideoForm:
    """How a video is written anew: pixels in height at most, H.264's rate factor, Hz of its sound.

    Low factors are better; 18 is taken for hardly distinguishable (https://trac.ffmpeg.org/wiki/Encode/H.264).
    """

    height: int
    rate_factor: int
    sample_rate: int


SMALL_VIDEO = VideoForm(360, 26, SAMPLE_RATE)
"""For judges, who see a frame a second."""
WATCHED_VIDEO = VideoForm(1080, 18, 48_000)
"""For people."""


def picture(path: Path, limits: Limits = LIMITS) -> bytes:
    """A PNG or JPEG file as a plain JPEG of at most PICTURE_SIDE pixels a side, no metadata left.

    Raises:
        UserError: no such picture, another format, too large, or damaged.
    """
    import av  # noqa: PLC0415

    try:
        data, format_ = _picture_file(path, limits)
        options = {"probesize": "32"}  # else the decoder runs before it has its limit
        container: Any = av.open(io.BytesIO(data), format=format_, options=options)
        with container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            return _jpeg(next(container.decode(stream)))
    except UnusableError as error:
        raise UserError(f"{path}: {error}") from None
    except (av.error.FFmpegError, StopIteration, ValueError, IndexError) as error:
        text = getattr(error, "strerror", None) or str(error) or "no picture could be decoded"
        raise UserError(f"{path}: unreadable, or more than {MAX_PIXELS:,} pixels: {text}") from None


def _picture_file(path: Path, limits: Limits) -> tuple[bytes, str]:
    with opened(path, limits) as descriptor, open(descriptor, "rb", closefd=False) as file:
        data = file.read()
    for magic, format_ in _PICTURE_FORMATS.items():
        if data.startswith(magic):
            return data, format_
    raise UnusableError("unreadable: neither a PNG nor a JPEG picture")


def _jpeg(frame: Any) -> bytes:
    import av  # noqa: PLC0415

    scale = min(1.0, PICTURE_SIDE / max(frame.width, frame.height))
    small = _scaled(frame, scale, "yuvj420p")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = small.width, small.height, "yuvj420p"
    encoder.time_base = Fraction(1, 1)
    encoder.options = {"flags": "+bitexact", "qmin": "2", "qmax": "4"}
    return b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])


def _scaled(frame: Any, scale: float, pixels: str) -> Any:
    """A new frame of even size that carries the picture alone: no caption, profile or tag."""
    import av  # noqa: PLC0415

    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    picture = frame.reformat(width, height, "rgb24", threads=1).to_ndarray()
    copy = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return copy.reformat(format=pixels, threads=1)


def video(
    path: Path,
    limits: Limits = LIMITS,
    form: VideoForm = SMALL_VIDEO,
    sound: Audio | None = None,
) -> bytes:
    """A video as a plain MP4 (H.264, AAC), of its picture and, if it has any, its sound.

    At most VIDEO_RATE frames a second; metadata, captions, chapters and further streams stay
    behind. `sound`, at the form's rate, takes the place of its own.

    Raises:
        UserError: no such video, another format, too long or large, or damaged.
    """
    import av  # noqa: PLC0415

    out = io.BytesIO()
    try:
        audio = sound or decode(path, limits)[1]
        if audio is not None and audio.sample_rate != form.sample_rate:
            audio = decode_at(path, form.sample_rate)
        with (
            opened_video(path, limits) as source,
            av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as target,
        ):
            _copy_picture(source, target, limits, form, audio)
    except UnusableError as error:
        raise UserError(f"{path}: {error}") from None
    return out.getvalue()


def _copy_picture(
    source: Any, target: Any, limits: Limits, form: VideoForm, audio: Audio | None
) -> None:
    import av  # noqa: PLC0415

    sound = target.add_stream("aac", rate=form.sample_rate, layout="mono") if audio else None
    picture: Any = None
    options = {"a53cc": "0", "threads": "1", "preset": "veryfast", "crf": str(form.rate_factor)}
    for frame in _small_frames(source, limits, form.height):
        if picture is None:
            picture = target.add_stream("libx264", rate=VIDEO_RATE, options=options)
            picture.width, picture.height, picture.pix_fmt = frame.width, frame.height, "yuv420p"
            picture.codec_context.time_base = frame.time_base
        if (frame.width, frame.height) != (picture.width, picture.height):
            raise UnusableError("unreadable: the picture changes its size")
        target.mux(picture.encode(frame))
    if picture is None:
        raise UnusableError("empty: no picture could be decoded")
    target.mux(picture.encode(None))
    if sound is not None and audio is not None:
        samples = av.AudioFrame.from_ndarray(audio.samples[None, :], format="fltp", layout="mono")
        samples.sample_rate, samples.pts = form.sample_rate, 0
        target.mux([*sound.encode(samples), *sound.encode(None)])


def _small_frames(source: Any, limits: Limits, height: int) -> Iterator[Any]:
    """The frames at no more than VIDEO_RATE, timed in milliseconds."""
    stream = source.streams.video[0]
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    due = 0.0
    for frame in source.decode(stream):
        time = float(frame.time or 0.0)
        if time > limits.duration:
            raise UnusableError(f"too_long: {time:.0f} s, at most {limits.duration:.0f}")
        if time >= due - 1e-3:
            small = _scaled(frame, min(1.0, height / frame.height), "yuv420p")
            small.pts, small.time_base = round(time * 1000), Fraction(1, 1000)
            yield small
            due = max(due + 1 / VIDEO_RATE, time)
