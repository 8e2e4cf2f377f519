import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.artifacts import Artifacts, Transcript, Utterance, Word
from mmdia_eval.metrics.hallucination import (
    Hallucination,
    HallucinationSettings,
    loops,
    repeated_words,
)
from mmdia_eval.types import Dialogue, Turn

metric = Hallucination(HallucinationSettings())
few_words = st.lists(st.sampled_from("ab"), max_size=14)


def dialogue(*turns: str) -> Dialogue:
    return Dialogue("d", tuple(Turn("A", text) for text in turns))


def utterance(text: str, *doubts: float | None) -> Utterance:
    words = tuple(Word(word, 0.0, 0.0) for word in text.split())
    return Utterance(words, None, *doubts)


def heard(*utterances: Utterance) -> Artifacts:
    return Artifacts({Transcript: Transcript(utterances)})


@given(few_words)
def test_words_in_loops_are_those_that_a_regular_expression_finds(words: list[str]) -> None:
    # Letters for words: (.+?)\1{2,} from every start, taken with the part of a repeat that follows.
    text, expected = "".join(words), set()
    for start in range(len(text)):
        for n in range(1, len(text) // 3 + 1):
            if re.match(rf"(.{{{n}}})\1\1", text[start:]):
                expected |= set(range(start, start + 3 * n))
    assert {place for places, _ in loops(words) for place in places} == expected


@given(few_words)
def test_a_loop_of_the_script_is_none_of_the_transcript(words: list[str]) -> None:
    assert repeated_words(words, words) == 0


@pytest.mark.parametrize(
    ("said", "script", "count"),
    [
        ("no no", "", 0),
        ("no no no", "", 3),
        ("no no no no no no no no no", "no no no", 0),
        ("thank you thank you thank you", "thank you", 6),
        ("thank you thank you thank you", "you thank you thank you thank", 0),
        ("a b c a b c a b c a b", "", 11),
        ("a a a b a a a b a a a b", "", 12),
    ],
)
def test_repeated_words(said: str, script: str, count: int) -> None:
    assert repeated_words(said.split(), script.split()) == count


def test_value_is_the_share_of_heard_words_that_the_script_lacks() -> None:
    counts = metric.measure(
        dialogue("So you did."), heard(utterance("So you did."), utterance("Thanks for watching!"))
    )
    assert (counts["inserted"], counts["heard"]) == (3, 6)
    assert metric.reduce(counts) == 0.5


def test_numbers_and_marks_are_normalised_as_in_wer() -> None:
    counts = metric.measure(dialogue("<sigh> Twenty-one."), heard(utterance("21 (laughs)")))
    assert (counts["inserted"], counts["heard"]) == (0, 1)


def test_signs_are_counted_at_whispers_thresholds() -> None:
    of_itself = [
        utterance("silence", 0.61, -1.0, 2.4),
        utterance("sure", 0.99, -0.99, 2.41),
        utterance("unsure", 0.6, -1.01, 1.0),
        utterance("unknown"),
    ]
    counts = metric.measure(dialogue("silence sure unsure unknown"), heard(*of_itself))
    assert counts["utterances"] == 4
    figures = metric.components([counts])
    assert figures["rated_utterances"] == 3 / 4
    assert figures["no_speech"] == 1 / 3
    assert figures["low_log_probability"] == 1 / 3
    assert figures["high_compression_ratio"] == 1 / 3


def test_a_recogniser_that_says_nothing_of_itself() -> None:
    figures = metric.components([metric.measure(dialogue("yes"), heard(utterance("yes")))])
    assert figures == {"repeated_words": 0, "looping_dialogues": 0, "rated_utterances": 0}


def test_nothing_heard_adds_nothing() -> None:
    silence = metric.measure(dialogue("yes"), heard())
    assert (silence["inserted"], silence["heard"]) == (0, 0)
    assert metric.components([silence]) == {"looping_dialogues": 0}


def test_missing_outputs_count_in_the_value_alone() -> None:
    said = metric.measure(dialogue("no"), heard(utterance("no no no no")))
    missing = metric.worst(dialogue("yes I do"))
    assert metric.reduce(missing) == 1
    assert metric.components([said, missing]) == metric.components([said])
    assert metric.reduce(metric.worst(dialogue("(laughs)"))) == 1
