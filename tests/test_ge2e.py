from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from mmdia_eval.errors import UserError
from mmdia_eval.extractors import ge2e
from mmdia_eval.extractors.mel import mel_spectrogram
from mmdia_eval.types import SAMPLE_RATE, FloatArray

needs_wheel = pytest.mark.skipif(
    find_spec("resemblyzer") is None, reason=f"run: {ge2e.REQUIREMENT.install}"
)

# The largest values of `VoiceEncoder.embed_utterance` of resemblyzer 0.1.4 (torch 2.13, librosa
# 0.11) for `voice(3.0)` at -25 dBFS, and how many values are above zero.
RESEMBLYZER = {
    246: 0.229247,
    136: 0.218586,
    126: 0.212613,
    150: 0.181016,
    218: 0.171168,
    10: 0.169666,
    42: 0.169356,
    146: 0.166822,
}
RESEMBLYZER_POSITIVE = 155


def voice(seconds: float, pitch: float = 120.0) -> FloatArray:
    """Twenty-nine harmonics of a wavering pitch, with a slow swell."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * (pitch * t + 15 * np.sin(2 * np.pi * 0.9 * t) / (2 * np.pi * 0.9))
    glottal = sum(np.sin(k * phase) / k for k in range(1, 30))
    return np.asarray(0.1 * glottal * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * t)), np.float32)


@pytest.fixture(scope="module")
def encoder() -> ge2e.Encoder:
    return ge2e.load_encoder()


@needs_wheel
def test_embedding_equals_what_resemblyzer_gave(encoder: ge2e.Encoder) -> None:
    (vector,) = ge2e.embed_utterances(encoder, [ge2e.at_level(voice(3.0))])
    assert {i: pytest.approx(vector[i], abs=1e-5) for i in RESEMBLYZER} == RESEMBLYZER
    assert int((vector > 0).sum()) == RESEMBLYZER_POSITIVE


@needs_wheel
def test_network_equals_its_equations_in_double_precision(encoder: ge2e.Encoder) -> None:
    mel = mel_spectrogram(voice(0.3), ge2e.MEL_WINDOW, ge2e.HOP, ge2e.BANDS)
    steps = mel.astype(np.float64)
    for layer in encoder.layers:
        steps = lstm(layer, steps)
    raw = np.maximum(0.0, steps[-1] @ encoder.weight + encoder.bias)
    (vector,) = encoder([mel])
    assert np.allclose(vector, raw / np.linalg.norm(raw), atol=1e-6)


def lstm(layer: ge2e.Layer, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    hidden = cell = np.zeros(ge2e.UNITS)
    states = []
    for step in steps:
        gates = step @ layer.input + hidden @ layer.hidden + layer.bias
        i, f, g, o = gates.reshape(4, -1)
        cell = expit(f) * cell + expit(i) * np.tanh(g)
        hidden = expit(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


@needs_wheel
def test_a_window_embeds_alike_alone_and_among_longer_ones(encoder: ge2e.Encoder) -> None:
    windows = [mel for _, mel in ge2e.sliding_windows(voice(2.5), 0.2)]
    windows.insert(2, windows[0][:50])
    together = encoder(windows)
    alone = np.concatenate([encoder([window]) for window in windows])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)


@needs_wheel
def test_nothing_to_embed_gives_no_vectors(encoder: ge2e.Encoder) -> None:
    assert encoder([]).shape == (0, 256)
    assert ge2e.embed_utterances(encoder, []).shape == (0, 256)


@needs_wheel
def test_loudness_does_not_change_an_embedding(encoder: ge2e.Encoder) -> None:
    quiet, loud = (ge2e.at_level(voice(2.0) * np.float32(gain)) for gain in (0.02, 2.0))
    vectors = ge2e.embed_utterances(encoder, [quiet, loud])
    assert vectors[0] @ vectors[1] == pytest.approx(1.0, abs=1e-5)
    (_, soft), (_, hard) = (
        next(ge2e.sliding_windows(voice(2.0) * np.float32(gain), 0.2)) for gain in (0.02, 2.0)
    )
    assert np.allclose(soft, hard, rtol=1e-3)


@pytest.mark.parametrize("seconds", [0.1, 1.59, 1.6, 1.7, 3.0, 3.13])
def test_sliding_windows_reach_from_first_to_last_frame(seconds: float) -> None:
    windows = list(ge2e.sliding_windows(voice(seconds), 0.2))
    offsets = [offset for offset, _ in windows]
    assert offsets[0] == 0.0
    assert offsets == sorted(set(offsets))
    assert np.diff(offsets).max(initial=0.0) <= 0.2 + 1e-9
    assert offsets[-1] + len(windows[-1][1]) * 0.01 == pytest.approx(seconds, abs=0.011)


def test_trimming_drops_long_silence_and_keeps_short() -> None:
    sound, rate = ge2e.at_level(voice(1.2)), SAMPLE_RATE
    trimmed = ge2e.trim_silence(np.concatenate([sound, np.zeros(rate, np.float32), sound]))
    assert 2.2 <= len(trimmed) / rate <= 2.8
    short = ge2e.trim_silence(np.concatenate([sound, np.zeros(rate // 20, np.float32), sound]))
    assert len(short) / rate == pytest.approx(2.45, abs=0.1)


@pytest.mark.parametrize("samples", [0, 100, 479, 480, 16_000])
def test_silence_is_trimmed_to_nothing(samples: int) -> None:
    assert len(ge2e.trim_silence(ge2e.at_level(np.zeros(samples, np.float32)))) == 0


def test_a_missing_wheel_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ge2e, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=re.escape(ge2e.REQUIREMENT.install)):
        ge2e.load_encoder()


def test_other_weights_are_refused_and_no_code_of_the_wheel_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "resemblyzer"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "pretrained.pt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"pretrained\.pt is not the weights file of .* 0\.1\.4"):
        ge2e.load_encoder()
    assert "resemblyzer" not in sys.modules
