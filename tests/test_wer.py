import doctest

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdia_eval.metrics.wer
from mmdia_eval.errors import UserError
from mmdia_eval.metrics.wer import ErrorCounts, Wer, WordErrorSettings, word_errors
from mmdia_eval.registry import metric
from mmdia_eval.types import Artifacts, Dialogue, Transcript, Turn, Utterance, Word

texts = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12).map(" ".join)


def dialogue(*turns: str) -> Dialogue:
    return Dialogue("d", tuple(Turn(f"S{i % 2}", text) for i, text in enumerate(turns)))


def heard(*utterances: str) -> Artifacts:
    words = [tuple(Word(word, 0.0, 0.0) for word in text.split()) for text in utterances]
    return Artifacts({Transcript: Transcript(tuple(Utterance(run) for run in words))})


def wer(name: str = "whisper-en") -> Wer:
    return Wer(WordErrorSettings(normalizer=name))


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(mmdia_eval.metrics.wer).failed == 0


@given(texts, texts)
def test_counts_are_those_of_jiwer(reference: str, hypothesis: str) -> None:
    peer = jiwer.process_words(reference, hypothesis)
    assert word_errors(reference, hypothesis) == ErrorCounts(
        peer.substitutions, peer.deletions, peer.insertions, len(reference.split())
    )


@given(texts, texts)
def test_direction_swaps_deletions_and_insertions(one: str, other: str) -> None:
    there, back = word_errors(one, other), word_errors(other, one)
    assert there.errors == back.errors
    assert there.deletions - there.insertions == back.insertions - back.deletions


@given(texts)
def test_a_text_against_itself_and_against_nothing(text: str) -> None:
    words = len(text.split())
    assert word_errors(text, text) == ErrorCounts(words=words)
    assert word_errors(text, "") == ErrorCounts(deletions=words, words=words)
    assert word_errors("", text) == ErrorCounts(insertions=words)


def test_counts_add_and_a_rate_needs_words() -> None:
    total = ErrorCounts(1, 2, 3, 4) + ErrorCounts(insertions=4, words=1)
    assert total == ErrorCounts(1, 2, 7, 5)
    assert (total.errors, total.rate) == (10, 2.0)
    assert ErrorCounts(insertions=4).rate is None
    with pytest.raises(TypeError):
        total / 2  # type: ignore[operator]


def test_registered() -> None:
    assert metric.get("wer") is Wer


def test_unknown_normalizer_is_refused_when_the_metric_is_made() -> None:
    with pytest.raises(UserError, match="unknown normalizer 'x'"):
        wer("x")


def test_numbers_do_not_merge_across_turns_or_utterances() -> None:
    # Joined first, "one two" / "three four" would become the single word 1234.
    counts = wer().measure(dialogue("One two.", "Three four."), heard("one two", "three five"))
    assert counts == {"substitutions": 1, "deletions": 0, "insertions": 0, "words": 2}


def test_marks_of_the_script_cost_nothing_when_not_spoken() -> None:
    counts = wer().measure(dialogue("<sigh> I can’t (laughs)."), heard("i can't"))
    assert counts == {"substitutions": 0, "deletions": 0, "insertions": 0, "words": 3}


def test_the_normalizer_is_the_one_asked_for() -> None:
    assert wer("none").measure(dialogue("Yes."), heard("yes"))["substitutions"] == 1
    assert wer("zipvoice").measure(dialogue("Yes."), heard("yes"))["substitutions"] == 0


def test_a_script_without_words_keeps_its_insertions() -> None:
    counts = wer().measure(dialogue("(laughs)", "Hmm."), heard("thanks for watching"))
    assert counts == {"substitutions": 0, "deletions": 0, "insertions": 3, "words": 0}


def test_nothing_heard_and_nothing_given_cost_every_word() -> None:
    script = dialogue("Yes, I do.", "Good.")
    deleted = {"substitutions": 0, "deletions": 4, "insertions": 0, "words": 4}
    assert wer().worst(script) == wer().measure(script, heard()) == deleted


def test_value_is_the_corpus_rate() -> None:
    row = wer().measure(dialogue("a b c d"), heard("a x c d e"))
    assert wer().reduce(row) == 0.5


def test_components() -> None:
    rows = [
        vars(ErrorCounts(1, 0, 0, 10)),
        vars(ErrorCounts(0, 2, 0, 10)),
        vars(ErrorCounts(0, 0, 60, 20)),
        vars(ErrorCounts(insertions=4)),
    ]
    assert wer().components(rows) == pytest.approx(
        {
            "empty_references": 1,
            "substitution_share": 1 / 40,
            "deletion_share": 2 / 40,
            "insertion_share": 64 / 40,
            "mean": (0.1 + 0.2 + 3.0) / 3,
            "median": 0.2,
            "capped_mean": (0.1 + 0.2 + 1.0) / 3,
            "above_one": 1 / 3,
        }
    )


def test_components_without_any_reference_word() -> None:
    assert wer().components([vars(ErrorCounts(insertions=4))]) == {"empty_references": 1}
    assert wer().components([]) == {"empty_references": 0}
