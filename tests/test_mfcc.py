from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.mfcc import mfcc

features = pytest.importorskip("python_speech_features", reason="python_speech_features is absent")


@given(st.integers(0, 2**32 - 1), st.integers(1, 4000), st.sampled_from([0.0, 1e-4, 0.1, 3.0]))
def test_equals_python_speech_features(seed: int, n: int, level: float) -> None:
    drawn = np.random.default_rng(seed).normal(0, level, n) * 32768
    integers = np.clip(np.round(drawn), -32768, 32767).astype(np.int16)
    samples = (integers / 32768).astype(np.float32)
    expected = features.mfcc(integers, 16000)
    found = mfcc(samples)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_a_louder_sound_has_more_energy_in_its_first_cepstrum() -> None:
    samples = np.sin(np.arange(1600) / 3).astype(np.float32)
    quiet, loud = mfcc(samples * 0.1), mfcc(samples)
    np.testing.assert_allclose(loud[:-1, 0] - quiet[:-1, 0], np.log(100), atol=0.01)
