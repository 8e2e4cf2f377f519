"""Time of intervals and paired tests at the size of MM-DIA, against scipy's bootstrap.

python benchmarks/intervals.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.stats

from mmdia_eval.api import Counts
from mmdia_eval.statistics import RESAMPLES, bootstrap_interval, paired_test, resample_weights

DIALOGUES = 2_705
METRICS = 8
FIELDS = 10


def rate(total: Mapping[str, Any]) -> Any:
    """A metric's `reduce`."""
    return total["field0"] / total["field1"]


def ratio(errors: Any, words: Any, axis: int = -1) -> Any:
    """The same rate as scipy wants it."""
    return errors.sum(axis=axis) / words.sum(axis=axis)


def made_up(rng: np.random.Generator) -> list[Counts]:
    """Rows of one metric of one system."""
    table = rng.integers(1, 100, size=(DIALOGUES, FIELDS)).astype(float).tolist()
    return [{f"field{i}": value for i, value in enumerate(row)} for row in table]


def seconds(work: Callable[[], Any]) -> float:
    """Wall clock of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the time of both kinds of work."""
    rng = np.random.default_rng(0)
    systems = [[made_up(rng) for _ in range(METRICS)] for _ in range(2)]

    def intervals() -> None:
        resample_weights.cache_clear()
        for rows in systems[0]:
            bootstrap_interval(rows, rate)

    def tests() -> None:
        resample_weights.cache_clear()
        for one, other in zip(*systems, strict=True):
            paired_test(one, other, rate)

    def peer() -> None:
        for rows in systems[0]:
            columns = tuple(np.array([row[f"field{i}"] for row in rows]) for i in range(2))
            scipy.stats.bootstrap(
                columns,
                ratio,
                paired=True,
                vectorized=True,
                n_resamples=RESAMPLES,
                method="percentile",
                rng=rng,
            )

    print(f"{DIALOGUES} dialogues, {METRICS} metrics of {FIELDS} fields, {RESAMPLES} resamples")
    ours, theirs = seconds(intervals), seconds(peer)
    print(f"bootstrap intervals   {ours:6.2f} s   scipy {theirs:6.2f} s   {theirs / ours:4.1f}x")
    print(f"paired tests          {seconds(tests):6.2f} s")


if __name__ == "__main__":
    main()
