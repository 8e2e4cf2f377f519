"""Every pair of systems tested on the same dialogues, and the ranks that follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.api import Counts
from mmdia_eval.statistics import (
    LEVEL,
    RESAMPLES,
    SEED,
    FloatMatrix,
    Groups,
    Reduce,
    by_group,
    count_table,
    finite_values,
    holm,
    reduced,
    swap_p_value,
    swaps,
)

NEAR, FAR = 1.0, 6.5
"""Standard deviations of the swaps. Outside of them no swap is drawn: nearer than NEAR nothing is
ever significant (p > 0.3), further than FAR all is (p < 3e-10)."""

AT_ONCE = 1 << 15
"""Swapped values in memory together; their sums then fit a processor's cache."""


@dataclass(frozen=True)
class Rank:
    """Where a system may stand, 1 is best: between the systems surely better and surely worse."""

    first: int
    last: int


def ranks(
    systems: Sequence[Sequence[Counts]],
    reduce: Reduce,
    *,
    higher_is_better: bool,
    groups: Groups | None = None,
) -> list[Rank]:
    """Rank ranges of systems with rows of the same dialogues, in their order.

    `first` is 1 + the systems significantly better, `last` is all systems - those significantly
    worse: paired randomisation tests of all pairs, Holm's correction over them, at 0.05.
    """
    p_values, difference = paired_p_values(systems, reduce, groups=groups)
    upper = np.triu_indices(len(systems), 1)
    tested = np.isfinite(p_values[upper])
    adjusted = np.ones(len(tested))
    adjusted[tested] = holm(list(p_values[upper][tested]))
    surely = np.zeros(p_values.shape, dtype=bool)
    surely[upper] = adjusted < 1 - LEVEL
    surely |= surely.T
    better = surely & (difference > 0 if higher_is_better else difference < 0)
    return [
        Rank(1 + int(better[:, one].sum()), len(systems) - int(better[one].sum()))
        for one in range(len(systems))
    ]


def paired_p_values(
    systems: Sequence[Sequence[Counts]], reduce: Reduce, *, groups: Groups | None = None
) -> tuple[FloatMatrix, FloatMatrix]:
    """P-values of all pairs, (n, n) and symmetric, and the differences, row less column.

    Each p-value is `paired_test`'s, nan where two systems have equal rows or no value. Among
    thousands of pairs (c + 1) / (resamples + 1) could never be significant; so where no swap comes
    as far as what was observed (c = 0) it is at most `rademacher_tail`.

    Raises:
        ValueError: the systems have different numbers of rows, or different fields.
    """
    found = [count_table(counts) for counts in systems]
    if len({(fields, table.shape) for fields, table in found}) > 1:
        raise ValueError("systems must have rows of the same dialogues and metric")
    n = len(found)
    p_values, difference = np.full((n, n), np.nan), np.zeros((n, n))
    if n < 2 or not found[0][0]:
        return p_values, difference
    fields = found[0][0]
    tables = np.stack([by_group(table, groups) for _, table in found])
    values = finite_values(reduce, fields, tables.sum(axis=1))
    difference = values[:, None] - values[None, :]
    one, other = np.triu_indices(n, 1)
    z = np.abs(difference[one, other]) / _deviations(tables, reduce, fields, one, other)
    p = np.array([math.erfc(x / math.sqrt(2)) if x < NEAR else rademacher_tail(x) for x in z])
    p[~np.isfinite(difference[one, other])] = np.nan
    open_ = np.flatnonzero(np.isfinite(difference[one, other]) & ~((z < NEAR) | (z > FAR)))
    p[open_] = _swapped(tables, reduce, fields, one[open_], other[open_])
    p[[np.array_equal(tables[i], tables[j]) for i, j in zip(one, other, strict=True)]] = np.nan
    p_values[one, other] = p_values[other, one] = p
    return p_values, difference


Index = NDArray[np.intp]


def _deviations(
    tables: FloatMatrix, reduce: Reduce, fields: Sequence[str], one: Index, other: Index
) -> FloatMatrix:
    """Of each pair's swapped difference, the standard deviation, with `reduce` taken as linear.

    A swap changes the difference by the gradient, at the mean of both totals, times the sum of
    randomly signed differences of rows: its variance is gradient' G gradient, G their Gram matrix.
    """
    products = np.einsum("igf,jgh->ijfh", tables, tables, optimize=True)
    gram = products[one, one] + products[other, other] - products[one, other]
    gram -= products[other, one]
    totals = tables.sum(axis=1)
    middle = (totals[one] + totals[other]) / 2
    gradient = np.empty_like(middle)
    for field in range(len(fields)):
        step = np.zeros_like(middle)
        step[:, field] = 1e-4 * np.maximum(np.abs(middle[:, field]), 1e-4)
        ends = [finite_values(reduce, fields, middle + sign * step) for sign in (1, -1)]
        gradient[:, field] = (ends[0] - ends[1]) / (2 * step[:, field])
    variance = np.einsum("pf,pfh,ph->p", gradient, gram, gradient)
    # Where it says nothing the pair is tested by its swaps.
    deviations: FloatMatrix = np.sqrt(np.where(variance > 0, variance, np.nan))
    return deviations


def _swapped(
    tables: FloatMatrix, reduce: Reduce, fields: Sequence[str], one: Index, other: Index
) -> FloatMatrix:
    drawn = swaps(tables.shape[1], RESAMPLES, SEED)
    # (fields, systems, resamples): each field's sums lie together, as `reduce` reads them.
    moved = np.stack([tables[:, :, field] @ drawn.T for field in range(len(fields))])
    totals = tables.sum(axis=1).T[:, :, None]
    p = np.empty(len(one))
    step = max(1, AT_ONCE // RESAMPLES)
    for start in range(0, len(one), step):
        a, b = one[start : start + step], other[start : start + step]
        shift = moved[:, b] - moved[:, a]
        found = reduced(reduce, fields, totals[:, a] + shift)
        found -= reduced(reduce, fields, totals[:, b] - shift)
        ends = totals[:, a, 0], totals[:, b, 0]
        observed = reduced(reduce, fields, ends[0]) - reduced(reduce, fields, ends[1])
        p[start : start + step] = [
            _p_value(float(distance), row) for distance, row in zip(observed, found, strict=True)
        ]
    return p


def _p_value(observed: float, swapped: FloatMatrix) -> float:
    p = swap_p_value(observed, swapped)
    if p * (len(swapped) + 1) > 1.5:
        return p
    return min(p, rademacher_tail(abs(observed) / float(np.std(swapped))))


def rademacher_tail(z: float) -> float:
    """The most that two-sided P(|S| >= z) can be, S a weighted sum of random signs of variance 1.

    3.178 times the normal's: Bentkus & Dzindzalieta 2015, "A tight Gaussian bound for weighted sums
    of Rademacher random variables", Bernoulli 21(2). It holds for a difference that is linear in
    the swaps, as of means, or of rates over the same words; else it is an approximation.

    >>> rademacher_tail(0.0), rademacher_tail(5.0) < 2e-6
    (1.0, True)
    """
    if math.isnan(z):
        return 1.0
    return min(1.0, math.erfc(z / math.sqrt(2)) / (2 * math.erfc(1.0)))
