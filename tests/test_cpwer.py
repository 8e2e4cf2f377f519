import doctest
import random

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meeteval.io import SegLST
from meeteval.wer.wer.cp import cp_word_error_rate
from meeteval.wer.wer.di_cp import greedy_di_cp_word_error_rate
from meeteval.wer.wer.orc import orc_word_error_rate

import mmdia_eval.metrics.cpwer
from mmdia_eval.artifacts import Artifacts, Diarization, SpeakerSegment, Transcript, Utterance, Word
from mmdia_eval.attribution import Run, texts_by_speaker
from mmdia_eval.errors import UserError
from mmdia_eval.metrics.cpwer import (
    CpWer,
    CpWerSettings,
    cpwer,
    greedy_di_cpwer,
    joined_cpwer,
)
from mmdia_eval.metrics.wer import ErrorCounts, Wer, WerSettings, word_errors
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue, Turn

Speakers = dict[str, str]
texts = st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join)


def speakers(most: int) -> st.SearchStrategy[Speakers]:
    return st.lists(texts, max_size=most).map(lambda found: numbered(*found))


def numbered(*found: str) -> Speakers:
    return {str(i): text for i, text in enumerate(found)}


def seglst(runs: list[Run]) -> SegLST:
    return SegLST(
        [
            {
                "session_id": "s",
                "speaker": run.speaker,
                "words": run.text,
                "start_time": i,
                "end_time": i + 1,
            }
            for i, run in enumerate(runs)
        ]
    )


def whole(side: Speakers) -> list[Run]:
    return [Run(*item) for item in side.items()]


def meeteval_cp(reference: Speakers, hypothesis: Speakers) -> int:
    pair = [seglst(whole(side)) for side in (reference, hypothesis)]
    return int(cp_word_error_rate(*pair).errors)


def exact_di_cpwer(reference: Speakers, heard: list[Run]) -> int:
    """DI-cpWER is ORC-WER with its arguments exchanged, and MeetEval's ORC-WER is exact."""
    return int(orc_word_error_rate(seglst(heard), seglst(whole(reference))).errors)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(mmdia_eval.metrics.cpwer).failed == 0


@given(speakers(5), speakers(5))
def test_errors_are_those_of_meeteval(reference: Speakers, hypothesis: Speakers) -> None:
    found = cpwer(reference, hypothesis)
    assert found.errors == meeteval_cp(reference, hypothesis)
    assert found.words == sum(len(text.split()) for text in reference.values())


@given(speakers(5), speakers(5), st.randoms(use_true_random=False))
def test_names_and_order_of_speakers_change_nothing(
    reference: Speakers, hypothesis: Speakers, rng: random.Random
) -> None:
    mixed = [rng.sample(sorted(side.values()), len(side)) for side in (reference, hypothesis)]
    assert cpwer(reference, hypothesis) == cpwer(numbered(*mixed[0]), numbered(*mixed[1]))


@given(speakers(5), st.randoms(use_true_random=False))
def test_identity_up_to_labels_is_no_error(reference: Speakers, rng: random.Random) -> None:
    mixed = numbered(*rng.sample(sorted(reference.values()), len(reference)))
    assert cpwer(reference, mixed).errors == 0
    assert joined_cpwer(reference, mixed).errors == 0


@given(speakers(4), speakers(4))
def test_joined_never_exceeds_cpwer(reference: Speakers, hypothesis: Speakers) -> None:
    joined, found = joined_cpwer(reference, hypothesis), cpwer(reference, hypothesis)
    assert joined.errors <= found.errors
    assert joined.words == found.words


@given(texts, texts, texts, texts)
def test_joined_is_the_formula_of_the_release(r0: str, r1: str, h0: str, h1: str) -> None:
    reference = f"{r0} {r1}".strip()
    expected = [jiwer.process_words(reference, f"{a} {b}") for a, b in ((h0, h1), (h1, h0))]
    errors = min(one.substitutions + one.deletions + one.insertions for one in expected)
    assert joined_cpwer(numbered(r0, r1), numbered(h0, h1)).errors == errors


@given(texts, texts)
def test_one_speaker_on_both_sides_is_plain_wer(reference: str, hypothesis: str) -> None:
    expected = word_errors(reference, hypothesis)
    assert cpwer({"x": reference}, {"y": hypothesis}) == expected
    assert joined_cpwer({"x": reference}, {"y": hypothesis}) == expected


