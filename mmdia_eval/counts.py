"""Sums over rows of counts, for the figures a metric prints beside its value."""

from __future__ import annotations

from collections.abc import Sequence

from mmdia_eval.api import Counts


def ratios(rows: Sequence[Counts], **figures: tuple[str, str]) -> dict[str, float]:
    """Each figure is the sum of its first field over the sum of its second, over all `rows`.

    A figure with nothing to count, its second sum being 0, is left out.

    >>> rows = [{"errors": 1.0, "words": 4.0}, {"errors": 2.0, "words": 2.0}]
    >>> ratios(rows, rate=("errors", "words"))
    {'rate': 0.5}
    """
    found = {}
    for name, (above, below) in figures.items():
        total = sum(row[below] for row in rows)
        if total:
            found[name] = sum(row[above] for row in rows) / total
    return found
