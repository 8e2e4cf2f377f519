"""The systems of one table against each other, dialogue by dialogue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from threadpoolctl import threadpool_limits

from mmdia_eval.all_pairs import AllPairs, Rank, all_pairs
from mmdia_eval.api import SetMetric
from mmdia_eval.compare import metric_of
from mmdia_eval.leaderboard.reading import Entry, is_stale, voice_of
from mmdia_eval.registry import metric as metrics
from mmdia_eval.results import MetricResult, Row, unreliable_judges
from mmdia_eval.results_files import read_rows
from mmdia_eval.statistics import Interval


@dataclass(frozen=True)
class Difference:
    """A system's value less another's, and whether they are told apart (p by Holm's correction).

    `relation` is "above" or "below" in the order of values, or "ground truth". `p_holm` is None
    where the two were not tested.
    """

    relation: str
    other: Entry
    value: float
    interval: Interval | None
    p_holm: float | None


@dataclass(frozen=True)
class MetricPairs:
    """One metric of the systems that can be paired, best first among those ranked."""

    entries: tuple[Entry, ...]
    found: AllPairs

    @cached_property
    def _places(self) -> dict[Entry, int]:
        return {entry: place for place, entry in enumerate(self.entries)}

    @cached_property
    def _order(self) -> list[int]:
        sign = -1 if self.found.higher_is_better else 1
        ranked = [place for place in range(len(self.entries)) if self.found.ranked[place]]
        return sorted(ranked, key=lambda place: (sign * self.found.values[place], place))

    def rank(self, entry: Entry) -> Rank | None:
        """The rank range of an entry; None for one that is not ranked, or that stands alone."""
        place = self._places.get(entry)
        if place is None or not self.found.ranked[place] or len(self._order) < 2:
            return None
        return self.found.rank(place)

    def differences(self, entry: Entry, *, ranked: bool) -> list[Difference]:
        """Against the neighbours in rank, where the table is ranked, and the ground truth."""
        place = self._places.get(entry)
        if place is None:
            return []
        others: list[tuple[str, int]] = []
        if ranked and place in self._order:
            at = self._order.index(place)
            others += [("above", self._order[at - 1])] if at else []
            others += [("below", one) for one in self._order[at + 1 : at + 2]]
        others += [
            ("ground truth", number)
            for number, other in enumerate(self.entries)
            if other.results.system.kind == "ground_truth" and number != place
        ]
        return [self._difference(place, other, relation) for relation, other in others]

    def _difference(self, place: int, other: int, relation: str) -> Difference:
        value, interval = self.found.difference(place, other)
        p = float(self.found.p_holm[place, other])
        p_holm = None if math.isnan(p) else p
        return Difference(relation, self.entries[other], value, interval, p_holm)


MetricKey = tuple[str, str, str]
"""A metric's name in the protocol, and the judge and question behind it: "" without one."""


def _key(entry: Entry, metric: str) -> MetricKey:
    return metric, *voice_of(entry.results, metric)


@dataclass(frozen=True)
class BoardPairs:
    """The rows of a table's entries that have any, and the pairs of each metric and judge."""

    rows: Mapping[Entry, Sequence[Row]]
    metrics: Mapping[MetricKey, MetricPairs]

    def rank(self, entry: Entry, metric: str) -> Rank | None:
        """The rank range of an entry under a metric; None where it has none."""
        pairs = self.metrics.get(_key(entry, metric))
        return pairs.rank(entry) if pairs else None

    def differences(self, entry: Entry, metric: str, *, ranked: bool) -> list[Difference]:
        """See `MetricPairs.differences`."""
        pairs = self.metrics.get(_key(entry, metric))
        return pairs.differences(entry, ranked=ranked) if pairs else []


def pair_board(group: Sequence[Entry]) -> BoardPairs:
    """Read the rows of the entries of one table and pair them, metric by metric.

    Raises:
        UserError: an entry's rows are missing, or not those that its results were made from.
    """
    rows = {entry: read_rows(entry.path) for entry in group if entry.results.rows_file}
    by_metric: dict[MetricKey, dict[Entry, list[Row]]] = {}
    for entry, of_entry in rows.items():
        mine: dict[str, list[Row]] = {}
        for row in of_entry:
            mine.setdefault(row.metric, []).append(row)
        for name, of_metric in mine.items():
            by_metric.setdefault(_key(entry, name), {})[entry] = of_metric
    names = {m.name for entry in group for m in entry.results.metrics}
    keys = sorted(key for key in by_metric if key[0] in names)
    # A metric a thread; threads of BLAS within them would only wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor() as pool:
        pairs = pool.map(lambda key: _pair_metric(group, key[0], by_metric[key]), keys)
        found = {key: one for key, one in zip(keys, pairs, strict=True) if one}
    return BoardPairs(rows, found)


def _pair_metric(
    group: Sequence[Entry], name: str, rows: Mapping[Entry, Sequence[Row]]
) -> MetricPairs | None:
    """The pairs of one metric; None where no two systems can be paired or it has no direction."""
    results = {entry: _result(entry, name) for entry in group}
    shapes = {
        entry: _shape(rows[entry])
        for entry in group
        if entry in rows and results[entry] is not None
    }
    common = Counter(shape for shape in shapes.values() if shape).most_common(1)
    if not common:
        return None
    entries = [entry for entry in group if shapes.get(entry) == common[0][0]]
    result = results[entries[0]]
    # A metric of a plug-in that is not installed here is shown, and not ranked.
    if result is None or result.higher_is_better is None or result.metric not in metrics:
        return None
    metric = metric_of(entries[0].path, result)
    if isinstance(metric, SetMetric):
        return None
    counting = {entry: [row for row in _sorted(rows[entry]) if row.counts_in] for entry in entries}
    first = counting[entries[0]]
    found = all_pairs(
        [[row.counts for row in counting[entry]] for entry in entries],
        [entry.ranked and name not in unreliable_judges(entry.results) for entry in entries],
        metric.reduce,
        higher_is_better=result.higher_is_better,
        groups=[row.group for row in first],
    )
    return MetricPairs(tuple(entries), found)


def _result(entry: Entry, name: str) -> MetricResult | None:
    """The entry's result of today's version of a metric, where it has a value."""
    mine = (m for m in entry.results.metrics if m.name == name and not is_stale(m))
    return next((m for m in mine if m.value is not None), None)


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.dialogue)


Shape = tuple[tuple[str, ...], tuple[str, ...]]


def _shape(rows: Sequence[Row]) -> Shape | None:
    """Dialogues that count and fields counted: what pairs must share. None where a row failed."""
    if any(row.status == "failed" for row in rows):
        return None
    counting = [row for row in _sorted(rows) if row.counts_in]
    if not counting or len({tuple(row.counts) for row in counting}) > 1:
        return None
    return tuple(row.dialogue for row in counting), tuple(counting[0].counts)
