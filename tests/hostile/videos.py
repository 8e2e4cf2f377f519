"""Videos that are bombs or damaged."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from tiny_video import pictures, write_video

from hostile.case import Case, Site, cases
from hostile.playlists import VIDEO_PLAYLISTS
from hostile.recordings import written


def video(count: int, width: int = 64, height: int = 48, **options: Any) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        write_video(site.path, pictures(count, width, height), **options)

    return make


after_100_hours = video(3, times=[0.0, 0.04, 360_000.0], ticks=25)


def long(site: Site) -> None:
    """Six minutes, a picture every nine tenths of a second, of which no gap is too long."""
    with av.open(str(site.path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        frame = av.VideoFrame(16, 16, "yuv420p")
        for index in range(400):
            frame.pts, frame.time_base = index * 9, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def grows(site: Site) -> None:
    """A small picture by its header, then pictures of 4096 by 4096 in the same stream."""
    with av.open(str(site.path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=25, options={"x264-params": "repeat-headers=1"}
        )
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(pictures(3)[index], format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for packet in _large(site.path.with_name("large.part")):
            packet.stream = stream
            container.mux(packet)


def _large(path: Path) -> list[Any]:
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 4096, 4096, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 25), {"preset": "ultrafast"}
    packets = []
    for index in range(3):
        frame = av.VideoFrame(4096, 4096, "yuv420p")
        frame.pts, frame.time_base = 3 + index, Fraction(1, 25)
        packets += encoder.encode(frame)
    return [*packets, *encoder.encode(None)]


def cut(site: Site) -> None:
    """Half of a file whose index comes first, which decodes without an error until it ends."""
    with av.open(str(site.path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(0).integers(0, 255, (50, 48, 64, 3), np.uint8)
        for index, picture in enumerate(noise):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    raw = site.path.read_bytes()
    site.path.write_bytes(raw[: int(len(raw) * 0.6)])


def sound_alone(site: Site) -> None:
    with av.open(str(site.path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])


BOMBS: list[Case] = [
    *cases("bombs", "too_large", {"8192 by 8192": video(2, 8192, 8192)}, ".mp4"),
    *cases("bombs", "too_long", {"six minutes": long}, ".mp4"),
    *cases("bombs", ("gap", "too_long"), {"a picture after 100 hours": after_100_hours}, ".mkv"),
    *cases("bombs", "rate", {"480 pictures a second": video(100, rate=480)}, ".mp4"),
    *cases(
        "bombs",
        ("size_changed", "truncated", "unreadable"),
        {"a picture that grows": grows},
        ".mkv",
    ),
]

CORRUPT: list[Case] = [
    *cases("corrupt", ("truncated", "unreadable"), {"cut video": cut}, ".mp4"),
    *cases("corrupt", ("no_video", "unreadable"), {"sound alone": sound_alone}, ".mp4"),
    *cases(
        "corrupt",
        ("unreadable", "truncated"),
        {"chance": written(b"\0\0\0\x18ftypisom" + np.random.default_rng(3).bytes(9000))},
        ".mp4",
    ),
]

VIDEOS = [*VIDEO_PLAYLISTS, *BOMBS, *CORRUPT]
