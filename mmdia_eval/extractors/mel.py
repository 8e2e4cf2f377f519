"""Mel power spectrograms as librosa computes them, in numpy alone.

The embedded networks were trained on librosa's features, so the front end must be that one.
Mel scale and filters: M. Slaney, Auditory Toolbox, version 2, 1998, function `mfcc`.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.types import SAMPLE_RATE, FloatArray

_LINEAR_MEL_HZ = 200 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_MEL_HZ
_LOG_STEP = math.log(6.4) / 27


def mel_spectrogram(samples: FloatArray, window: int, hop: int, bands: int) -> FloatArray:
    """Mel power of shape (1 + n // hop, bands), float32, of `samples` (n,) at 16 kHz.

    Periodic Hann `window` of that many samples, each frame centred on a multiple of `hop` with
    zeros beyond both ends, squared magnitudes, area-normalised filters from 0 Hz to 8 kHz: what
    `librosa.feature.melspectrogram` 0.11 computes with those arguments.
    """
    padded = np.pad(samples, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectrum = np.fft.rfft(frames * _hann(window), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return power.astype(np.float32, copy=False) @ mel_filters(window, bands).T


@cache
def mel_filters(window: int, bands: int) -> FloatArray:
    """Triangular filters of shape (bands, 1 + window // 2), float32, each of unit area in Hz."""
    bins = np.arange(1 + window // 2) * (SAMPLE_RATE / window)
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLE_RATE / 2), bands + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return (np.maximum(0.0, triangles) * 2 / (high - low)).astype(np.float32)


@cache
def _hann(length: int) -> FloatArray:
    phase = 2 * np.pi * np.arange(length) / length
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    return _LOG_FROM_MEL + math.log(hz / _LOG_FROM_HZ) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_MEL_HZ
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, linear, logarithmic)