@pytest.mark.parametrize(
    ("reference", "hypothesis", "joined", "separate"),
    [
        # Every word is right and one has the wrong speaker: the release and ZipVoice give 0.
        (["the cat", "sat on"], ["the cat sat", "on"], 0, 2),
        (["d e f", "a b c"], ["f a b c", "d e"], 0, 2),
        # MeetEval's docstrings.
        (["a b"], ["z", "a e f"], 3, 3),
        (["a", "b", "c d"], ["a", "b"], 2, 2),
        (["a", "b", "c"], ["b", "c", "d", "a"], 1, 1),
        ([], ["a b"], 2, 2),
        (["a b"], [], 2, 2),
        ([], [], 0, 0),
    ],
)
def test_cases(reference: list[str], hypothesis: list[str], joined: int, separate: int) -> None:
    sides = numbered(*reference), numbered(*hypothesis)
    assert joined_cpwer(*sides).errors == joined
    assert cpwer(*sides).errors == separate


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "words"),
    [
        (["oneword"], ["oneword"], 0, 1),
        (["oneword"], ["wrongword"], 1, 1),
        (["aa bb cc", "dd ee", "ff"], ["ff", "aa bb cc", "dd ee"], 0, 6),
        (
            ["aa bb cc ff", "dd ee gg jj kk", "hh ii"],
            ["aa bb c ff", "dd e ii jj kk", "hi"],
            5,
            11,
        ),
        (
            ["aa bb cc", "dd ee", "ff", "gg", "hh ii", "jj kk"],
            ["aa bb cc", "dd ee gg", "hh ii", "jj kk"],
            3,
            11,
        ),
        (
            ["aa bb cc", "dd ee ff gg hh ii jj kk"],
            ["aa bb cc", "dd ee gg hh", "ii jj kk"],
            7,
            11,
        ),
        (["a b c d e f g", "h i j k l m n"], ["x b c d e y g", "h i z w l m n"], 4, 14),
        (["a b c", "d e f"], ["d e f", "a b c"], 0, 6),
        (["a b", "c d"], ["a b", "c d", "e f"], 2, 4),
        (["a", "b", "c d"], ["a", "b"], 2, 4),
        (["a b c d"], ["a b c x"], 1, 4),
        (["the cat", "sat on"], ["the cat sat", "on"], 2, 4),
        (["a b", "b c"], ["a b b", "c"], 2, 4),
        (["a b", "c d"], ["a b", ""], 2, 4),
        (["a b", "c d e", "f"], ["a x", "c d y", "f"], 2, 6),
        (["a", "b c", "d"], ["d", "a", "b c"], 0, 4),
        (["a b", "c d"], ["a", "b c", "d"], 4, 4),
        (["a b"], ["z", "a e f"], 3, 2),
        (["a", "b c d e f g h i j k"], ["z", "b c d e f g h i j x"], 2, 11),
        (["a", "b", "c"], ["b", "c", "d", "a"], 1, 3),
    ],
)
def test_the_documented_cases_of_nemo(
    reference: list[str], hypothesis: list[str], errors: int, words: int
) -> None:
    """Patterns and values of NeMo's `tests/collections/speaker_tasks/utils/test_cpwer.py`.

    Its authors have the values from MeetEval.
    """
    found = cpwer(numbered(*reference), numbered(*hypothesis))
    assert (found.errors, found.words) == (errors, words)


def test_joined_depends_on_the_order_of_the_reference() -> None:
    hypothesis = numbered("the cat sat", "on")
    assert joined_cpwer(numbered("the cat", "sat on"), hypothesis).errors == 0
    assert joined_cpwer(numbered("sat on", "the cat"), hypothesis).errors == 2


def test_joined_refuses_too_many_orders() -> None:
    many = numbered(*"abcdefghi")
    with pytest.raises(UserError, match="every order of 9 speakers"):
        joined_cpwer(many, many)
    assert cpwer(many, many).errors == 0


runs = st.lists(
    st.tuples(st.sampled_from("XYZ"), texts.filter(bool)).map(lambda pair: Run(*pair)), max_size=6
)


