"""Tables: what may stand side by side, and how each value is shown.

Values share a column only when task, split, style, protocol and metric version are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mmdia_eval import display
from mmdia_eval.all_pairs import Rank
from mmdia_eval.errors import UserError
from mmdia_eval.leaderboard.pairs import BoardPairs, pair_board
from mmdia_eval.leaderboard.reading import Entry, is_stale, voice_of
from mmdia_eval.results import (
    BenchmarkRecord,
    MetricResult,
    ProtocolRecord,
    Results,
    unreliable_judges,
)

Section = Literal["ranked", "development", "stale"]
ColumnKey = tuple[str, str, str, str, str]
"""Name, registered metric, version; the judge and the sha256 of its question, "" without one."""
NotRun = tuple[str, tuple[str, ...]]
"""A reason, and the metrics that were not run for it."""


@dataclass(frozen=True)
class Column:
    """One version of one metric. `signatures` says how, and for which systems where they differ.

    `judge` are the models whose verdicts it rests on: those of different judges share no column.
    `metric` is the result of one of the systems, for what all of them share.
    """

    name: str
    judge: str
    metric: MetricResult
    signatures: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Cell:
    """A value as shown, with its number to sort by, None where there is none, and `why`.

    `tied`: no system is significantly better. `doubt` is what its judge's controls found, if they
    failed.
    """

    value: str
    number: float | None = None
    interval: str | None = None
    companion: str | None = None
    rank: Rank | None = None
    tied: bool = False
    best: bool = False
    why: str | None = None
    gap: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class TableRow:
    """An entry's cells, in the order of the columns."""

    entry: Entry
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Board:
    """What may stand in one table. `pinned` are ground truth and baselines, never ranked.

    `not_run` are the metrics that no system of the table was measured by.
    """

    id: str
    tab: str
    section: Section
    title: str
    protocol: ProtocolRecord
    benchmark: BenchmarkRecord
    split: str
    columns: tuple[Column, ...]
    not_run: tuple[NotRun, ...]
    pinned: tuple[TableRow, ...]
    rows: tuple[TableRow, ...]
    pairs: BoardPairs = field(repr=False)

    @property
    def all_rows(self) -> tuple[TableRow, ...]:
        return self.pinned + self.rows


def make_boards(entries: Sequence[Entry]) -> list[Board]:
    """The tables of the entries that are not gone: by task, ranked ones first, stale ones last."""
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        if not entry.gone:
            groups.setdefault(_group(entry.results), []).append(entry)
    boards = []
    for _, group in sorted(groups.items(), key=lambda item: item[0]):
        _refuse_doubles(group)
        boards.append(_board(_ordered(group), stale=False))
        old = [entry for entry in group if any(map(is_stale, entry.results.metrics))]
        if old:
            boards.append(_board(_ordered(old), stale=True))
    order = ("ranked", "development", "stale")
    return sorted(boards, key=lambda board: (board.tab, order.index(board.section)))


def tab_of(results: Results) -> str:
    """The tab's anchor: `task1-description`."""
    return f"task{results.task}" + (f"-{results.style}" if results.style else "")


def _group(results: Results) -> tuple[object, ...]:
    """What results must share to stand in one table; comparable ones come first."""
    return (
        results.task,
        results.style or "",
        not results.protocol.comparable,
        results.split,
        results.protocol.name,
        results.protocol.version,
        results.protocol.sha256,
        results.benchmark.split_sha256,
    )


def _refuse_doubles(group: Sequence[Entry]) -> None:
    owners: dict[tuple[str, str], Entry] = {}
    for entry in group:
        system = entry.results.system
        owner = (system.name, system.organization or "")
        if owner in owners:
            raise UserError(
                f"{owners[owner].path} and {entry.path} both hold {entry.name} under the same "
                "task, split and protocol; leave one, or mark one as superseded"
            )
        owners[owner] = entry


def _ordered(group: Sequence[Entry]) -> list[Entry]:
    """Comparable systems start in the order of their first metric, others by name."""
    by_name = sorted(group, key=lambda e: (e.name, e.results.system.organization or ""))
    if not group[0].results.protocol.comparable:
        return by_name
    # One metric for all, although a system may be without it.
    lead = max(by_name, key=lambda entry: len(entry.results.metrics)).results.metrics[:1]
    name = lead[0].name if lead else ""
    return sorted(by_name, key=lambda entry: _place(entry.results, name))


def _place(results: Results, lead: str) -> tuple[bool, float]:
    first = next((metric for metric in results.metrics if metric.name == lead), None)
    if first is None or first.value is None:
        return results.status == "provisional", math.inf
    return results.status == "provisional", first.value * (-1 if first.higher_is_better else 1)


