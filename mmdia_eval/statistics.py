"""Intervals and paired tests over dialogues, from the counts that metrics give.

The dialogue is the unit that is resampled, never the utterance or the word: errors within one
dialogue go together. Where dialogues come in groups (films, series), whole groups are resampled:
they share voices, scripts and sound. One seed draws the same ones for every metric and system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.api import Counts

RESAMPLES = 2_000
SEED = 20260101
LEVEL = 0.95

MIN_SHARE_WITH_VALUE = 0.95
"""An interval needs a value in this share of the resamples; else it would describe only those."""

Reduce = Callable[[Mapping[str, Any]], Any]
"""`Metric.reduce`: from summed counts, scalars or arrays, to values."""

FloatMatrix = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Where the value lies with confidence `level`, and how that was found."""

    lower: float
    upper: float
    level: float
    resamples: int
    seed: int
    method: str = "percentile bootstrap over dialogues"
    unit: str = "dialogue"


@dataclass(frozen=True)
class PairedTest:
    """How far two systems differ on the same dialogues.

    `difference` is the first system's value less the second's. `p_value` is two-sided, for the
    hypothesis that the two systems are exchangeable within each dialogue. None means no value.
    """

    difference: float | None
    interval: Interval | None
    p_value: float | None
    dialogues: int
    resamples: int
    seed: int


Groups = Sequence[str | None]
"""The group of each row; a row without one stands for itself. No groups at all: None."""


@lru_cache(2)
def resample_weights(n: int, resamples: int = RESAMPLES, seed: int = SEED) -> FloatMatrix:
    """How often each of `n` dialogues is drawn in each resample: (resamples, n), rows sum to `n`.

    The same arguments give the same matrix; it is read-only and shared by all metrics.
    """
    drawn = np.random.default_rng([seed, 0]).integers(max(n, 1), size=(resamples, n))
    cells = drawn + n * np.arange(resamples)[:, None]
    times = np.bincount(cells.ravel(), minlength=resamples * n)
    weights = times.reshape(resamples, n).astype(np.float64)
    weights.flags.writeable = False
    return weights


def corpus_value(counts: Sequence[Counts], reduce: Reduce) -> float | None:
    """`reduce` of the summed counts; None where they define no finite value.

    >>> corpus_value([{"errors": 1, "words": 4}, {"errors": 2, "words": 2}],
    ...              lambda total: total["errors"] / total["words"])
    0.5
    """
    if not counts:
        return None
    total = {f: np.float64(math.fsum(row[f] for row in counts)) for f in counts[0]}
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(reduce(total))
    return value if math.isfinite(value) else None


