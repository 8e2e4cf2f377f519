import doctest
from collections.abc import Mapping

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdia_eval.metrics.wer
from mmdia_eval.artifacts import Artifacts, Transcript, Utterance, Word
from mmdia_eval.errors import UserError
from mmdia_eval.metrics.wer import ErrorCounts, Wer, WerSettings, error_counts, word_errors
from mmdia_eval.registry import metric
from mmdia_eval.text import normalizer
from mmdia_eval.types import Dialogue, Turn

texts = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12).map(" ".join)


def dialogue(*turns: str) -> Dialogue:
    return Dialogue("d", tuple(Turn(f"S{i % 2}", text) for i, text in enumerate(turns)))


def heard(*utterances: str) -> Artifacts:
    words = [tuple(Word(word, 0.0, 0.0) for word in text.split()) for text in utterances]
    return Artifacts({Transcript: Transcript(tuple(Utterance(run) for run in words))})


def wer(name: str = "whisper-en", **settings: str) -> Wer:
    return Wer(WerSettings.model_validate({"normalizer": name, **settings}))


def edits(counts: Mapping[str, float]) -> tuple[float, ...]:
    """Substitutions, deletions, insertions and words."""
    return tuple(counts[name] for name in ("substitutions", "deletions", "insertions", "words"))


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
    assert edits(counts) == (1, 0, 0, 2)


def test_marks_of_the_script_cost_nothing_when_not_spoken() -> None:
    counts = wer().measure(dialogue("<sigh> I can’t (laughs)."), heard("i can't"))
    assert edits(counts) == (0, 0, 0, 3)


def test_the_normalizer_is_the_one_asked_for() -> None:
    assert wer("none").measure(dialogue("Yes."), heard("yes"))["substitutions"] == 1
    assert wer("zipvoice").measure(dialogue("Yes."), heard("yes"))["substitutions"] == 0


def test_a_script_without_words_keeps_its_insertions() -> None:
    counts = wer().measure(dialogue("(laughs)", "Hmm."), heard("thanks for watching"))
    assert edits(counts) == (0, 0, 3, 0)


def test_nothing_heard_and_nothing_given_cost_every_word() -> None:
    script = dialogue("Yes, I do.", "Good.")
    assert wer().worst(script) == wer().measure(script, heard())
    assert edits(wer().worst(script)) == (0, 4, 0, 4)


def test_value_is_the_corpus_rate() -> None:
    row = wer().measure(dialogue("a b c d"), heard("a x c d e"))
    assert wer().reduce(row) == 0.5


def test_components() -> None:
    rows = [
        error_counts(ErrorCounts(1, 0, 0, 10)),
        error_counts(ErrorCounts(0, 2, 0, 10)),
        error_counts(ErrorCounts(0, 0, 60, 20)),
        error_counts(ErrorCounts(insertions=4)),
    ]
    assert wer().components(rows) == pytest.approx(
        {
            "empty_references": 1,
            "substitution_share": 1 / 40,
            "deletion_share": 2 / 40,
            "insertion_share": 64 / 40,
            "corpus": 67 / 40,
            "mean": (0.1 + 0.2 + 3.0) / 3,
            "median": 0.2,
            "capped_mean": (0.1 + 0.2 + 1.0) / 3,
            "above_one": 1 / 3,
        }
    )


def test_components_without_any_reference_word() -> None:
    assert wer().components([error_counts(ErrorCounts(insertions=4))]) == {"empty_references": 1}
    assert wer().components([]) == {"empty_references": 0}


def total(rows: list[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) for name in Wer.fields}


@given(st.lists(st.tuples(texts.filter(bool), texts), min_size=1, max_size=5))
def test_the_mean_of_dialogues_is_that_of_jiwers_rates(pairs: list[tuple[str, str]]) -> None:
    mean = wer("seedtts", aggregation="dialogues")
    rows = [mean.measure(dialogue(said), heard(found)) for said, found in pairs]
    expected = sum(jiwer.wer(said, found) for said, found in pairs) / len(pairs)
    assert mean.reduce(total(rows)) == pytest.approx(expected)
    assert mean.aggregation == "dialogues"
    assert mean.components(rows)["corpus"] == wer("seedtts").reduce(total(rows))


def test_a_script_without_words_has_no_rate_to_average() -> None:
    silent = dialogue("...", "(?)")
    assert wer("seedtts").not_applicable(silent) is None
    assert "no words" in str(wer("seedtts", aggregation="dialogues").not_applicable(silent))


def test_blanks_count_words_as_the_release_does() -> None:
    blanks = wer("seedtts", words="blanks")
    # A reference of nothing is one word there; "a - - b" keeps a doubled blank, so three.
    for text, words in (("...", 1), ("a b", 2), ("a - - b", 3)):
        reference = normalizer("seedtts")(text)
        assert blanks.worst(dialogue(text))["words"] == len(reference.split(" ")) == words
    assert blanks.worst(dialogue("a - - b"))["deletions"] == 2


SPOKEN = st.text(st.sampled_from("aB '’-—.,?!$:…(<>）。"), max_size=20)


@given(SPOKEN, SPOKEN)
def test_the_punctuation_rule_of_seed_tts_against_jiwer(said: str, found: str) -> None:
    """Its rule, by another way: jiwer's transforms, with zhon's list as category and by name."""
    import string

    from mmdia_eval.text import _HANZI_PUNCTUATION

    marks = set(_HANZI_PUNCTUATION + string.punctuation) - {"'"}
    rule = jiwer.Compose(
        [
            jiwer.SubstituteRegexes({"[" + "".join(f"\\{mark}" for mark in marks) + "]": ""}),
            jiwer.ToLowerCase(),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )
    counts = wer("seedtts").measure(dialogue(said), heard(found))
    peer = jiwer.process_words(said, found, reference_transform=rule, hypothesis_transform=rule)
    assert edits(counts)[:3] == (peer.substitutions, peer.deletions, peer.insertions)
