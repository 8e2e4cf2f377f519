from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdia_eval.all_pairs import AllPairs, all_pairs, rademacher_tail
from mmdia_eval.api import Counts
from mmdia_eval.statistics import bootstrap_interval, paired_test


def rate(total: Mapping[str, Any]) -> Any:
    return total["errors"] / total["words"]


def made_up(number: int, dialogues: int = 60, errors: float = 10) -> list[Counts]:
    """Rows with about `errors` of the 20 to 90 words, which are the same for every system."""
    words = np.random.default_rng(7).integers(20, 90, dialogues)
    found = np.random.default_rng([number, 1]).poisson(errors, dialogues)
    return [{"errors": float(e), "words": float(w)} for e, w in zip(found, words, strict=True)]


def compared(systems: list[list[Counts]], **changes: Any) -> AllPairs:
    ranked = [True] * len(systems)
    return all_pairs(systems, ranked, rate, higher_is_better=False, **changes)


def test_each_pair_is_the_paired_test() -> None:
    systems = [made_up(n, errors=10 + n / 3) for n in range(6)]
    found = compared(systems)
    seen = 0
    for a, b in product(range(6), repeat=2):
        if a == b:
            continue
        test = paired_test(systems[a], systems[b], rate)
        difference, interval = found.difference(a, b)
        assert test.p_value is not None
        assert test.interval is not None
        assert interval is not None
        assert difference == pytest.approx(test.difference)
        assert (interval.lower, interval.upper) == pytest.approx(
            (test.interval.lower, test.interval.upper)
        )
        if 3 / 2001 < test.p_value < 0.3:
            seen += 1
            assert found.p[a, b] == pytest.approx(test.p_value)
        elif test.p_value <= 3 / 2001:
            assert found.p[a, b] <= test.p_value
        else:
            assert found.p[a, b] == pytest.approx(test.p_value, abs=0.05)
    assert seen > 4


def test_a_hundred_systems_can_still_be_told_apart() -> None:
    # (c + 1) / 2001 over 4,950 pairs could never be below 0.05.
    systems = [made_up(n, errors=2 + n) for n in range(100)]
    found = compared(systems)
    assert found.p_holm[0, 99] < 1e-6
    assert found.rank(0).first == 1
    assert found.rank(0).last < 15
    assert found.rank(99).first > 85
    assert all(found.rank(n).first <= n + 1 <= found.rank(n).last for n in range(100))


def test_systems_that_are_alike_share_their_ranks() -> None:
    found = compared([made_up(n) for n in range(8)])
    assert {(found.rank(n).first, found.rank(n).last) for n in range(8)} == {(1, 8)}


def test_equal_rows_are_not_tested_and_some_are_not_ranked() -> None:
    systems = [made_up(0), made_up(0), made_up(1, errors=40)]
    found = compared(systems)
    assert math.isnan(found.p[0, 1])
    assert [found.rank(n).first for n in range(3)] == [1, 1, 3]
    two = all_pairs(systems, [True, False, True], rate, higher_is_better=True)
    assert math.isnan(two.p_holm[0, 1])
    assert (two.rank(2).first, two.rank(0).first, two.rank(0).last) == (1, 2, 2)
    assert two.difference(0, 1) == (0.0, two.difference(1, 0)[1])


def test_other_dialogues_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="same dialogues"):
        compared([made_up(0), made_up(1, dialogues=59)])


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=11), st.floats(0.2, 4))
@settings(max_examples=60, deadline=None)
def test_the_tail_bounds_every_sum_of_signs(weights: list[float], z: float) -> None:
    signs = np.array(list(product([-1, 1], repeat=len(weights))))
    sums = np.abs(signs @ np.array(weights)) / np.linalg.norm(weights)
    assert np.mean(sums >= z + 1e-9) <= rademacher_tail(z) + 1e-12


def test_whole_groups_are_resampled() -> None:
    rows = made_up(3, dialogues=40)
    films = [f"film {n // 10}" for n in range(40)]
    summed = [
        {f: math.fsum(row[f] for row in rows[10 * n : 10 * n + 10]) for f in ("errors", "words")}
        for n in range(4)
    ]
    grouped, expected = (
        bootstrap_interval(rows, rate, groups=films),
        bootstrap_interval(summed, rate),
    )
    assert grouped is not None
    assert expected is not None
    assert (grouped.lower, grouped.upper) == pytest.approx((expected.lower, expected.upper))
    assert (grouped.unit, expected.unit) == ("group", "dialogue")
    alone = bootstrap_interval(rows, rate)
    assert bootstrap_interval(rows, rate, groups=[None] * 40) == alone
    assert bootstrap_interval(rows, rate, groups=["one film"] * 40) is None


def test_clusters_cover_what_dialogues_do_not() -> None:
    """Dialogues of a film share its level: the interval over dialogues is far too narrow."""
    inside = {"dialogue": 0, "group": 0}
    for trial in range(40):
        dice = np.random.default_rng(trial)
        levels = np.repeat(dice.normal(20, 5, 30), 10)
        rows = [
            {"errors": float(max(0, level + dice.normal(0, 1))), "words": 100.0} for level in levels
        ]
        films = [str(n // 10) for n in range(300)]
        for groups in (None, films):
            found = bootstrap_interval(rows, rate, groups=groups, resamples=400)
            assert found is not None
            inside[found.unit] += found.lower <= 0.2 <= found.upper
    assert inside["dialogue"] < 28
    assert inside["group"] > 33


def test_a_paired_test_swaps_whole_groups() -> None:
    a, b = made_up(0, dialogues=40), made_up(1, dialogues=40, errors=11)
    films = [str(n // 4) for n in range(40)]
    test = paired_test(a, b, rate, groups=films)
    assert test.dialogues == 40
    assert test.interval is not None
    assert test.interval.unit == "group"
    found = compared([a, b], groups=films)
    _, interval = found.difference(0, 1)
    assert interval is not None
    assert interval.unit == "group"
    assert interval.lower == pytest.approx(test.interval.lower)