def bootstrap_interval(
    counts: Sequence[Counts],
    reduce: Reduce,
    *,
    groups: Groups | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval | None:
    """The percentile interval of `reduce` of the summed counts (Efron 1979), one row a dialogue.

    `level` is the share covered, in (0, 1). Resamples without a finite value (no reference word
    drawn) are left out. With `groups` whole groups are drawn (the cluster bootstrap: Davison &
    Hinkley 1997, section 3.8). None with fewer than two dialogues or groups, or when more than
    1 - `MIN_SHARE_WITH_VALUE` of the resamples have no value.

    >>> rows = [{"errors": e, "words": 10} for e in (0, 1, 2, 3)]
    >>> interval = bootstrap_interval(rows, lambda total: total["errors"] / total["words"])
    >>> interval.lower < 0.15 < interval.upper
    True
    """
    fields, table = count_table(counts)
    table = by_group(table, groups)
    values = finite_values(reduce, fields, resample_weights(len(table), resamples, seed) @ table)
    return percentile_interval(values, len(table), level, seed, grouped=has_groups(groups))


def paired_test(
    a: Sequence[Counts],
    b: Sequence[Counts],
    reduce: Reduce,
    *,
    groups: Groups | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> PairedTest:
    """Compare two systems whose rows `a[i]` and `b[i]` are of the same dialogue.

    The interval is the bootstrap's, both systems resampled alike, under the rules of
    `bootstrap_interval`. The p-value is that of a randomisation test which swaps the two rows of
    each dialogue or not: (c + 1) / (resamples + 1), with c the swaps whose difference is at least
    as far from 0 as the one observed (Phipson & Smyth 2010); a swap without a value counts in c.
    With `groups` whole groups are resampled and swapped.

    Raises:
        ValueError: the two have different numbers of rows, or different fields.
    """
    (fields, table_a), (fields_b, table_b) = count_table(a), count_table(b)
    if fields != fields_b or table_a.shape != table_b.shape:
        raise ValueError(
            f"paired rows must be of the same dialogues and metric: "
            f"{table_a.shape[0]} rows of {fields} against {table_b.shape[0]} rows of {fields_b}"
        )
    dialogues = len(table_a)
    table_a, table_b = by_group(table_a, groups), by_group(table_b, groups)
    n = len(table_a)

    def difference(sums_a: FloatMatrix, sums_b: FloatMatrix) -> FloatMatrix:
        return finite_values(reduce, fields, sums_a) - finite_values(reduce, fields, sums_b)

    total_a, total_b = table_a.sum(axis=0, keepdims=True), table_b.sum(axis=0, keepdims=True)
    observed = float(difference(total_a, total_b)[0]) if n else np.nan
    weights = resample_weights(n, resamples, seed)
    resampled = difference(weights @ table_a, weights @ table_b)
    moved = swaps(n, resamples, seed) @ (table_b - table_a)
    swapped = difference(total_a + moved, total_b - moved)
    has_value = bool(np.isfinite(observed))
    return PairedTest(
        observed if has_value else None,
        percentile_interval(resampled, n, level, seed, grouped=has_groups(groups))
        if has_value
        else None,
        swap_p_value(observed, swapped) if has_value else None,
        dialogues,
        resamples,
        seed,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for being tested together (Holm 1979), in the order given, at most 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.take(p_values, order) * factors), 1.0)
    return [float(value) for value in adjusted]


def count_table(counts: Sequence[Counts]) -> tuple[tuple[str, ...], FloatMatrix]:
    """The fields, and the rows' counts (rows, fields). Raises ValueError if fields differ."""
    fields = tuple(counts[0]) if counts else ()
    keys = counts[0].keys() if counts else None
    if any(row.keys() != keys for row in counts):
        raise ValueError(f"every row must have the fields {fields}")
    rows = [[row[field] for field in fields] for row in counts]
    return fields, np.array(rows, dtype=np.float64).reshape(len(rows), len(fields))


def finite_values(reduce: Reduce, fields: Sequence[str], sums: FloatMatrix) -> FloatMatrix:
    """One value a row of `sums`; nan where there is none, as with no counts at all."""
    if not fields:
        return np.full(len(sums), np.nan)
    return reduced(reduce, fields, sums.T)


def reduced(reduce: Reduce, fields: Sequence[str], sums: FloatMatrix) -> FloatMatrix:
    """`reduce` of sums whose first axis is that of the fields; nan where there is no value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(reduce(dict(zip(fields, sums, strict=True))), dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def has_groups(groups: Groups | None) -> bool:
    """Whether any row names its group."""
    return groups is not None and any(groups)


def by_group(table: FloatMatrix, groups: Groups | None) -> FloatMatrix:
    """The rows of each group summed, in the order in which groups first come."""
    if groups is None or not has_groups(groups):
        return table
    names = [("group", group) if group else ("row", index) for index, group in enumerate(groups)]
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    summed = np.zeros((len(place), table.shape[1]))
    np.add.at(summed, [place[name] for name in names], table)
    return summed


def percentile_interval(
    values: FloatMatrix, n: int, level: float, seed: int, *, grouped: bool
) -> Interval | None:
    """The interval of resampled `values` of `n` dialogues or groups, as in `bootstrap_interval`."""
    finite = values[np.isfinite(values)]
    if n < 2 or len(finite) < MIN_SHARE_WITH_VALUE * len(values):
        return None
    lower, upper = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    found = Interval(float(lower), float(upper), level, len(values), seed)
    if not grouped:
        return found
    return replace(found, method="percentile bootstrap over groups", unit="group")


@lru_cache(2)
def swaps(n: int, resamples: int, seed: int) -> FloatMatrix:
    """Which dialogues change sides in each randomisation: (resamples, n) of 0.0 and 1.0."""
    drawn = np.random.default_rng([seed, 1]).integers(2, size=(resamples, n), dtype=np.int8)
    signs = drawn.astype(np.float64)
    signs.flags.writeable = False
    return signs


def swap_p_value(observed: float, swapped: FloatMatrix) -> float:
    """(c + 1) / (swaps + 1), with c the swaps at least as far from 0 as `observed`, or nan."""
    rounding = 1e-9 * abs(observed)
    inside = np.abs(swapped) < abs(observed) - rounding
    return float((np.count_nonzero(~inside) + 1) / (len(swapped) + 1))
