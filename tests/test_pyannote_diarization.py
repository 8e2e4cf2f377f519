from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_pyannote
from tiny_pyannote import BOTH, BUZZ, HISS, SILENCE, sound

from mmdia_eval import models
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, Diarization
from mmdia_eval.extractors.pyannote_diarization import (
    MODEL,
    PyannoteDiarization,
    PyannoteDiarizationOracle,
    PyannoteSettings,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import Audio, Dialogue, FloatArray, Segment, Turn

pytestmark = [
    # Of the random stand-in for the embedding model only.
    pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values"),
    # Making the stand-in imports pyannote.audio outside our loader, which silences this.
    pytest.mark.filterwarnings(r"ignore:\s*torchcodec is not installed correctly"),
]

TWO = [(BUZZ, 2.0), (SILENCE, 0.5), (HISS, 2.0), (SILENCE, 0.5), (BUZZ, 2.0), (HISS, 1.5)]
ONE = [(BUZZ, 2.0), (SILENCE, 0.5), (BUZZ, 2.0), (SILENCE, 1.0), (BUZZ, 2.0)]


@pytest.fixture(scope="module")
def loaded(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[bool, PyannoteDiarization]]:
    """The automatic pipeline, and under True the oracle one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tiny_pyannote.make(tmp_path_factory.mktemp("pyannote"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "folder", {MODEL: folder}.__getitem__)
        automatic = PyannoteDiarization(PyannoteSettings(), ())
        oracle = PyannoteDiarizationOracle(PyannoteSettings(), ())
        automatic.load()
        oracle.load()
        yield {False: automatic, True: oracle}
    torch.set_num_threads(threads)


def inputs(samples: FloatArray, speakers: int = 2) -> Inputs:
    turns = tuple(Turn(f"S{number}", "words") for number in range(speakers))
    return Inputs(Audio(samples), Dialogue("d", turns), Artifacts({}))


def diarize(made: PyannoteDiarization, samples: FloatArray, speakers: int = 2) -> Diarization:
    (found,) = made.extract([inputs(samples, speakers)])
    return found


def test_are_registered() -> None:
    assert extractor.get("pyannote_diarization") is PyannoteDiarization
    assert extractor.get("pyannote_diarization_oracle") is PyannoteDiarizationOracle
    assert PyannoteDiarizationOracle.reads == ("speaker_count",)


def test_telemetry_is_off_and_the_hub_out_of_reach(
    loaded: dict[bool, PyannoteDiarization],
) -> None:
    from pyannote.audio.telemetry import metrics

    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert metrics.is_metrics_enabled() is False


def test_a_missing_model_is_a_problem_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "problems", lambda id_: [f"model {id_!r} is not here"])
    made = PyannoteDiarization(PyannoteSettings(), ())
    assert made.problems() == ["model 'speaker-diarization-community-1' is not here"]


def test_planted_turns_are_found(loaded: dict[bool, PyannoteDiarization]) -> None:
    found = diarize(loaded[False], sound(TWO, 99))
    seconds: defaultdict[tuple[int, str], float] = defaultdict(float)
    at = 0.0
    for kind, duration in TWO:
        for segment in found.segments:
            shared = segment.segment.overlap(Segment(at, at + duration))
            seconds[kind, segment.speaker] += shared
        at += duration
    assert len(found.speakers) == 2
    (buzz, of_buzz), (hiss, of_hiss) = (
        max((seconds[kind, speaker], speaker) for speaker in found.speakers)
        for kind in (BUZZ, HISS)
    )
    assert of_buzz != of_hiss
    assert buzz + hiss > 0.95 * 7.5
    assert sum(seconds.values()) - buzz - hiss < 0.05 * 7.5


def test_one_voice_is_heard_as_one(loaded: dict[bool, PyannoteDiarization]) -> None:
    assert len(diarize(loaded[False], sound(ONE, 99)).speakers) == 1


@pytest.mark.parametrize("speakers", [1, 2])
def test_the_oracle_looks_for_as_many_as_the_reference_has(
    loaded: dict[bool, PyannoteDiarization], speakers: int
) -> None:
    assert len(diarize(loaded[True], sound(TWO, 99), speakers).speakers) == speakers


def test_fewer_voices_than_asked_for_are_kept_as_found(
    loaded: dict[bool, PyannoteDiarization],
) -> None:
    assert len(diarize(loaded[True], sound([(HISS, 3.0)], 99), 2).speakers) == 1
    # Four usable voices in windows, five speakers: k-means cannot be asked.
    assert 1 <= len(diarize(loaded[True], sound(ONE, 99), 5).speakers) < 5


@pytest.mark.parametrize("oracle", [False, True])
@pytest.mark.parametrize("samples", [0, 1, 4_800, 80_000])
def test_silence_of_any_length_has_no_speaker(
    loaded: dict[bool, PyannoteDiarization], oracle: bool, samples: int
) -> None:
    assert diarize(loaded[oracle], np.zeros(samples, np.float32)) == Diarization(())


@pytest.mark.parametrize("oracle", [False, True])
@pytest.mark.parametrize("samples", [1, 400, 4_800])
def test_a_moment_of_speech_is_no_crash(
    loaded: dict[bool, PyannoteDiarization], oracle: bool, samples: int
) -> None:
    found = diarize(loaded[oracle], sound([(BUZZ, 0.3)])[:samples])
    assert len(found.speakers) <= 1
    assert all(0 <= s.start < s.end <= samples / 16_000 for s in found.segments)


def test_speech_up_to_the_end_ends_with_the_file(loaded: dict[bool, PyannoteDiarization]) -> None:
    found = diarize(loaded[False], sound([(HISS, 6.123)]))
    assert 6.0 < found.segments[-1].end <= 6.123


@pytest.mark.parametrize("oracle", [False, True])
@pytest.mark.parametrize("lost", [slice(None), slice(None, None, 2), slice(1)])
def test_voices_that_could_not_be_embedded(
    loaded: dict[bool, PyannoteDiarization],
    monkeypatch: pytest.MonkeyPatch,
    oracle: bool,
    lost: slice,
) -> None:
    """Embeddings of short speech can be NaN (pyannote/pyannote-audio issue 1961)."""
    pipeline = loaded[oracle]._pipeline
    embed = pipeline.get_embeddings

    def with_nan(*args: Any, **options: Any) -> FloatArray:
        vectors: FloatArray = embed(*args, **options)
        vectors[lost] = np.nan
        return vectors

    monkeypatch.setattr(pipeline, "get_embeddings", with_nan)
    found = diarize(loaded[oracle], sound(TWO, 99))
    assert sum(segment.segment.duration for segment in found.segments) > 6.0
    assert 1 <= len(found.speakers) <= 3


OVERLAP = [(BUZZ, 3.0), (BOTH, 1.5), (HISS, 3.0)]


def test_one_speaker_at_a_time(loaded: dict[bool, PyannoteDiarization]) -> None:
    found = diarize(loaded[False], sound(OVERLAP))
    assert len(found.speakers) == 2
    assert all(left.end <= right.start for left, right in pairwise(found.segments))


def test_overlapping_segments_on_request(loaded: dict[bool, PyannoteDiarization]) -> None:
    made = PyannoteDiarization(PyannoteSettings(exclusive=False), ())
    made._pipeline = loaded[False]._pipeline
    found = diarize(made, sound(OVERLAP))
    assert len(found.speakers) == 2
    shared = sum(
        left.segment.overlap(right.segment)
        for left, right in combinations(found.segments, 2)
        if left.speaker != right.speaker
    )
    assert shared == pytest.approx(1.5, abs=0.3)


def test_results_depend_neither_on_the_batch_nor_on_batch_sizes(
    loaded: dict[bool, PyannoteDiarization],
) -> None:
    batch = [inputs(sound(plan, seed)) for seed, plan in enumerate([TWO, ONE, [(HISS, 1.0)]])]
    together = loaded[False].extract(batch)
    assert loaded[False].extract(batch[::-1])[::-1] == together
    single = PyannoteDiarization(
        PyannoteSettings(segmentation_batch_size=1, embedding_batch_size=1), ()
    )
    single.load()
    assert [single.extract([item])[0] for item in batch] == together


def test_a_recording_mapped_into_memory(
    loaded: dict[bool, PyannoteDiarization], tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", sound(ONE))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    item = replace(inputs(sound(ONE)), audio=Audio(mapped))
    assert loaded[False].extract([item]) == [diarize(loaded[False], sound(ONE))]
