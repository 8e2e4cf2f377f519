"""Where there is speech: WebRTC's voice activity detector, as pocketsphinx ships it.

Source: https://webrtc.googlesource.com/src, common_audio/vad; pocketsphinx 5.1.1, `Vad`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray, Segment

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class VadParameters:
    """How the detector listens and how its frames become segments. Lengths in seconds.

    Miss and false alarm of the defaults, in percent of the speech, on 30 s recordings: telephone
    0.7 and 1.3; two far-field meetings 23 and 1.7, 9.5 and 27.5. Report them with any DER.

    `mode` is WebRTC's aggressiveness, 0 keeps most, 3 least; `frame` its step (0.01, 0.02 or
    0.03). Each frame takes the majority of the `vote` (odd) frames around it. Silence shorter than
    `min_silence` is bridged, then speech shorter than `min_speech` is dropped, then each segment
    grows by `pad` at both ends, no further than the middle of the silence it shares.

    The short `frame` and `min_silence` keep a segment from spanning two speakers who alternate
    quickly: with 0.03 the vote swallows pauses of 0.25 s.
    """

    mode: Literal[0, 1, 2, 3] = 2
    frame: float = 0.01
    vote: int = 9
    min_silence: float = 0.1
    min_speech: float = 0.1
    pad: float = 0.0


DEFAULT = VadParameters()


def speech_segments(audio: Audio, parameters: VadParameters = DEFAULT) -> tuple[Segment, ...]:
    """Stretches of speech in time order, in seconds, disjoint; empty where there is none.

    Args:
        audio: mono at 16 kHz.
        parameters: see `VadParameters`.

    Raises:
        ValueError: the sample rate is not 16 kHz.
    """
    if audio.sample_rate != SAMPLE_RATE:
        raise ValueError(f"VAD wants {SAMPLE_RATE} Hz, got {audio.sample_rate} Hz")
    mask = _majority(frames_with_speech(audio.samples, parameters), parameters.vote)
    runs = [Segment(a * parameters.frame, b * parameters.frame) for a, b in _runs(mask)]
    bridged = _bridge(runs, parameters.min_silence)
    kept = [run for run in bridged if run.duration >= parameters.min_speech - _ROUNDING]
    return tuple(_pad(kept, parameters.pad, audio.duration))


_ROUNDING = 1e-9


def pcm16(samples: FloatArray) -> bytes:
    """Float samples in [-1, 1] as little-endian 16-bit PCM, clipped."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes()


def frames_with_speech(samples: FloatArray, parameters: VadParameters) -> Mask:
    """The detector's bare verdict on each whole frame of `samples` (n,) at 16 kHz."""
    from pocketsphinx import Vad  # noqa: PLC0415

    vad = Vad(parameters.mode, SAMPLE_RATE, parameters.frame)
    size = vad.frame_bytes
    pcm = pcm16(samples)
    whole = len(pcm) - len(pcm) % size
    return np.array(
        [vad.is_speech(pcm[at : at + size]) for at in range(0, whole, size)], dtype=np.bool_
    )


def _majority(mask: Mask, width: int) -> Mask:
    """Each element by majority of the `width` around it; outside the array counts as False."""
    if len(mask) == 0:
        return mask
    votes = np.convolve(mask.astype(np.int64), np.ones(width, dtype=np.int64), "full")
    first = width // 2
    result: Mask = votes[first : first + len(mask)] > width // 2
    return result


def _runs(mask: Mask) -> Iterator[tuple[int, int]]:
    """(first, one past last) index of each run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _bridge(segments: Iterable[Segment], min_silence: float) -> list[Segment]:
    bridged: list[Segment] = []
    for segment in segments:
        if bridged and segment.start - bridged[-1].end < min_silence - _ROUNDING:
            bridged[-1] = Segment(bridged[-1].start, segment.end)
        else:
            bridged.append(segment)
    return bridged


def _pad(segments: list[Segment], pad: float, duration: float) -> Iterator[Segment]:
    middles = [(left.end + right.start) / 2 for left, right in pairwise(segments)]
    limits = pairwise([0.0, *middles, duration])
    for segment, (first, last) in zip(segments, limits, strict=False):
        yield Segment(max(first, segment.start - pad), min(last, segment.end + pad))
