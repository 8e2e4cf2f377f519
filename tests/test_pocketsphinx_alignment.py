from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from mmdia_eval import examples
from mmdia_eval.api import Inputs, Settings
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, Transcript, Utterance, Word
from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.extractors.pocketsphinx_alignment import PocketsphinxAlignment, heard_turns
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, Segment, Turn

DIALOGUES = load_benchmark(Path(examples.__file__).parent / "mini").split("test")


def sound(path: Path | None) -> Audio:
    assert path is not None
    samples, rate = soundfile.read(path, dtype="float32")
    return Audio(soxr.resample(samples, rate, SAMPLE_RATE))


BEN = sound(DIALOGUES[0].audio).cut(Segment(2.6, 5.3))
SAID = "That is exactly why I need a boat."


def inputs(audio: Audio, *texts: str) -> Inputs:
    turns = tuple(Turn("A", text) for text in texts)
    return Inputs(audio, Dialogue("x", turns), Artifacts({Transcript: Transcript(())}))


@pytest.fixture(scope="module")
def aligner() -> PocketsphinxAlignment:
    made = PocketsphinxAlignment(Settings(), ())
    made.load()
    return made


def align(aligner: PocketsphinxAlignment, audio: Audio, *texts: str) -> Alignment:
    (alignment,) = aligner.extract([inputs(audio, *texts)])
    return alignment


def test_is_registered() -> None:
    assert extractor.get("pocketsphinx_alignment") is PocketsphinxAlignment


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: dialogue.id)
def test_every_word_is_found_in_its_own_turn(
    aligner: PocketsphinxAlignment, dialogue: Dialogue
) -> None:
    audio = sound(dialogue.audio)
    (alignment,) = aligner.extract(
        [Inputs(audio, dialogue, Artifacts({Transcript: Transcript(())}))]
    )
    assert alignment.problem is None
    assert [turn.index for turn in alignment.turns] == list(range(len(dialogue.turns)))
    words = [word for turn in alignment.turns for word in turn.words]
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(words))
    assert words[0].start >= 0.0
    assert words[-1].end <= audio.duration
    for found, turn in zip(alignment.turns, dialogue.turns, strict=True):
        assert len(found.words) == found.expected
        assert found.segment is not None
        assert turn.segment is not None
        assert found.segment.start == pytest.approx(turn.segment.start, abs=0.26)
        assert found.segment.end == pytest.approx(turn.segment.end, abs=0.26)


def test_words_are_spelled_as_in_the_dictionary(aligner: PocketsphinxAlignment) -> None:
    alignment = align(aligner, BEN, "<sigh>", "THAT is (looks away) 'exactly' why", "I need a BOAT")
    said = [[word.text for word in turn.words] for turn in alignment.turns]
    assert said == [[], ["that", "is", "exactly", "why"], ["i", "need", "a", "boat"]]
    assert [turn.expected for turn in alignment.turns] == [0, 4, 4]
    assert alignment.turns[0].segment is None


def test_a_word_without_pronunciation_is_expected_but_not_found(
    aligner: PocketsphinxAlignment,
) -> None:
    (turn,) = align(aligner, BEN, f"Avonlea! {SAID}").turns
    assert turn.expected == 9
    assert len(turn.words) == 8


def test_audio_that_ends_with_the_last_word_keeps_it(aligner: PocketsphinxAlignment) -> None:
    (whole,) = align(aligner, BEN, SAID).turns
    tight = BEN.cut(Segment(whole.words[0].start, whole.words[-1].end))
    (turn,) = align(aligner, tight, SAID).turns
    assert [word.text for word in turn.words] == [word.text for word in whole.words]
    assert turn.words[0].start >= 0.0
    assert turn.words[-1].end <= tight.duration


def test_words_that_were_not_said_are_a_problem(aligner: PocketsphinxAlignment) -> None:
    alignment = align(aligner, BEN, SAID, "And then they all went home to the city.")
    assert alignment.turns == (AlignedTurn(0, (), 8), AlignedTurn(1, (), 9))
    assert alignment.problem is not None
    assert "of 17 words at beams 1e-48, 1e-100, 1e-160" in alignment.problem


