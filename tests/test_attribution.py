import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdia_eval.attribution
from mmdia_eval.artifacts import Diarization, SpeakerSegment, Transcript, Utterance, Word
from mmdia_eval.attribution import ONLY_SPEAKER, Run, speaker_runs, texts_by_speaker
from mmdia_eval.text import normalizer
from mmdia_eval.types import Segment


def diarization(*segments: tuple[float, float, str]) -> Diarization:
    return Diarization(tuple(SpeakerSegment(*segment) for segment in segments))


def transcript(*utterances: list[tuple[str, float, float]]) -> Transcript:
    return Transcript(tuple(Utterance(tuple(Word(*word) for word in run)) for run in utterances))


def speaker_of(word: tuple[float, float], segments: Diarization) -> str:
    (speaker,) = texts_by_speaker(speaker_runs(transcript([("w", *word)]), segments, str))
    return speaker


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(mmdia_eval.attribution).failed == 0


TWO = diarization((0.0, 1.0, "A"), (2.0, 3.0, "B"))


@pytest.mark.parametrize(
    ("word", "speaker"),
    [
        ((0.2, 0.4), "A"),
        ((2.2, 2.4), "B"),
        ((0.9, 2.3), "B"),
        ((0.6, 2.3), "A"),
        ((1.1, 1.3), "A"),
        ((1.6, 1.9), "B"),
        ((9.0, 9.5), "B"),
        ((2.5, 2.5), "B"),
    ],
)
def test_most_shared_time_else_nearest(word: tuple[float, float], speaker: str) -> None:
    assert speaker_of(word, TWO) == speaker


def test_shared_time_adds_up_over_a_speakers_segments() -> None:
    segments = diarization((0.0, 0.3, "A"), (0.3, 0.7, "B"), (0.7, 1.0, "A"))
    assert speaker_of((0.0, 1.0), segments) == "A"


def test_equal_shares_go_to_the_speaker_heard_first() -> None:
    overlap = diarization((0.0, 2.0, "B"), (0.5, 2.0, "A"))
    assert speaker_of((1.0, 1.5), overlap) == "B"


def test_no_segments_is_one_speaker() -> None:
    words = transcript([("a", 0, 1)], [("b", 2, 3)])
    assert texts_by_speaker(speaker_runs(words, diarization(), str)) == {ONLY_SPEAKER: "a b"}


def test_nothing_heard() -> None:
    assert texts_by_speaker(speaker_runs(transcript(), TWO, str)) == {}
    assert speaker_runs(transcript([]), diarization(), str) == []


def test_runs_end_with_the_speaker_or_the_utterance() -> None:
    words = transcript(
        [("one", 0.0, 0.2), ("two", 0.3, 0.5), ("three", 2.1, 2.3)], [("four", 2.5, 2.8)]
    )
    runs = [
        Run("A", "one two", Segment(0.0, 0.5)),
        Run("B", "three", Segment(2.1, 2.3)),
        Run("B", "four", Segment(2.5, 2.8)),
    ]
    assert speaker_runs(words, TWO, str) == runs
    assert texts_by_speaker(speaker_runs(words, TWO, str)) == {"A": "one two", "B": "three four"}


def test_each_run_is_normalised_by_itself() -> None:
    words = transcript(
        [("one", 0.0, 0.2), ("two", 2.1, 2.3), ("three", 2.3, 2.4)], [("four", 2.5, 2.8)]
    )
    # Whisper's rules would make "two three" and "four" one number, had they been joined.
    assert texts_by_speaker(speaker_runs(words, TWO, normalizer("whisper-en"))) == {
        "A": "one",
        "B": "23 4",
    }


times = st.floats(0, 60)
spans = st.tuples(times, times).map(lambda pair: (min(pair), max(pair)))


@given(
    st.lists(st.lists(spans, max_size=5), max_size=5),
    st.lists(st.tuples(spans, st.sampled_from("ABC")), max_size=6),
)
def test_every_word_is_given_to_one_speaker_in_order(
    utterances: list[list[tuple[float, float]]],
    segments: list[tuple[tuple[float, float], str]],
) -> None:
    count = iter(range(1000))
    words = transcript(*([(str(next(count)), *span) for span in spans] for spans in utterances))
    who = diarization(*((*span, speaker) for span, speaker in segments))
    runs = speaker_runs(words, who, str)
    assert " ".join(run.text for run in runs).split() == [word.text for word in words.words]
    assert {run.speaker for run in runs} <= {*who.speakers, ONLY_SPEAKER}


@given(spans, st.lists(st.tuples(spans, st.sampled_from("ABC")), min_size=1, max_size=6))
def test_agrees_with_the_algebra_of_segments(
    word: tuple[float, float], segments: list[tuple[tuple[float, float], str]]
) -> None:
    who = diarization(*((*span, speaker) for span, speaker in segments))
    span = Word("w", *word).segment
    shared = {
        speaker: sum(s.segment.overlap(span) for s in who.segments if s.speaker == speaker)
        for speaker in who.speakers
    }
    chosen = speaker_of(word, who)
    assert shared[chosen] == pytest.approx(max(shared.values()))
    if not any(shared.values()):
        nearest = min(s.segment.distance(span) for s in who.segments)
        own = min(s.segment.distance(span) for s in who.segments if s.speaker == chosen)
        assert own == nearest
