from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.artifacts import Artifacts, MediaInfo
from mmdia_eval.metrics.duration_ratio import DurationRatio
from mmdia_eval.types import Dialogue, Segment, Turn

RATIO = DurationRatio(DurationRatio.Settings())
SECONDS = st.floats(0.1, 1e4)


def dialogue(duration: float | None, *ends: float | None) -> Dialogue:
    times = [None if end is None else Segment(0.0, end) for end in ends]
    return Dialogue("d", tuple(Turn("a", "hello", time) for time in times), duration=duration)


def artifacts(seconds: float) -> Artifacts:
    return Artifacts({MediaInfo: MediaInfo(duration=seconds, sample_rate=16_000, channels=1)})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (dialogue(10.0, 8.0), 1.5),
        (dialogue(None, 30.0, 12.0), 0.5),
        (dialogue(None, 12.0, None), 1.25),
    ],
)
def test_reference_is_the_duration_or_else_the_last_end(
    reference: Dialogue, expected: float
) -> None:
    assert RATIO.reduce(RATIO.measure(reference, artifacts(15.0))) == expected


@pytest.mark.parametrize("reference", [dialogue(None), dialogue(None, None), dialogue(0.0, 1.0)])
def test_without_a_reference_duration_nothing_applies(reference: Dialogue) -> None:
    assert RATIO.not_applicable(reference) is not None


def test_value_is_a_ratio_of_sums_and_deviation_a_mean() -> None:
    rows = [
        RATIO.measure(dialogue(10.0), artifacts(5.0)),
        RATIO.measure(dialogue(30.0), artifacts(36.0)),
        RATIO.worst(dialogue(40.0)),
    ]
    total = {key: sum(row[key] for row in rows) for key in RATIO.fields}
    assert RATIO.reduce(total) == pytest.approx((5 + 36 + 0) / (10 + 30 + 40))
    assert RATIO.components(rows) == {"mean_deviation": pytest.approx((0.5 + 0.2 + 1.0) / 3)}


@given(st.lists(SECONDS, min_size=1, max_size=6), st.floats(0.1, 10))
def test_outputs_k_times_as_long_have_ratio_k(references: list[float], k: float) -> None:
    rows = [RATIO.measure(dialogue(seconds), artifacts(k * seconds)) for seconds in references]
    total = {key: sum(row[key] for row in rows) for key in RATIO.fields}
    assert RATIO.reduce(total) == pytest.approx(k)
    assert RATIO.components(rows)["mean_deviation"] == pytest.approx(abs(k - 1))
