from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import get_window

from mmdia_eval.extractors.mel import mel_filters, mel_spectrogram
from mmdia_eval.types import SAMPLE_RATE, FloatArray

Cell = tuple[int, int, float]

# Of `voice(3.0)`, as librosa.feature.melspectrogram and librosa.filters.mel of librosa 0.11.0 give
# them with n_fft=window, hop_length=160, n_mels=bands, sr=16000.
LIBROSA: dict[tuple[int, int], tuple[list[Cell], float, float]] = {
    (400, 40): (
        [
            (0, 0, 0.21744336187839508),
            (50, 3, 0.04214329645037651),
            (150, 10, 0.002035502577200532),
            (299, 20, 0.005514618009328842),
        ],
        434.93133544921875,
        0.9994971752166748,
    ),
    (321, 120): (
        [
            (0, 0, 0.00012906697520520538),
            (50, 3, 0.5677457451820374),
            (150, 30, 2.863238114514388e-05),
            (299, 60, 0.0038584170397371054),
        ],
        822.6148681640625,
        2.39750337600708,
    ),
}


def voice(seconds: float) -> FloatArray:
    """Thirty harmonics of a wavering pitch around 120 Hz, with a slow swell."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 2 * np.pi * (120 * t + 15 * np.sin(2 * np.pi * 0.9 * t) / (2 * np.pi * 0.9))
    glottal = sum(np.sin(k * pitch) / k for k in range(1, 30))
    return np.asarray(0.1 * glottal * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * t)), np.float32)


@pytest.mark.parametrize(("window", "bands"), LIBROSA)
def test_equals_what_librosa_gave(window: int, bands: int) -> None:
    cells, total, filter_total = LIBROSA[window, bands]
    mel = mel_spectrogram(voice(3.0), window, 160, bands)
    assert mel.dtype == np.float32
    assert mel.shape == (1 + (48_000 - window % 2) // 160, bands)
    assert mel.sum() == pytest.approx(total, rel=1e-5)
    assert mel_filters(window, bands).sum() == pytest.approx(filter_total, rel=1e-5)
    for frame, band, value in cells:
        assert mel[frame, band] == pytest.approx(value, rel=1e-3)


def test_one_frame_equals_scipy_window_and_plain_fourier_sums() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 800).astype(np.float32)
    frame = samples[200:600].astype(np.float64) * get_window("hann", 400)
    angles = -2j * np.pi * np.outer(np.arange(201), np.arange(400)) / 400
    power = np.abs(np.exp(angles) @ frame) ** 2
    expected = mel_filters(400, 40).astype(np.float64) @ power
    assert np.allclose(mel_spectrogram(samples, 400, 400, 40)[1], expected, rtol=1e-4)


def test_each_filter_has_unit_area_in_hertz() -> None:
    fine = mel_filters(4000, 40).sum(axis=1) * (SAMPLE_RATE / 4000)
    assert np.allclose(fine, 1.0, atol=0.01)
