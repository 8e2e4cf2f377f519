from __future__ import annotations

import json
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmdia_eval.api import Extractor, Inputs, Settings
from mmdia_eval.artifacts import Artifacts, Diarization
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.example_systems import make_systems
from mmdia_eval.extractors.ge2e import REQUIREMENT, unit
from mmdia_eval.extractors.ge2e_diarization import (
    DiarizationSettings,
    Ge2eDiarization,
    Ge2eDiarizationOracle,
    Recording,
    estimate,
)
from mmdia_eval.types import Audio, Dialogue, FloatArray, Segment, Turn

needs_wheel = pytest.mark.skipif(
    find_spec("resemblyzer") is None, reason=f"run: {REQUIREMENT.install}"
)
MINI = resolve_benchmark("mini")
DIALOGUES = load_benchmark(MINI).split("test")
SETTINGS = DiarizationSettings()


def voices(*labels: int, seed: int = 0) -> FloatArray:
    """Vectors (n, 256) around the axis of each label: cosines about 0.9 within, 0.1 between."""
    spread = np.random.default_rng(seed).uniform(0, 0.03, (len(labels), 256))
    spread[np.arange(len(labels)), list(labels)] = 1.0
    return unit(spread.astype(np.float32))


def one_stretch_each(vectors: FloatArray, seconds: float = 1.5) -> Recording:
    stretches = [Segment(2.0 * i, 2.0 * i + seconds) for i in range(len(vectors))]
    return Recording(stretches, stretches, range(len(vectors)), vectors)


def one_stretch(vectors: FloatArray) -> Recording:
    """Windows of 1.6 s every 0.2 s in a single stretch."""
    windows = [Segment(0.2 * i, 0.2 * i + 1.6) for i in range(len(vectors))]
    return Recording([Segment(0.0, windows[-1].end)], windows, [0] * len(windows), vectors)


@pytest.mark.parametrize("turns", [(0,) * 8, (0, 1) * 4, (0, 1, 2, 0, 2, 1, 0, 1, 2)])
def test_as_many_clusters_as_voices(turns: tuple[int, ...]) -> None:
    recording = one_stretch_each(voices(*turns))
    clusters = estimate(recording, SETTINGS)
    assert len(set(clusters.tolist())) == len(set(turns))
    assert len({*zip(clusters.tolist(), turns, strict=True)}) == len(set(turns))


def test_a_voice_that_says_too_little_is_not_believed() -> None:
    recording = one_stretch_each(voices(0, 0, 1, 0, 0, 0))
    assert set(estimate(recording, SETTINGS).tolist()) == {0}
    eager = DiarizationSettings(min_seconds=1.0)
    assert set(estimate(recording, eager).tolist()) == {0, 1}


def test_windows_across_a_change_are_no_third_voice() -> None:
    first, mixed, second = [0] * 12, [2] * 7, [1] * 12
    recording = one_stretch(voices(*first, *mixed, *second))
    assert len(set(estimate(recording, SETTINGS).tolist())) == 2


def test_no_more_voices_than_allowed() -> None:
    recording = one_stretch_each(voices(*[0, 1, 2, 3] * 3))
    assert len(set(estimate(recording, DiarizationSettings(max_speakers=3)).tolist())) <= 3
    assert set(estimate(recording, DiarizationSettings(max_speakers=1)).tolist()) == {0}


def test_a_change_inside_a_stretch_is_cut_where_windows_are_half_and_half() -> None:
    recording = one_stretch(voices(*[0] * 10, *[1] * 10))
    first, second = recording.pieces(recording.split(2))
    assert first.voice != second.voice
    assert first.segment.start == 0.0
    assert first.segment.end == second.segment.start == pytest.approx(2.7)
    assert second.segment.end == pytest.approx(5.4)


