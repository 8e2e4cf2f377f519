"""Sums over rows of counts, for the figures a metric prints beside its value."""

from __future__ import annotations

from collections.abc import Sequence

from mmdia_eval.api import Counts


def ratio(rows: Sequence[Counts], numerator: str, denominator: str) -> float:
    """Sum of one field over sum of another; nan, which is "no value", when the latter is 0.

    >>> ratio([{"errors": 1.0, "words": 4.0}, {"errors": 2.0, "words": 2.0}], "errors", "words")
    0.5
    """
    below = sum(row[denominator] for row in rows)
    if below == 0:
        return float("nan")
    return sum(row[numerator] for row in rows) / below
