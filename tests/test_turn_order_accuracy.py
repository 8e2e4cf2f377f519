from __future__ import annotations

from collections.abc import Sequence

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.artifacts import Artifacts, Diarization, SpeakerSegment, Transcript, Utterance, Word
from mmdia_eval.attribution import Run
from mmdia_eval.metrics.turn_order_accuracy import (
    TurnOrderAccuracy,
    TurnOrderSettings,
    turn_voices,
)
from mmdia_eval.types import Dialogue, Turn

ORDER = TurnOrderAccuracy(TurnOrderSettings())
Line = tuple[str, str]
SCRIPT: list[Line] = [
    ("Ann", "Where did you put the keys?"),
    ("Ben", "Under the blue flower pot."),
    ("Ann", "I looked there already."),
    ("Ann", "Twice, in fact."),
    ("Ben", "(sighs) Then ask your brother."),
]
WORDS = st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join)
RUNS = st.lists(st.builds(Run, st.sampled_from(["A", "B"]), WORDS), max_size=4)


def dialogue(lines: Sequence[Line]) -> Dialogue:
    return Dialogue("d", tuple(Turn(speaker, text) for speaker, text in lines))


def heard(lines: Sequence[Line]) -> Artifacts:
    """One utterance and one segment for each line, half a second a word, a second between."""
    utterances, segments, now = [], [], 0.0
    for voice, text in lines:
        start, words = now, []
        for word in text.split():
            words.append(Word(word, now, now + 0.5))
            now += 0.5
        utterances.append(Utterance(tuple(words)))
        segments.append(SpeakerSegment(start, now, voice))
        now += 1.0
    return Artifacts(
        {
            Transcript: Transcript(tuple(utterances)),
            Diarization: Diarization(tuple(segments)),
        }
    )


def value(said: Sequence[Line], script: Sequence[Line] = SCRIPT) -> float:
    return float(ORDER.reduce(ORDER.measure(dialogue(script), heard(said))))


def test_the_script_itself_is_right_whatever_the_voices_are_called() -> None:
    renamed = {"Ann": "1", "Ben": "0"}
    assert value([(renamed[speaker], text) for speaker, text in SCRIPT]) == 1


def test_one_voice_is_right_only_where_the_speaker_stays() -> None:
    assert value([("A", text) for _, text in SCRIPT]) == 1 / 4


def test_a_turn_in_the_wrong_voice_breaks_the_pairs_on_both_sides() -> None:
    voices = ["A", "B", "B", "A", "B"]
    assert value([(v, text) for v, (_, text) in zip(voices, SCRIPT, strict=True)]) == 2 / 4


def test_of_two_turns_in_the_wrong_order_the_shorter_is_not_there() -> None:
    swapped = [SCRIPT[1], SCRIPT[0], *SCRIPT[2:]]
    counts = ORDER.measure(dialogue(SCRIPT), heard(swapped))
    assert (counts["turns_present"], counts["pairs_present"], counts["correct"]) == (4, 2, 2)


def test_cut_off_end_costs_its_pairs() -> None:
    counts = ORDER.measure(dialogue(SCRIPT), heard(SCRIPT[:3]))
    assert counts == {
        "correct": 2,
        "pairs": 4,
        "pairs_present": 2,
        "turns_present": 3,
        "turns": 5,
    }
    assert ORDER.components([counts]) == {"pairs_present": 0.5, "turns_present": 0.6}


def test_a_turn_is_there_from_half_of_its_words_on() -> None:
    turns = ["a b c d"]
    assert turn_voices(turns, [Run("A", "a x c y")]) == ["A"]
    assert turn_voices(turns, [Run("A", "a x y z")]) == [None]


def test_the_voice_of_most_words_is_the_voice_of_the_turn() -> None:
    runs = [Run("A", "a"), Run("B", "b c x"), Run("A", "y z z")]
    assert turn_voices(["a b c"], runs) == ["B"]


def test_turns_without_words_take_their_pairs_out_of_the_count() -> None:
    script = [("Ann", "Hello there."), ("Ben", "(laughs)"), ("Ann", "So."), ("Ben", "Yes?")]
    assert ORDER.measure(dialogue(script), heard(script))["pairs"] == 1
    assert ORDER.worst(dialogue(script))["pairs"] == 1


@pytest.mark.parametrize("script", [[], SCRIPT[:1], [SCRIPT[0], ("Ben", "<sigh>"), SCRIPT[2]]])
def test_applies_only_with_two_neighbouring_turns_of_words(script: list[Line]) -> None:
    assert ORDER.not_applicable(dialogue(script)) == "no two neighbouring turns have words"
    assert ORDER.not_applicable(dialogue(SCRIPT)) is None


def test_an_output_that_says_nothing_is_as_bad_as_none() -> None:
    said_nothing = ORDER.measure(dialogue(SCRIPT), heard([]))
    assert said_nothing == ORDER.worst(dialogue(SCRIPT))
    assert ORDER.reduce(said_nothing) == 0


@given(st.lists(WORDS.filter(bool), min_size=1, max_size=4), RUNS)
def test_agrees_with_the_alignment_of_jiwer(turns: list[str], runs: list[Run]) -> None:
    hypothesis = " ".join(run.text for run in runs)
    (chunks,) = jiwer.process_words(" ".join(turns), hypothesis).alignments
    matches = [0] * len(turns)
    turn_of = [number for number, text in enumerate(turns) for _ in text.split()]
    for chunk in chunks:
        if chunk.type == "equal":
            for index in range(chunk.ref_start_idx, chunk.ref_end_idx):
                matches[turn_of[index]] += 1
    there = [2 * n >= len(text.split()) for n, text in zip(matches, turns, strict=True)]
    assert [voice is not None for voice in turn_voices(turns, runs)] == there


@given(st.lists(WORDS, max_size=5), RUNS)
def test_names_of_the_voices_do_not_matter(turns: list[str], runs: list[Run]) -> None:
    other = {"A": "B", "B": "A", None: None}
    renamed = [Run(other[run.speaker] or "", run.text) for run in runs]
    assert turn_voices(turns, renamed) == [other[voice] for voice in turn_voices(turns, runs)]
