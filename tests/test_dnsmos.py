from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, MosPrediction, Word
from mmdia_eval.errors import UserError
from mmdia_eval.extractors import dnsmos
from mmdia_eval.extractors.dnsmos import WINDOW, Dnsmos, DnsmosSettings, at_level, windows
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, FloatArray

# What `speechmos.dnsmos.run` of speechmos 0.0.1.1 gave (librosa 0.11, onnxruntime 1.31) for
# `voice(WINDOW)`, and for it in white noise of deviation 0.02, seed 0.
SPEECHMOS = [
    (0.0, {"sig": 1.35150, "bak": 1.33207, "ovrl": 1.24212, "p808": 2.34707}),
    (0.02, {"sig": 1.17129, "bak": 1.01148, "ovrl": 1.11241, "p808": 2.17774}),
]


def voice(samples: int) -> FloatArray:
    """Twenty-nine harmonics of a wavering pitch around 120 Hz, with a slow swell."""
    t = np.arange(samples) / SAMPLE_RATE
    phase = 2 * np.pi * (120 * t + 15 * np.sin(2 * np.pi * 0.9 * t) / (2 * np.pi * 0.9))
    glottal = sum(np.sin(k * phase) / k for k in range(1, 30))
    return np.asarray(0.1 * glottal * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * t)), np.float32)


def level(samples: FloatArray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def predict(samples: FloatArray, *turns: AlignedTurn, per_turn: str = "none") -> MosPrediction:
    chosen = DnsmosSettings.model_validate({"per_turn": per_turn})
    made = Dnsmos(chosen, ())
    made.load()
    artifacts = Artifacts({Alignment: Alignment(turns)})
    return made.extract([Inputs(Audio(samples), Dialogue("d", ()), artifacts)])[0]


@pytest.mark.parametrize(("noise", "expected"), SPEECHMOS)
def test_a_window_scores_as_in_speechmos(
    noise: float, expected: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dnsmos, "at_level", lambda audio, _: audio)
    samples = voice(WINDOW) + np.random.default_rng(0).normal(0, noise, WINDOW)
    scores = predict(samples.astype(np.float32)).scores
    assert scores == pytest.approx(expected, abs=1e-3)


def test_loudness_does_not_change_a_score() -> None:
    quiet = predict(voice(WINDOW) * np.float32(0.1)).scores
    assert quiet == pytest.approx(predict(voice(WINDOW)).scores, abs=0.01)


def test_turns_score_by_the_setting_and_absent_ones_are_absent() -> None:
    turns = (
        AlignedTurn(0, (Word("a", 0.5, 2.5),), 1),
        AlignedTurn(1, (), 1),
        AlignedTurn(2, (Word("b", 60.0, 61.0),), 1),
    )
    samples = voice(WINDOW)
    assert predict(samples, *turns).turns == ()
    (cheap,) = predict(samples, *turns, per_turn="p808").turns
    (full,) = predict(samples, *turns, per_turn="all").turns
    assert (cheap.index, set(cheap.scores)) == (0, {"p808"})
    assert set(full.scores) == {"sig", "bak", "ovrl", "p808"}
    assert full.scores["p808"] == cheap.scores["p808"]
    part = at_level(Audio(samples), -26.0).samples[8_000:40_000]
    assert cheap.scores["p808"] == pytest.approx(predict(part).scores["p808"], abs=0.01)


def test_silence_and_nothing_have_scores() -> None:
    silent = predict(np.zeros(32_000, np.float32)).scores
    assert all(np.isfinite(value) for value in silent.values())
    assert predict(np.zeros(0, np.float32)).scores == silent


@settings(deadline=None)
@given(st.integers(1, 5 * WINDOW), st.floats(0.1, 9.01))
def test_windows_cover_the_file_evenly(samples: int, hop: float) -> None:
    numbers = np.arange(1, samples + 1, dtype=np.float32)
    found = windows(numbers, hop)
    assert all(len(window) == WINDOW for window in found)
    assert found[0][0] == 1
    if samples < WINDOW:
        assert len(found) == 1
        assert np.array_equal(found[0], np.resize(numbers, WINDOW))
    else:
        starts = np.array([window[0] for window in found])
        assert found[-1][-1] == samples
        gaps = np.diff(starts)
        assert gaps.max(initial=0) <= hop * SAMPLE_RATE + 1
        assert gaps.max(initial=0) - gaps.min(initial=WINDOW) <= 1


@pytest.mark.parametrize("gain", [0.01, 0.3, 1.0])
def test_speech_comes_to_the_level_however_long_the_pauses(gain: float) -> None:
    spoken = voice(32_000) * np.float32(gain)
    padded = np.concatenate([np.zeros(48_000, np.float32), spoken, np.zeros(48_000, np.float32)])
    raised = at_level(Audio(padded), -26.0).samples
    assert level(raised[48_000:80_000]) == pytest.approx(-26.0, abs=1.0)
    assert np.abs(raised).max() <= 1.0


def test_silence_stays_silence() -> None:
    assert not at_level(Audio(np.zeros(16_000, np.float32)), -26.0).samples.any()


def test_features_are_decibels_below_the_peak_down_to_80() -> None:
    features = dnsmos.p808_features(voice(WINDOW))
    assert features.shape == (900, 120)
    assert (features.max(), features.min()) == (1.0, -1.0)


@pytest.mark.parametrize("wrong", [{"hop": 0.0}, {"hop": 10.0}, {"level": 3.0}, {"utmos": True}])
def test_settings_refuse_nonsense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DnsmosSettings.model_validate(wrong)


def test_missing_models_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsmos, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install speechmos==0\.0\.1\.1"):
        Dnsmos(DnsmosSettings(), ()).load()


def test_other_models_are_refused_and_speechmos_is_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dnsmos_models").mkdir()
    (tmp_path / "dnsmos_models" / "sig_bak_ovr.onnx").write_bytes(b"other")
    spec = ModuleSpec("speechmos", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(dnsmos, "find_spec", lambda _: spec)
    with pytest.raises(UserError, match=r"sig_bak_ovr\.onnx is not that of speechmos 0\.0\.1\.1"):
        Dnsmos(DnsmosSettings(), ()).load()
    assert "speechmos" not in sys.modules
    assert "librosa" not in sys.modules