@given(speakers(3).filter(bool), runs)
def test_greedy_di_cpwer_lies_between_the_optimum_and_cpwer(
    reference: Speakers, heard: list[Run]
) -> None:
    found = greedy_di_cpwer(reference, heard)
    assert found.errors <= cpwer(reference, texts_by_speaker(heard)).errors
    assert found.errors >= exact_di_cpwer(reference, heard)
    assert found.words == sum(len(text.split()) for text in reference.values())


WORDS = [f"w{i}" for i in range(300)]


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(2, 20)))


def damaged(text: str, rate: float, rng: random.Random) -> str:
    """Each word replaced by another at that rate."""
    return " ".join(rng.choice(WORDS) if rng.random() < rate else word for word in text.split())


@pytest.mark.parametrize("labels", ["X", "XY", "XYZ"])
@pytest.mark.parametrize("size", [2, 3])
def test_greedy_di_cpwer_finds_the_optimum_of_mislabelled_dialogues(labels: str, size: int) -> None:
    rng = random.Random(0)
    for _ in range(10):
        script = [Run(f"S{rng.randrange(size)}", sentence(rng)) for _ in range(8)]
        heard = [Run(rng.choice(labels), damaged(run.text, 0.1, rng)) for run in script]
        reference = texts_by_speaker(script)
        found = greedy_di_cpwer(reference, heard).errors
        assert found == exact_di_cpwer(reference, heard)
        assert found == greedy_di_cp_word_error_rate(seglst(script), seglst(heard)).errors


def test_wrong_labels_alone_cost_nothing_without_speakers() -> None:
    reference = {"Ann": "how are you good", "Bob": "fine and you bye"}
    heard = [Run("X", t) for t in ("how are you", "fine and you", "good", "bye")]
    assert greedy_di_cpwer(reference, heard).errors == 0
    assert cpwer(reference, texts_by_speaker(heard)).errors == 8


Condition = list[tuple[ErrorCounts, ErrorCounts]]


def rates(condition: Condition) -> tuple[float | None, ...]:
    """Corpus rates: joined, then MeetEval's."""
    return tuple(sum(side, ErrorCounts()).rate for side in zip(*condition, strict=True))


def test_the_joined_definition_forgives_what_cpwer_charges() -> None:
    """Corpus rates near those measured with the release's script and MeetEval on other scripts."""
    rng = random.Random(1)
    one_label: Condition = []
    random_labels: Condition = []
    substituted: Condition = []
    for _ in range(150):
        script = [
            Run(f"S{turn if turn < 2 else rng.randrange(2)}", sentence(rng))
            for turn in range(rng.randint(3, 8))
        ]
        reference = texts_by_speaker(script)
        for condition, heard in (
            (one_label, [Run("X", run.text) for run in script]),
            (random_labels, [Run(rng.choice("XY"), run.text) for run in script]),
            (substituted, [Run(run.speaker, damaged(run.text, 0.05, rng)) for run in script]),
        ):
            pair = reference, texts_by_speaker(heard)
            condition.append((joined_cpwer(*pair), cpwer(*pair)))

    assert rates(one_label) == pytest.approx((0.41, 0.67), abs=0.08)
    assert rates(random_labels) == pytest.approx((0.34, 0.45), abs=0.12)
    assert rates(substituted) == pytest.approx((0.05, 0.05), abs=0.01)


SCRIPT = Dialogue(
    "d",
    (Turn("Ann", "One two."), Turn("Bob", "Sat on (laughs)."), Turn("Ann", "Three, the cat!")),
)


def artifacts(*segments: tuple[float, float, str]) -> Artifacts:
    utterances = (
        Utterance((Word("one", 0.0, 0.4), Word("two", 0.5, 0.9))),
        Utterance((Word("sat", 1.0, 1.4), Word("on", 1.5, 1.9))),
        Utterance((Word("three", 2.0, 2.3), Word("the", 2.3, 2.5), Word("cat", 2.5, 2.9))),
    )
    who = Diarization(tuple(SpeakerSegment(*segment) for segment in segments))
    return Artifacts({Transcript: Transcript(utterances), Diarization: who})


RIGHT = artifacts((0.0, 0.95, "x"), (0.95, 1.95, "y"), (1.95, 3.0, "x"))
COLLAPSED = artifacts((0.0, 3.0, "x"))


def cpwer_metric(**settings: str) -> CpWer:
    return CpWer(CpWerSettings.model_validate(settings))


def test_registered() -> None:
    assert metric.get("cpwer") is CpWer


