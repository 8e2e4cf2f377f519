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
    Interval,
    Reduce,
    by_group,
    count_table,
    finite_values,
    has_groups,
    holm,
    percentile_interval,
    reduced,
    resample_weights,
    swap_p_value,
    swaps,
)

NEAR, FAR = 1.0, 5.0
"""Standard deviations of the swaps. Outside of them no swap is drawn: nearer than NEAR nothing is
ever significant (p > 0.3), further than FAR all is (p < 2e-6, and no swap of 2,000 comes there)."""

AT_ONCE = 1 << 15
"""Swapped values in memory together; their sums then fit a processor's cache."""


@dataclass(frozen=True)
class Rank:
    """Where a system may stand, 1 is best: between the systems surely better and surely worse."""

    first: int
    last: int


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Systems with rows of the same dialogues under one metric, all of them compared.

    `values` (n,) and `drawn` (n, resamples) of the bootstrap, the same draw for every system.
    `p` (n, n): two-sided, of pairs of `ranked` systems; nan where two have equal rows or no value.
    `p_holm` (n, n): the same under Holm's correction over all of them.

    A p-value is `paired_test`'s. Among thousands of pairs its (c + 1) / (resamples + 1) could never
    be significant; so where no swap comes as far as what was observed (c = 0) it is at most
    `rademacher_tail`.
    """

    values: FloatMatrix
    drawn: FloatMatrix
    p: FloatMatrix
    p_holm: FloatMatrix
    ranked: tuple[bool, ...]
    higher_is_better: bool
    units: int
    grouped: bool

    def rank(self, one: int) -> Rank:
        """1 + the systems significantly better, to all less those significantly worse."""
        surely = np.nan_to_num(self.p_holm[one], nan=1.0) < 1 - LEVEL
        above = (
            self.values > self.values[one]
            if self.higher_is_better
            else (self.values < self.values[one])
        )
        better, worse = surely & above, surely & ~above
        return Rank(1 + int(better.sum()), sum(self.ranked) - int(worse.sum()))

    def difference(self, one: int, other: int) -> tuple[float, Interval | None]:
        """The value of `one` less that of `other`, with the interval of `paired_test`."""
        drawn = self.drawn[one] - self.drawn[other]
        found = percentile_interval(drawn, self.units, LEVEL, SEED, grouped=self.grouped)
        return float(self.values[one] - self.values[other]), found


def all_pairs(
    systems: Sequence[Sequence[Counts]],
    ranked: Sequence[bool],
    reduce: Reduce,
    *,
    higher_is_better: bool,
    groups: Groups | None = None,
) -> AllPairs:
    """Compare all systems; only those in `ranked` are tested against each other.

    Raises:
        ValueError: the systems have different numbers of rows, or different fields.
    """
    fields, tables = _tables(systems, groups)
    n, units = tables.shape[:2]
    places = np.flatnonzero(ranked)
    one, other = (places[index] for index in np.triu_indices(len(places), 1))
    raw = _p_values(tables, reduce, fields, one, other)
    adjusted, tested = raw.copy(), np.isfinite(raw)
    adjusted[tested] = holm(list(raw[tested]))
    p, p_holm = np.full((n, n), np.nan), np.full((n, n), np.nan)
    p[one, other] = p[other, one] = raw
    p_holm[one, other] = p_holm[other, one] = adjusted
    weights = resample_weights(units)
    sums = np.stack([weights @ table.T for table in _by_field(tables)])
    return AllPairs(
        finite_values(reduce, fields, tables.sum(axis=1)),
        reduced(reduce, fields, sums).T,
        p,
        p_holm,
        tuple(ranked),
        higher_is_better,
        units,
        has_groups(groups),
    )


def _tables(
    systems: Sequence[Sequence[Counts]], groups: Groups | None
) -> tuple[tuple[str, ...], FloatMatrix]:
    """The fields, and all counts (systems, dialogues or groups, fields)."""
    found = [count_table(counts) for counts in systems]
    if len({(fields, table.shape) for fields, table in found}) != 1:
        raise ValueError("systems must have rows of the same dialogues and metric")
    return found[0][0], np.stack([by_group(table, groups) for _, table in found])


Index = NDArray[np.intp]


def _p_values(
    tables: FloatMatrix, reduce: Reduce, fields: Sequence[str], one: Index, other: Index
) -> FloatMatrix:
    values = finite_values(reduce, fields, tables.sum(axis=1))
    distance = np.abs(values[one] - values[other])
    z = distance / _deviations(tables, reduce, fields, one, other)
    p = np.array([math.erfc(x / math.sqrt(2)) if x < NEAR else rademacher_tail(x) for x in z])
    p[~np.isfinite(distance)] = np.nan
    undecided = np.flatnonzero(np.isfinite(distance) & ~((z < NEAR) | (z > FAR)))
    p[undecided] = _swapped(tables, reduce, fields, one[undecided], other[undecided])
    for pair in np.flatnonzero(distance == 0):
        if np.array_equal(tables[one[pair]], tables[other[pair]]):
            p[pair] = np.nan
    return p


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


def _by_field(tables: FloatMatrix) -> FloatMatrix:
    """(fields, systems, dialogues), each field's table in one piece: the form that BLAS takes."""
    return np.ascontiguousarray(np.moveaxis(tables, 2, 0))


def _swapped(
    tables: FloatMatrix, reduce: Reduce, fields: Sequence[str], one: Index, other: Index
) -> FloatMatrix:
    drawn = swaps(tables.shape[1], RESAMPLES, SEED)
    # (fields, systems, resamples): each field's sums lie together, as `reduce` reads them.
    moved = np.stack([table @ drawn.T for table in _by_field(tables)])
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
