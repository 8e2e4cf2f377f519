"""Mel-frequency cepstra as SyncNet was trained on: those of python_speech_features 0.6."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from mmdia_eval.types import SAMPLE_RATE, FloatArray

Matrix = NDArray[np.float64]

FRAME, STEP = 400, 160
"""Samples of a frame and between frames: 25 ms and 10 ms."""
FFT = 512
FILTERS = 26
CEPSTRA = 13
PRE_EMPHASIS = 0.97
LIFTER = 22
FULL_SCALE = 32768.0
"""Sound counts as 16-bit integers: the logarithm of the energy is one of the features."""


def mfcc(samples: FloatArray) -> FloatArray:
    """Cepstra (frames, 13) float32 of sound (n,) in [-1, 1], mono, 16 kHz; one frame each 10 ms.

    The first cepstrum is the logarithm of the frame's energy. Frames are not windowed; the last is
    filled up with zeros.
    """
    # int16 first, as a WAV file would hold it; what came from one comes back exactly.
    integers = np.round(samples.astype(np.float64) * FULL_SCALE)
    signal = np.clip(integers, -FULL_SCALE, FULL_SCALE - 1)
    emphasized = np.append(signal[:1], signal[1:] - PRE_EMPHASIS * signal[:-1])
    power = np.abs(np.fft.rfft(_frames(emphasized), FFT)) ** 2 / FFT
    cepstra = dct(np.log(_positive(power @ _filters().T)), norm="ortho")[:, :CEPSTRA]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    cepstra[:, 0] = np.log(_positive(power.sum(axis=1)))
    return cepstra.astype(np.float32)


def _frames(signal: Matrix) -> Matrix:
    count = 1 + max(0, -(-(len(signal) - FRAME) // STEP))
    padded = np.zeros((count - 1) * STEP + FRAME)
    padded[: len(signal)] = signal
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::STEP]


def _positive(values: Matrix) -> Matrix:
    return np.where(values == 0, np.finfo(np.float64).eps, values)


@cache
def _filters() -> Matrix:
    """Triangles (26, 257) with feet on the centres of their neighbours, evenly spaced in mel."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
    bins = np.floor((FFT + 1) * hertz / SAMPLE_RATE)
    low, centre, high = bins[:-2, None], bins[1:-1, None], bins[2:, None]
    places = np.arange(FFT // 2 + 1)
    rising = (places - low) / (centre - low)
    falling = (high - places) / (high - centre)
    inside = (places >= low) & (places < high)
    triangles: Matrix = np.where(inside, np.where(places < centre, rising, falling), 0.0)
    return triangles
