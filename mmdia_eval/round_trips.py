"""The lossy generations that frames pass in the reference code of LSE, for parity with its numbers.

`run_pipeline.py` of syncnet_python encodes a video as MPEG-4 and then as JPEG before it looks for
faces, and its crops as XVID and then as JPEG again before SyncNet sees them. Here the same encoders
of FFmpeg run in memory; no ffmpeg binary is needed. Sound, which the reference passes through its
AVI file too, is left as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mmdia_eval.types import FRAME_RATE, Frames

_BEST = {"qmin": "2", "qmax": "2", "i_qfactor": "1", "b": "1000000000"}
"""As `-qscale:v 2`."""
_SMALL = {"b": "200000"}
"""What FFmpeg takes when nothing is said: the crops' JPEG frames share 200 kb/s."""


def recoded(frames: Frames) -> Frames:
    """Whole frames after MPEG-4 and JPEG, both at quantiser 2."""
    import av  # noqa: PLC0415

    height, width = frames.shape[1:3]
    # Both subsample colour by two: an odd side would lose its last row.
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    pictures = (av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in even)
    decoder = av.CodecContext.create("mpeg4", "r")
    packets = _encoded(pictures, "mpeg4", "yuv420p", _BEST)
    found = _as_jpeg(_decoded(packets, decoder), _BEST)
    return np.stack(list(found))[:, :height, :width]


def recoded_crops(crops: Frames) -> Frames:
    """Crops after OpenCV's XVID and JPEG, both as small as the reference makes them."""
    import av  # noqa: PLC0415
    import cv2  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "crops.avi")
        size = (crops.shape[2], crops.shape[1])
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"XVID"), FRAME_RATE, size)
        for crop in crops:
            writer.write(np.ascontiguousarray(crop[..., ::-1]))
        writer.release()
        with av.open(path) as container:
            return np.stack(list(_as_jpeg(container.decode(video=0), _SMALL)))


def _as_jpeg(pictures: Iterable[Any], options: Mapping[str, str]) -> Iterator[Frames]:
    import cv2  # noqa: PLC0415

    for packet in _encoded(pictures, "mjpeg", "yuvj420p", options):
        picture: Any = cv2.imdecode(np.frombuffer(bytes(packet), np.uint8), cv2.IMREAD_COLOR)
        yield picture[..., ::-1]


def _encoded(
    pictures: Iterable[Any], codec: str, pixels: str, options: Mapping[str, str]
) -> Iterator[Any]:
    import av  # noqa: PLC0415

    encoder: Any = None
    for number, picture in enumerate(pictures):
        # The command line scales colour so.
        frame = picture.reformat(
            format=pixels,
            interpolation="BICUBIC",
            dst_color_range="JPEG" if codec == "mjpeg" else "MPEG",
        )
        frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
        if encoder is None:
            encoder = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels
            encoder.time_base, encoder.framerate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
            encoder.options = dict(options)
        yield from encoder.encode(frame)
    if encoder is not None:
        yield from encoder.encode(None)


def _decoded(packets: Iterable[Any], decoder: Any) -> Iterator[Any]:
    for packet in packets:
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def versions() -> Mapping[str, str]:
    """The encoders' versions, on which the last digits depend."""
    import av  # noqa: PLC0415

    return {name: ".".join(map(str, version)) for name, version in av.library_versions.items()}
