from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.artifacts import Word
from mmdia_eval.sentences import find_sentences, split_sentences
from mmdia_eval.types import Segment


def spoken(text: str) -> list[Word]:
    """One word a second, with half a second of pause after each."""
    return [Word(word, i, i + 0.5) for i, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No full stop", [("no", "full", "stop")]),
        ("One. Two!? Three…", [("one",), ("two",), ("three",)]),
        ("It’s Zoë — well-known, at 3:30.", [("it's", "zoe", "well-known", "at", "3", "30")]),
        ("Mr. Hall", [("mr",), ("hall",)]),
        ("... ?! 。", []),
        ("<sigh> No.", [("sigh", "no")]),
    ],
)
def test_sentences_and_tokens(text: str, expected: list[tuple[str, ...]]) -> None:
    assert split_sentences(text) == expected


@given(st.text(alphabet="ab .!?'-é", max_size=40))
def test_splitting_loses_no_token(text: str) -> None:
    joined = [token for sentence in split_sentences(text) for token in sentence]
    whole = split_sentences(text.translate(dict.fromkeys(map(ord, ".!?"), " ")))
    assert joined == [token for sentence in whole for token in sentence]


def test_a_sentence_goes_from_its_first_to_its_last_word() -> None:
    found = find_sentences([("good", "morning"), ("bye",)], spoken("Good morning bye"))
    assert found == [Segment(0, 1.5), Segment(2, 2.5)]


def test_words_in_between_are_skipped_and_near_spellings_count() -> None:
    # difflib's ratio of "colour" and "color" is 10/11, of "colour" and "collar" 2/3
    found = find_sentences([("what", "colour")], spoken("what um color"))
    assert found == [Segment(0, 2.5)]
    assert find_sentences([("what", "colour")], spoken("what um collar")) == [Segment(0, 0.5)]


def test_what_is_not_found_ends_a_sentence_or_loses_it() -> None:
    words = spoken("we came home then we left")
    sentences = [("we", "came", "late"), ("never", "said"), ("then", "we", "left")]
    assert find_sentences(sentences, words) == [Segment(0, 1.5), None, Segment(3, 5.5)]


def test_silences_and_missing_words_are_nothing() -> None:
    assert find_sentences([("yes",)], [Word("sil", 0, 1), Word("Yes", 1, 2)]) == [Segment(1, 2)]
    assert find_sentences([("yes",), ("no",)], []) == [None, None]


@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4), max_size=6))
def test_a_script_spoken_word_for_word_is_found_whole(sentences: list[list[str]]) -> None:
    words = spoken(" ".join(token for sentence in sentences for token in sentence))
    ends = [len(sentence) for sentence in sentences]
    starts = [sum(ends[:i]) for i in range(len(ends))]
    expected = [Segment(s, s + n - 0.5) for s, n in zip(starts, ends, strict=True)]
    assert find_sentences(sentences, words) == expected