def test_a_short_window_gets_a_voice_but_forms_none() -> None:
    vectors = voices(0, 1, 0, 1, 7)
    stretches = [Segment(2.0 * i, 2.0 * i + 1.5) for i in range(4)] + [Segment(9.0, 9.3)]
    recording = Recording(stretches, stretches, range(5), vectors)
    assert len(recording.reliable) == 4
    assert {piece.voice for piece in recording.pieces(recording.split(2))} == {0, 1}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_fewer_windows_than_voices_asked_for(count: int) -> None:
    recording = one_stretch_each(voices(0, 1))
    assert len(set(recording.split(count).tolist())) == min(count, 2)


def diarize(
    made: Extractor[Diarization], audio: Audio, dialogue: Dialogue = DIALOGUES[0]
) -> Diarization:
    return made.extract([Inputs(audio, dialogue, Artifacts({}))])[0]


def loaded(made: Extractor[Diarization]) -> Extractor[Diarization]:
    made.load()
    return made


@pytest.fixture(scope="module")
def automatic() -> Extractor[Diarization]:
    return loaded(Ge2eDiarization(SETTINGS, ()))


@pytest.fixture(scope="module")
def oracle() -> Extractor[Diarization]:
    return loaded(Ge2eDiarizationOracle(Settings(), ()))


def read(path: Path | None) -> Audio:
    assert path is not None
    return Audio(soundfile.read(path, dtype="float32")[0])


def labels_of_turns(dialogue: Dialogue, found: Diarization) -> list[tuple[str, str]]:
    """Each turn's speaker with the label of the segment that covers most of it."""
    labels = []
    for turn in dialogue.turns:
        place = turn.segment
        assert place is not None
        overlaps = [(s.segment.overlap(place), s.speaker) for s in found.segments]
        labels.append((turn.speaker, max(overlaps)[1]))
    return labels


@needs_wheel
@pytest.mark.parametrize("index", [0, 1, 5])
def test_every_turn_of_the_mini_benchmark_goes_to_its_speaker(
    automatic: Extractor[Diarization], index: int
) -> None:
    dialogue = DIALOGUES[index]
    found = diarize(automatic, read(dialogue.audio))
    assert len(found.speakers) == len(dialogue.speakers)
    assert len(set(labels_of_turns(dialogue, found))) == len(dialogue.speakers)
    for left, right in pairwise(found.segments):
        assert left.start < left.end <= right.start


@needs_wheel
def test_one_voice_for_all_turns_is_heard_as_one(
    automatic: Extractor[Diarization], oracle: Extractor[Diarization], tmp_path: Path
) -> None:
    make_systems(MINI, tmp_path)
    for dialogue in DIALOGUES[:2]:
        audio = read(tmp_path / "one-voice" / f"output_{dialogue.id}.flac")
        assert diarize(automatic, audio).speakers == ("voice1",)
        assert len(diarize(oracle, audio, dialogue).speakers) == 2


@needs_wheel
@pytest.mark.parametrize("samples", [0, 1000, 80_000])
def test_silence_has_no_speaker(
    automatic: Extractor[Diarization], oracle: Extractor[Diarization], samples: int
) -> None:
    silence = Audio(np.zeros(samples, np.float32))
    assert diarize(automatic, silence) == diarize(oracle, silence) == Diarization(())


@needs_wheel
def test_a_second_run_gives_the_same(automatic: Extractor[Diarization]) -> None:
    audio = read(DIALOGUES[5].audio)
    assert diarize(automatic, audio) == diarize(automatic, audio)


@needs_wheel
def test_real_dialogues_have_their_speakers(
    automatic: Extractor[Diarization], real_speech: Path
) -> None:
    for line in (real_speech / "mm-dia.jsonl").read_text().splitlines():
        entry = json.loads(line)
        turns = tuple(
            Turn(str(s["speaker"][0]), s["text"], Segment(s["start"], s["end"]))
            for s in entry["segments"]
        )
        dialogue = Dialogue(entry["dialog_id"], turns)
        found = diarize(automatic, read(real_speech / entry["path"]))
        assert len(found.speakers) == len(dialogue.speakers)
        assert len(set(labels_of_turns(dialogue, found))) == len(dialogue.speakers)
