import doctest

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

import mmdia_eval.statistics
from mmdia_eval.api import Counts
from mmdia_eval.statistics import (
    bootstrap_interval,
    holm,
    paired_test,
    resample_weights,
)

Rows = list[Counts]


def rate(total: Counts) -> float:
    return total["errors"] / total["words"]


def made_up(n: int, seed: int, errors: float = 0.1) -> Rows:
    rng = np.random.default_rng(seed)
    words = rng.integers(20, 100, n)
    return [
        {"errors": float(e), "words": float(w)}
        for e, w in zip(rng.binomial(words, errors), words, strict=True)
    ]


def columns(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    return np.array([r["errors"] for r in rows]), np.array([r["words"] for r in rows])


def ratio(errors: np.ndarray, words: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(errors.sum(axis=axis) / words.sum(axis=axis))


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(mmdia_eval.statistics).failed == 0


def test_weights_draw_n_dialogues_evenly() -> None:
    weights = resample_weights(30, 4000, 1)
    assert weights.shape == (4000, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert (weights >= 0).all()
    # Counts of one dialogue are binomial(30, 1/30): mean 1, variance 29/30.
    assert weights.mean(axis=0) == pytest.approx(np.ones(30), abs=0.08)
    assert weights.var() == pytest.approx(29 / 30, rel=0.03)


def test_weights_are_the_same_bytes_for_the_same_seed_and_read_only() -> None:
    one = resample_weights(20, 50, 3).tobytes()
    resample_weights.cache_clear()
    assert resample_weights(20, 50, 3).tobytes() == one
    assert resample_weights(20, 50, 4).tobytes() != one
    with pytest.raises(ValueError, match="read-only"):
        resample_weights(20, 50, 3)[0, 0] = 1


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_agrees_with_scipy(level: float) -> None:
    rows = made_up(120, seed=0)
    found = bootstrap_interval(rows, rate, level=level, resamples=9_999)
    peer = scipy.stats.bootstrap(
        columns(rows),
        ratio,
        paired=True,
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert found is not None
    width = peer.high - peer.low
    assert found.lower == pytest.approx(peer.low, abs=0.06 * width)
    assert found.upper == pytest.approx(peer.high, abs=0.06 * width)
    assert (found.level, found.resamples) == (level, 9_999)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    runs = 300
    inside = 0
    for run in range(runs):
        found = bootstrap_interval(made_up(60, seed=run), rate, resamples=400)
        assert found is not None
        inside += found.lower <= 0.1 <= found.upper
    # Standard deviation of the share at 0.95: 0.0126.
    assert 0.90 <= inside / runs <= 0.99


def test_interval_is_the_same_for_the_same_seed() -> None:
    rows = made_up(50, seed=0)
    assert bootstrap_interval(rows, rate) == bootstrap_interval(rows, rate)
    assert bootstrap_interval(rows, rate) != bootstrap_interval(rows, rate, seed=1)


def test_interval_of_equal_dialogues_is_a_point() -> None:
    found = bootstrap_interval([{"errors": 1.0, "words": 4.0}] * 5, rate)
    assert found is not None
    assert found.lower == found.upper == 0.25


@pytest.mark.parametrize("n", [0, 1])
def test_no_interval_without_two_dialogues(n: int) -> None:
    assert bootstrap_interval(made_up(n, seed=0), rate) is None


def test_no_interval_when_too_many_resamples_have_no_value() -> None:
    empty = {"errors": 1.0, "words": 0.0}
    spoken = {"errors": 1.0, "words": 10.0}
    # Resamples without the one dialogue that has words: (7/8)**8 = 34 %; without any of 4: 0.4 %.
    assert bootstrap_interval([empty] * 7 + [spoken], rate) is None
    assert bootstrap_interval([empty] * 4 + [spoken] * 4, rate) is not None
    assert bootstrap_interval([empty] * 8, rate) is None


def test_rows_must_have_the_same_fields() -> None:
    with pytest.raises(ValueError, match="must have the fields"):
        bootstrap_interval([{"errors": 1.0}, {"words": 1.0}], rate)


def test_paired_test_agrees_with_scipy() -> None:
    a, b = made_up(40, seed=0, errors=0.12), made_up(40, seed=1, errors=0.10)
    words = columns(a)[1]
    b = [{"errors": row["errors"], "words": w} for row, w in zip(b, words, strict=True)]
    found = paired_test(a, b, rate, resamples=9_999)

    def difference(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray((x.sum(axis=axis) - y.sum(axis=axis)) / words.sum())

    peer = scipy.stats.permutation_test(
        (columns(a)[0], columns(b)[0]),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(0),
    )
    assert found.difference == pytest.approx(float(peer.statistic))
    assert found.p_value == pytest.approx(float(peer.pvalue), abs=0.02)
    assert found.dialogues == 40


def test_paired_test_is_exact_enough_on_a_countable_case() -> None:
    # Of the 2**6 swaps only all and none reach the observed difference: p near 2/64.
    a, b = [{"errors": 1.0, "words": 10.0}] * 6, [{"errors": 0.0, "words": 10.0}] * 6
    found = paired_test(a, b, rate, resamples=20_000)
    assert found.p_value == pytest.approx(2 / 64, abs=0.005)


def test_paired_interval_is_narrower_than_unpaired_ones() -> None:
    a = made_up(80, seed=0)
    b = [{**row, "errors": row["errors"] + 1} for row in a]
    paired = paired_test(b, a, rate)
    alone = bootstrap_interval(a, rate)
    assert paired.interval is not None
    assert alone is not None
    assert paired.interval.lower > 0
    assert paired.interval.upper - paired.interval.lower < 0.5 * (alone.upper - alone.lower)
    assert paired.p_value == 1 / 2001


@given(st.integers(0, 50), st.integers(2, 12))
def test_exchanging_the_systems_turns_the_sign(seed: int, n: int) -> None:
    a, b = made_up(n, seed), made_up(n, seed + 1000)
    there, back = (paired_test(*pair, rate, resamples=99) for pair in ((a, b), (b, a)))
    assert there.difference == pytest.approx(-(back.difference or 0.0))
    assert there.p_value == back.p_value
    assert there.interval is not None
    assert back.interval is not None
    assert there.interval.lower == pytest.approx(-back.interval.upper)


def test_a_system_against_itself() -> None:
    rows = made_up(20, seed=0)
    found = paired_test(rows, rows, rate)
    assert (found.difference, found.p_value) == (0.0, 1.0)


def test_false_alarms_of_the_paired_test_stay_at_their_level() -> None:
    runs = 200
    alarms = sum(
        (paired_test(made_up(25, run), made_up(25, run + 5000), rate, resamples=199).p_value or 0)
        <= 0.05
        for run in range(runs)
    )
    # Standard deviation of the share at 0.05: 0.015.
    assert alarms / runs <= 0.10


def test_paired_test_without_a_value() -> None:
    assert paired_test([], [], rate).p_value is None
    empty = [{"errors": 1.0, "words": 0.0}] * 3
    found = paired_test(empty, empty, rate)
    assert (found.difference, found.interval, found.p_value) == (None, None, None)


def test_paired_test_of_one_dialogue_knows_nothing() -> None:
    found = paired_test(made_up(1, 0), made_up(1, 1), rate)
    assert (found.interval, found.p_value) == (None, 1.0)


def test_paired_test_refuses_unequal_rows() -> None:
    with pytest.raises(ValueError, match="same dialogues"):
        paired_test(made_up(3, 0), made_up(4, 0), rate)


@settings(max_examples=20)  # each call of the peer takes 0.1 s
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_of_nothing() -> None:
    assert holm([]) == []
