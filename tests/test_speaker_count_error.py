from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error

from mmdia_eval.artifacts import Artifacts, Diarization, SpeakerSegment
from mmdia_eval.metrics.speaker_count_error import SpeakerCountError
from mmdia_eval.types import Dialogue, Turn

ERROR = SpeakerCountError(SpeakerCountError.Settings())


def dialogue(speakers: int) -> Dialogue:
    """Each of the speakers has two turns."""
    return Dialogue("d", tuple(Turn(f"s{i % speakers}", "hello") for i in range(2 * speakers)))


def artifacts(voices: int) -> Artifacts:
    """Each of the voices is heard twice."""
    heard = [SpeakerSegment(i, i + 0.9, f"v{i % voices}") for i in range(2 * voices)]
    return Artifacts({Diarization: Diarization(tuple(heard))})


def test_value_and_components_of_a_corpus() -> None:
    rows = [
        ERROR.measure(dialogue(2), artifacts(2)),
        ERROR.measure(dialogue(2), artifacts(1)),
        ERROR.measure(dialogue(3), artifacts(6)),
        ERROR.worst(dialogue(2)),
    ]
    total = {key: sum(row[key] for row in rows) for key in ERROR.fields}
    assert ERROR.reduce(total) == (0 + 1 + 3 + 2) / 4
    assert ERROR.components(rows) == {
        "mean_detected": 9 / 4,
        "mean_reference": 9 / 4,
        "exact": 0.25,
        "over": 0.25,
        "under": 0.5,
    }


def test_missing_output_is_that_in_which_nobody_was_heard() -> None:
    assert ERROR.worst(dialogue(3)) == ERROR.measure(dialogue(3), artifacts(0))


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 8)), min_size=1, max_size=10))
def test_agrees_with_sklearn_and_the_shares_are_whole(pairs: list[tuple[int, int]]) -> None:
    rows = [ERROR.measure(dialogue(truth), artifacts(heard)) for truth, heard in pairs]
    total = {key: np.float64(sum(row[key] for row in rows)) for key in ERROR.fields}
    assert ERROR.reduce(total) == pytest.approx(mean_absolute_error(*zip(*pairs, strict=True)))
    shares = ERROR.components(rows)
    assert shares["exact"] + shares["over"] + shares["under"] == pytest.approx(1)
