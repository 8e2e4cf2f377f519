from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdia_eval.extractors.vad import VadParameters, pcm16, speech_segments
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray


def vowel(seconds: float, pitch: float = 120.0) -> FloatArray:
    """A buzz with formants at 700, 1200 and 2500 Hz: enough of a voice for an energy-band VAD."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.zeros(len(t))
    for harmonic in range(1, 40):
        f = harmonic * pitch
        gain = sum(1 / (1 + ((f - formant) / 120) ** 2) for formant in (700, 1200, 2500))
        wave += gain * np.sin(2 * np.pi * f * t)
    loud: FloatArray = (0.3 * wave / np.abs(wave).max()).astype(np.float32)
    return loud


def hush(seconds: float) -> FloatArray:
    rng = np.random.default_rng(0)
    return (1e-4 * rng.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def audio(*parts: FloatArray) -> Audio:
    return Audio(np.concatenate(parts))


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(100), np.zeros(48_000), hush(3.0)])
def test_no_speech_gives_no_segment(samples: FloatArray) -> None:
    assert speech_segments(Audio(samples.astype(np.float32))) == ()


def test_two_voices_with_a_pause_are_two_segments_near_their_true_times() -> None:
    found = speech_segments(audio(hush(0.5), vowel(1.0), hush(0.4), vowel(0.8, 200), hush(0.5)))
    assert len(found) == 2
    for segment, (start, end) in zip(found, [(0.5, 1.5), (1.9, 2.7)], strict=True):
        assert segment.start == pytest.approx(start, abs=0.05)
        assert segment.end == pytest.approx(end, abs=0.15)


def test_min_silence_bridges_and_min_speech_drops() -> None:
    sound = audio(hush(0.5), vowel(1.0), hush(0.4), vowel(0.3), hush(0.5))
    assert len(speech_segments(sound)) == 2
    assert len(speech_segments(sound, VadParameters(min_silence=0.6))) == 1
    (only,) = speech_segments(sound, VadParameters(min_speech=0.7))
    assert only.end < 1.8


@settings(deadline=None)
@given(st.floats(0.0, 2.0))
def test_pad_never_overlaps_neighbours_nor_leaves_the_file(pad: float) -> None:
    sound = audio(hush(0.3), vowel(0.5), hush(0.4), vowel(0.5), hush(0.3))
    bare = speech_segments(sound)
    padded = speech_segments(sound, VadParameters(pad=pad))
    assert len(padded) == len(bare) == 2
    assert padded[0].start >= 0.0
    assert padded[-1].end <= sound.duration
    assert padded[0].end <= padded[1].start
    for inner, outer in zip(bare, padded, strict=True):
        assert outer.start <= inner.start
        assert outer.end >= inner.end


def test_refuses_another_sample_rate() -> None:
    with pytest.raises(ValueError, match="16000 Hz, got 8000 Hz"):
        speech_segments(Audio(np.zeros(8_000, dtype=np.float32), 8_000))


def test_pcm16_clips_instead_of_wrapping() -> None:
    pcm = np.frombuffer(pcm16(np.array([0.0, 0.5, 1.5, -1.5], dtype=np.float32)), dtype="<i2")
    assert pcm.tolist() == [0, 16384, 32767, -32767]