def test_measure_of_a_perfect_output() -> None:
    counts = cpwer_metric().measure(SCRIPT, RIGHT)
    assert set(counts) == set(CpWer.fields)
    # "one two" and "three the cat" are normalised apart: 12 and 3 the cat.
    assert counts["words"] == 6
    assert sum(counts[kind] for kind in ("substitutions", "deletions", "insertions")) == 0
    assert counts["wer_errors"] == counts["greedy_di_cpwer_errors"] == 0
    assert counts["detected_speakers"] == counts["reference_speakers"] == 2


def test_measure_of_one_voice_for_all() -> None:
    counts = cpwer_metric().measure(SCRIPT, COLLAPSED)
    assert counts["insertions"] == counts["deletions"] == 2
    assert counts["wer_errors"] == counts["greedy_di_cpwer_errors"] == 0
    assert counts["detected_speakers"] == 1
    assert counts["single_label_errors"] == 4


def test_floors_belong_to_the_dialogue_alone() -> None:
    floors = ("single_label_errors", "random_label_errors", "reference_speakers", "words")
    one, other = cpwer_metric().measure(SCRIPT, RIGHT), cpwer_metric().measure(SCRIPT, COLLAPSED)
    worst = cpwer_metric().worst(SCRIPT)
    for field in floors:
        assert one[field] == other[field] == worst[field]
    assert one["random_label_errors"] > 0


def test_the_definition_is_the_one_asked_for() -> None:
    late = artifacts((0.0, 1.45, "x"), (1.45, 2.6, "y"), (2.6, 3.0, "x"))
    strict = cpwer_metric().measure(SCRIPT, late)
    joined = cpwer_metric(definition="joined").measure(SCRIPT, late)
    assert cpwer_metric().reduce(joined) < cpwer_metric().reduce(strict)


def test_worst_is_every_word_deleted_and_no_speaker_found() -> None:
    worst = cpwer_metric().worst(SCRIPT)
    assert cpwer_metric().reduce(worst) == 1.0
    assert worst["deletions"] == worst["wer_errors"] == worst["greedy_di_cpwer_errors"] == 6
    assert worst["detected_speakers"] == 0


def test_nothing_heard_costs_what_nothing_given_costs() -> None:
    silent = Artifacts({Transcript: Transcript(()), Diarization: Diarization(())})
    assert cpwer_metric().measure(SCRIPT, silent) == cpwer_metric().worst(SCRIPT)


def test_a_script_without_words_keeps_its_insertions() -> None:
    laughter = Dialogue("e", (Turn("Ann", "(laughs)"), Turn("Bob", "<sigh>")))
    counts = cpwer_metric().measure(laughter, RIGHT)
    assert (counts["words"], counts["insertions"]) == (0, 6)
    assert cpwer_metric().components([counts]) == {"empty_references": 1}


def test_more_than_two_speakers() -> None:
    three = Dialogue("t", (*SCRIPT.turns, Turn("Cy", "Hello again")))
    assert cpwer_metric().measure(three, RIGHT)["deletions"] == 2


def test_wer_within_cpwer_is_the_wer_metric() -> None:
    script = Dialogue("d", (Turn("Ann", "One two three"), Turn("Bob", "Sat on a mat")))
    plain = Wer(WerSettings()).measure(script, RIGHT)
    errors = plain["substitutions"] + plain["deletions"] + plain["insertions"]
    assert cpwer_metric().measure(script, RIGHT)["wer_errors"] == errors > 0


def test_components() -> None:
    rows = [
        cpwer_metric().measure(SCRIPT, RIGHT),
        cpwer_metric().measure(SCRIPT, COLLAPSED),
        cpwer_metric().worst(SCRIPT),
    ]
    figures = cpwer_metric().components(rows)
    assert figures["wer"] == figures["greedy_di_cpwer"] == pytest.approx(6 / 18)
    assert figures["attribution_gap"] == pytest.approx(4 / 18)
    assert figures["floor_single_label"] == pytest.approx(4 / 6)
    assert figures["detected_speakers"] == pytest.approx(1.0)
    assert figures["reference_speakers"] == 2
    assert figures["too_few_speakers"] == pytest.approx(2 / 3)
    assert figures["too_many_speakers"] == 0
    assert figures["median"] == pytest.approx(4 / 6)
