from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, SpeakerEmbeddings, Word
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.extractors.ge2e import REQUIREMENT
from mmdia_eval.extractors.ge2e_embeddings import (
    EmbeddingSettings,
    Ge2eEmbeddings,
    Ge2eReferenceEmbeddings,
)
from mmdia_eval.types import Audio, Dialogue, Segment, Turn

pytestmark = pytest.mark.skipif(
    find_spec("resemblyzer") is None, reason=f"run: {REQUIREMENT.install}"
)
DIALOGUES = load_benchmark(resolve_benchmark("mini")).split("test")


def read(path: Path | None) -> Audio:
    assert path is not None
    return Audio(soundfile.read(path, dtype="float32")[0])


def of_reference(dialogue: Dialogue, audio: Audio, min_seconds: float = 1.0) -> SpeakerEmbeddings:
    made = Ge2eReferenceEmbeddings(EmbeddingSettings(min_seconds=min_seconds), ())
    made.load()
    return made.extract([Inputs(audio, dialogue, Artifacts({}))])[0]


def cosines(found: SpeakerEmbeddings, dialogue: Dialogue) -> tuple[list[float], list[float]]:
    """Of turns of one speaker, and of different ones."""
    same: list[float] = []
    other: list[float] = []
    for i, j in zip(*np.triu_indices(len(found.turns), 1), strict=True):
        speakers = {dialogue.turns[found.turns[k]].speaker for k in (i, j)}
        (same if len(speakers) == 1 else other).append(float(found.vectors[i] @ found.vectors[j]))
    return same, other


@pytest.mark.parametrize("dialogue", DIALOGUES[:3], ids=lambda d: d.id)
def test_turns_of_one_voice_are_nearer_than_those_of_two(dialogue: Dialogue) -> None:
    found = of_reference(dialogue, read(dialogue.audio))
    assert found.vectors.shape == (len(dialogue.turns), 256)
    assert found.vectors.dtype == np.float32
    same, other = cosines(found, dialogue)
    assert np.mean(same) > 0.8
    assert np.mean(other) < 0.7


def test_aligned_turns_give_what_the_same_times_of_the_reference_give() -> None:
    dialogue = DIALOGUES[0]
    audio = read(dialogue.audio)
    segments = [turn.segment for turn in dialogue.turns]
    turns = [
        AlignedTurn(i, (Word("all", s.start, s.end),) if s else (), 1)
        for i, s in enumerate([*segments[:-1], None])
    ]
    aligned = Ge2eEmbeddings(EmbeddingSettings(), ())
    aligned.load()
    artifacts = Artifacts({Alignment: Alignment(tuple(turns))})
    (found,) = aligned.extract([Inputs(audio, dialogue, artifacts)])
    expected = of_reference(dialogue, audio)
    assert found.turns == expected.turns[:-1]
    assert np.allclose(found.vectors, expected.vectors[:-1], atol=1e-6)


def test_turns_with_too_little_voice_are_absent() -> None:
    dialogue = DIALOGUES[0]
    audio = read(dialogue.audio)
    first = dialogue.turns[0].segment
    assert first is not None
    cut = Segment(first.start, first.start + 0.6)
    silent = Segment(audio.duration + 1, audio.duration + 3)
    turns = (*dialogue.turns[:2], Turn("Nora", "cut", cut), Turn("Ben", "silent", silent))
    found = of_reference(replace(dialogue, turns=turns), audio)
    assert found.turns == (0, 1)
    assert min(found.seconds) >= 1.0
    assert of_reference(replace(dialogue, turns=turns), audio, 0.3).turns == (0, 1, 2)


def test_a_file_without_voice_gives_no_vector() -> None:
    found = of_reference(DIALOGUES[0], Audio(np.zeros(160_000, np.float32)))
    assert (found.vectors.shape, found.turns, found.seconds) == ((0, 256), (), ())


def test_neither_a_second_run_nor_company_changes_a_byte() -> None:
    inputs = [Inputs(read(d.audio), d, Artifacts({})) for d in DIALOGUES[:2]]
    made = Ge2eReferenceEmbeddings(EmbeddingSettings(), ())
    made.load()
    together = made.extract(inputs)
    for item, expected in zip(inputs, together, strict=True):
        assert made.extract([item])[0].vectors.tobytes() == expected.vectors.tobytes()


def test_real_voices_stand_apart(real_speech: Path) -> None:
    for line in (real_speech / "mm-dia.jsonl").read_text().splitlines():
        entry = json.loads(line)
        turns = tuple(
            Turn(str(s["speaker"][0]), s["text"], Segment(s["start"], s["end"]))
            for s in entry["segments"]
        )
        dialogue = Dialogue(entry["dialog_id"], turns)
        same, other = cosines(of_reference(dialogue, read(real_speech / entry["path"])), dialogue)
        assert np.mean(same) > np.mean(other) + 0.1
