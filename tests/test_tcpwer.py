"""tcpWER against MeetEval: its published example, and any dialogue."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meeteval.io import SegLST
from meeteval.wer.wer.time_constrained import time_constrained_minimum_permutation_word_error_rate

import mmdia_eval.metrics.tcpwer
from mmdia_eval.artifacts import Artifacts, Diarization, SpeakerSegment, Transcript, Utterance, Word
from mmdia_eval.attribution import Run, texts_by_speaker
from mmdia_eval.metrics.cpwer import cpwer
from mmdia_eval.metrics.tcpwer import COLLAR, TcpWer, TcpWerSettings, tcpwer
from mmdia_eval.metrics.wer import ErrorCounts
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue, Segment, Turn

pytestmark = pytest.mark.filterwarnings("ignore:A speaker .* overlaps with itself:UserWarning")

RECORDING_A = (
    "A 0 0 aaaaaa aaaa aaa a aab b aaab aaaaab aaac aa aaad ab aaae aac aad aaaaaaa aaaaa",
    "B 1 2 aaaaaaaaa aaaaaaaab aa aaad a aaaaaaaa aaaab",
    "A 2 3 aaaaaaab aae aaaaac ac aaaaaaaac aaaf aaaaaaaad",
    "A 5 6 aaaaaac aaaaag aaah ae aah aaai aah aaaad aaaae ab aac aaaaf af aah aaaj aaaag aai aaaf"
    " aaaaaaad ag aaak aaaah aaal aaaaaaae aaj aaaai aac aaaaaaaf aaam aac aaaaj",
)
HEARD_A = (
    "A 0 1 aaaaaa aaaa aaa a aab b aaab aaan aaac aa aaad aak aaae aac aad aaaaaaa aaaaa",
    RECORDING_A[1].replace("2", "2.5"),
    RECORDING_A[2].replace("2", "2.1"),
    RECORDING_A[3],
)
KPIS = "aaf ad aac aaaaaaaae aaaac aaaaaaac a aaaaaab aaaaad aac aaaaae ab aaaaaf aag aaag"
RECORDING_B = (f"A 3 4 {KPIS}", f"A 4 5 {KPIS}")
HEARD_B = (f"B 3.2 4.6 {KPIS}", "A 4 5 aaf ad aac aaaaaaaae aaaac aaaaaf aag aaag")


def runs(lines: tuple[str, ...]) -> list[Run]:
    fields = [line.split(maxsplit=3) for line in lines]
    return [Run(who, text, Segment(float(a), float(b))) for who, a, b, text in fields]


def example(collar: float | None) -> ErrorCounts:
    pairs = [(runs(RECORDING_A), runs(HEARD_A)), (runs(RECORDING_B), runs(HEARD_B))]
    if collar is None:
        errors = [cpwer(*map(texts_by_speaker, pair)) for pair in pairs]
    else:
        errors = [tcpwer(*pair, collar) for pair in pairs]
    return sum(errors, ErrorCounts())


def test_the_example_files_of_meeteval() -> None:
    """`example_files/{ref,hyp}.stm`, with other words of the same lengths in the words' places.

    MeetEval's `tests/test_python_api.py` expects 25/92, 25/92 and 88/92.
    """
    assert example(None) == example(COLLAR) == ErrorCounts(2, 15, 8, 92)
    assert example(0.0).errors == 88


quarters = st.integers(0, 40).map(lambda n: n / 4)
segments = st.tuples(quarters, st.integers(1, 12).map(lambda n: n / 4)).map(
    lambda pair: Segment(pair[0], pair[0] + pair[1])
)
texts = st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), min_size=1, max_size=4).map(" ".join)


def start(run: Run) -> float:
    assert run.segment is not None
    return run.segment.start


def sides(names: str) -> st.SearchStrategy[list[Run]]:
    one = st.builds(Run, st.sampled_from(names), texts, segments)
    # One start a speaker: MeetEval's sort of equal ones is its own affair.
    return st.lists(one, min_size=1, max_size=6, unique_by=lambda run: (run.speaker, start(run)))


def meeteval_tcp(reference: list[Run], hypothesis: list[Run], collar: float) -> int:
    def lines(side: list[Run]) -> SegLST:
        return SegLST(
            [
                {
                    "session_id": "s",
                    "speaker": run.speaker,
                    "words": run.text,
                    "start_time": run.segment.start,
                    "end_time": run.segment.end,
                }
                for run in side
                if run.segment is not None
            ]
        )

    found = time_constrained_minimum_permutation_word_error_rate(
        lines(reference), lines(hypothesis), collar=collar
    )
    return int(found.errors)


@settings(deadline=None)
@given(sides("AB"), sides("XYZ"), st.sampled_from([0.1, 0.6, 5.0]))
def test_errors_are_those_of_meeteval(
    reference: list[Run], hypothesis: list[Run], collar: float
) -> None:
    found = tcpwer(reference, hypothesis, collar)
    assert found.errors == meeteval_tcp(reference, hypothesis, collar)
    assert found.words == sum(len(run.text.split()) for run in reference)
    heard = sum(len(run.text.split()) for run in hypothesis)
    assert found.words - found.deletions == heard - found.insertions


@given(sides("AB"), sides("XY"))
def test_without_a_limit_in_time_it_is_cpwer(reference: list[Run], hypothesis: list[Run]) -> None:
    def in_time(side: list[Run]) -> list[Run]:
        return sorted(side, key=start)

    plain = cpwer(texts_by_speaker(in_time(reference)), texts_by_speaker(in_time(hypothesis)))
    assert tcpwer(reference, hypothesis, 1e3).errors == plain.errors
    assert tcpwer(reference, hypothesis, 0.5).errors >= plain.errors


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(mmdia_eval.metrics.tcpwer).failed == 0


TIMED = Dialogue(
    "d",
    (
        Turn("Ann", "The cat.", Segment(0.0, 1.0)),
        Turn("Bob", "Sat (laughs) on.", Segment(8.0, 9.0)),
    ),
)


def heard(second: float) -> Artifacts:
    """The script, its second turn at that time."""
    utterances = (
        Utterance((Word("the", 0.0, 0.5), Word("cat", 0.5, 1.0))),
        Utterance((Word("sat", second, second + 0.5), Word("on", second + 0.5, second + 1))),
    )
    who = (SpeakerSegment(0.0, 1.5, "x"), SpeakerSegment(1.5, 99.0, "y"))
    return Artifacts({Transcript: Transcript(utterances), Diarization: Diarization(who)})


def test_a_turn_at_another_time_is_not_said() -> None:
    column = TcpWer(TcpWerSettings())
    assert metric.get("tcpwer") is TcpWer
    assert column.reduce(column.measure(TIMED, heard(8.0))) == 0
    assert column.reduce(column.measure(TIMED, heard(12.0))) == 0
    late = column.measure(TIMED, heard(20.0))
    assert (late["deletions"], late["insertions"], late["words"]) == (2, 2, 4)
    assert column.reduce(column.worst(TIMED)) == 1
    assert column.components([late])["corpus"] == 1


def test_turns_without_times_are_not_scored() -> None:
    untimed = Dialogue("d", (Turn("Ann", "The cat."),))
    assert (
        TcpWer(TcpWerSettings()).not_applicable(untimed) == "the reference has turns without times"
    )
    assert TcpWer(TcpWerSettings()).not_applicable(TIMED) is None
    silent = Dialogue("d", (Turn("Ann", "(laughs)", Segment(0.0, 1.0)),))
    mean = TcpWer(TcpWerSettings(aggregation="dialogues"))
    assert "no words" in str(mean.not_applicable(silent))