def _board(group: Sequence[Entry], *, stale: bool) -> Board:
    first = group[0].results
    columns = _columns(group, stale=stale)
    section: Section = (
        "stale" if stale else "ranked" if first.protocol.comparable else "development"
    )
    # What is stale cannot be reduced here.
    pairs = BoardPairs({}, {}) if stale else pair_board(group)
    best = {key: _best(group, column) for key, column in columns.items()}
    rows = tuple(
        TableRow(
            entry,
            tuple(
                _cell(entry, key, column.get(index), best[key], pairs, ranked=section == "ranked")
                for key, column in columns.items()
            ),
        )
        for index, entry in enumerate(group)
    )
    protocol = first.protocol
    kinds = [row.entry.results.system.kind for row in rows]
    return Board(
        id="-".join(
            [
                tab_of(first),
                first.split,
                re.sub(r"[^A-Za-z0-9.]+", "_", f"{protocol.name}-{protocol.version}"),
                protocol.sha256[:4] + first.benchmark.split_sha256[:4],
                *(["stale"] if stale else []),
            ]
        ),
        tab=tab_of(first),
        section=section,
        title=f"{first.split.capitalize()} split, protocol {protocol.name} {protocol.version}",
        protocol=protocol,
        benchmark=first.benchmark,
        split=first.split,
        columns=tuple(_column(group, key, column) for key, column in columns.items()),
        not_run=() if stale else not_run(group, {key[:2] for key in columns}),
        pinned=tuple(
            row
            for wanted in ("ground_truth", "baseline")
            for row, kind in zip(rows, kinds, strict=True)
            if kind == wanted
        ),
        rows=tuple(row for row, kind in zip(rows, kinds, strict=True) if kind == "system"),
        pairs=pairs,
    )


def _columns(group: Sequence[Entry], *, stale: bool) -> dict[ColumnKey, dict[int, MetricResult]]:
    """The results of each column by the entry's place in the group."""
    columns: dict[ColumnKey, dict[int, MetricResult]] = {}
    for index, entry in enumerate(group):
        for metric in entry.results.metrics:
            if is_stale(metric) == stale:
                voice = voice_of(entry.results, metric.name)
                key = (metric.name, metric.metric, metric.version, *voice)
                columns.setdefault(key, {})[index] = metric
    return columns


def not_run(
    group: Sequence[Entry], measured: Collection[tuple[str, str]] = ()
) -> tuple[NotRun, ...]:
    """The metrics that were not run, without those measured all the same, under each reason."""
    names: dict[str, dict[str, None]] = {}
    for entry in group:
        for left in entry.results.not_run:
            if (left.name, left.metric) not in measured:
                names.setdefault(left.reason, {})[left.name] = None
    return tuple((reason, tuple(found)) for reason, found in names.items())


def _column(group: Sequence[Entry], key: ColumnKey, column: dict[int, MetricResult]) -> Column:
    systems: dict[str, list[str]] = {}
    for index, metric in column.items():
        systems.setdefault(metric.signature, []).append(group[index].name)
    alone = len(systems) == 1
    signatures = tuple((text, () if alone else tuple(names)) for text, names in systems.items())
    return Column(key[0], key[3], next(iter(column.values())), signatures)


def _best(group: Sequence[Entry], column: dict[int, MetricResult]) -> str | None:
    """The best value as shown, so that ties in what is shown are ties.

    Provisional ones are out, and those of a judge that failed its controls.
    """
    values = [
        other.value
        for index, other in column.items()
        if other.value is not None
        and group[index].results.status == "complete"
        and group[index].results.system.kind == "system"
        and other.name not in unreliable_judges(group[index].results)
    ]
    if len(values) < 2:
        return None
    metric = next(iter(column.values()))
    if metric.higher_is_better is None:
        return None
    return display.number(metric, max(values) if metric.higher_is_better else min(values))


def _cell(
    entry: Entry,
    column: ColumnKey,
    metric: MetricResult | None,
    best: str | None,
    pairs: BoardPairs,
    *,
    ranked: bool,
) -> Cell:
    results = entry.results
    if metric is None:
        left = (one for one in results.not_run if (one.name, one.metric) == column[:2])
        why = next((one.reason for one in left), None)
        if any(m.name == column[0] and is_stale(m) for m in results.metrics):
            return Cell("stale", why="of another version of the metric: see the stale values below")
        return Cell(display.NOT_RUN, why=why) if why else Cell(display.NO_VALUE)
    value = display.number(metric, metric.value)
    companion = display.companion(metric)
    rank = pairs.rank(entry, metric.name) if ranked else None
    doubt = unreliable_judges(results).get(metric.name)
    coverage = metric.coverage
    applicable = coverage.expected - coverage.not_applicable
    may_be_best = results.system.kind == "system" and not coverage.failed and doubt is None
    return Cell(
        value=value,
        number=metric.value,
        interval=display.interval(metric, metric.interval) if metric.interval else None,
        companion=companion and f"{metric.companion} {companion}",
        rank=rank,
        tied=rank is not None and rank.first == 1,
        best=value == best and may_be_best,
        gap=f"{coverage.scored}/{applicable} scored" if coverage.scored < applicable else None,
        doubt=doubt,
    )