def test_an_incomplete_alignment_is_a_problem(aligner: PocketsphinxAlignment) -> None:
    alignment = align(aligner, BEN.cut(Segment(0.0, 2.21)), SAID)
    assert alignment.turns == (AlignedTurn(0, (), 8),)
    assert alignment.problem is not None
    assert re.match("aligner returned [1-7], .* of 8 words", alignment.problem)


@pytest.mark.parametrize("length", [0, 1, 1_600, 3 * SAMPLE_RATE])
def test_silence_is_a_problem(aligner: PocketsphinxAlignment, length: int) -> None:
    alignment = align(aligner, Audio(np.zeros(length, dtype=np.float32)), SAID)
    assert alignment.turns == (AlignedTurn(0, (), 8),)
    assert alignment.problem is not None


@pytest.mark.parametrize(("text", "expected"), [("Avonlea", 1), ("(laughs)", 0), ("你好", 0)])
def test_a_script_without_known_words_is_a_problem(
    aligner: PocketsphinxAlignment, text: str, expected: int
) -> None:
    alignment = align(aligner, BEN, text)
    assert alignment.turns == (AlignedTurn(0, (), expected),)
    assert alignment.problem == "no word of the script is in the US English dictionary"


def test_results_do_not_depend_on_what_came_before(aligner: PocketsphinxAlignment) -> None:
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal(len(BEN.samples), dtype=np.float32)
    batch = [inputs(Audio(BEN.samples + noise), SAID), inputs(BEN, SAID), inputs(BEN, SAID * 2)]
    assert aligner.extract(batch) == aligner.extract(batch[::-1])[::-1]


def test_aligns_real_speech(aligner: PocketsphinxAlignment, real_speech: Path) -> None:
    lines = (real_speech / "utterances.jsonl").read_text(encoding="utf-8").splitlines()
    for item in map(json.loads, lines):
        alignment = align(aligner, sound(real_speech / item["file"]), item["text"])
        assert alignment.problem is None, item["file"]
        (turn,) = alignment.turns
        assert len(turn.words) >= 0.98 * turn.expected


def heard(text: str, start: float = 0.0) -> tuple[Word, ...]:
    """Words of 0.3 s, one after the other."""
    return tuple(
        Word(word, start + 0.3 * i, start + 0.3 * i + 0.3) for i, word in enumerate(text.split())
    )


def texts(turns: list[tuple[Word, ...]]) -> list[str]:
    return [" ".join(word.text for word in words) for words in turns]


SCRIPT = [["good", "morning", "to", "you"], ["is", "it", "still", "raining"], ["yes"]]


def test_turns_are_placed_by_the_words_heard() -> None:
    said = heard("good morning to you is it raining")
    assert texts(heard_turns(SCRIPT, said)) == ["good morning to you", "is it raining", ""]


def test_a_turn_of_which_less_than_half_is_heard_has_no_place() -> None:
    assert texts(heard_turns(SCRIPT, heard("morning is it still"))) == ["", "is it still", ""]


def test_a_word_matched_far_away_does_not_stretch_its_turn() -> None:
    said = heard("good", 0.0) + heard("morning to you is it still raining yes", 9.0)
    assert texts(heard_turns(SCRIPT, said)) == ["morning to you", "is it still raining", "yes"]


def test_a_failed_alignment_falls_back_on_the_transcript(aligner: PocketsphinxAlignment) -> None:
    asked = inputs(BEN, SAID, "And then they all went home to the city.")
    said = heard("that is exactly why i need a boat", 0.2)
    (alignment,) = aligner.extract(
        [replace(asked, artifacts=Artifacts({Transcript: Transcript((Utterance(said),))}))]
    )
    assert alignment.problem is not None
    assert [turn.words for turn in alignment.turns] == [said, ()]
