"""Small videos for tests, drawn and encoded here."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint8]


def pictures(count: int, width: int = 64, height: int = 48) -> Array:
    """Pictures with a bright bar that moves, (count, height, width, 3)."""
    frames = np.full((count, height, width, 3), 40, dtype=np.uint8)
    for index in range(count):
        left = index * 2 % (width - 8)
        frames[index, :, left : left + 8] = 220
    return frames


def write_video(
    path: Path,
    frames: Array,
    *,
    rate: int = 25,
    times: list[float] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_at: float = 0.0,
    codec: str = "aac",
    ticks: int = 12800,
) -> Path:
    """An H.264 video of the frames, shown at `times` (seconds, of `ticks`) or evenly; `sound` at
    16 kHz, from `sound_at` on.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "8", "qp": "18"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, ticks)
        speech: Any = (
            container.add_stream(codec, rate=16000, layout="mono") if sound is not None else None
        )
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            time = index / rate if times is None else times[index]
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if speech is not None and sound is not None:
            block = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            block.sample_rate, block.pts = 16000, round(sound_at * 16000)
            block.time_base = Fraction(1, 16000)
            container.mux(speech.encode(block))
            container.mux(speech.encode(None))
    return path
