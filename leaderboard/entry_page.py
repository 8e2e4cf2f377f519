"""What the page of one entry shows, result by result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mmdia_eval import display
from mmdia_eval.details import Details, Judged, read_details
from mmdia_eval.leaderboard import svg
from mmdia_eval.leaderboard.boards import Board, Cell, NotRun, not_run, tab_of
from mmdia_eval.leaderboard.clips import Clip, find_clips, place_clip
from mmdia_eval.leaderboard.pairs import Difference
from mmdia_eval.leaderboard.reading import Entry, is_stale, voice_of
from mmdia_eval.leaderboard.words import TurnLine, align_words
from mmdia_eval.results import MetricResult, Row
from mmdia_eval.results_files import read_rows

SHOWN = 8
"""Dialogues shown word by word beside those with an audit clip."""


@dataclass(frozen=True)
class MetricView:
    """A metric of the entry: its cell on the board, its differences, its dialogues as a plot."""

    metric: MetricResult
    cell: Cell
    differences: tuple[Difference, ...]
    plot: svg.Histogram | None
    stale: bool


class DialogueRow(NamedTuple):
    """What became of a dialogue under each metric: its value, or its status.

    `reasons` has one for each metric, None where it was scored; it is empty where all were.
    """

    id: str
    texts: tuple[str, ...]
    reasons: tuple[str | None, ...]


@dataclass(frozen=True)
class DialogueView:
    """A dialogue to read and, with a clip, to hear."""

    id: str
    details: Details | None
    lines: tuple[TurnLine, ...]
    lanes: tuple[svg.Lane, ...]
    clip: Clip | None
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class ResultView:
    """One results file of an entry; `board` is the table that it stands in, None once gone."""

    entry: Entry
    board: Board | None
    metrics: tuple[MetricView, ...]
    not_run: tuple[NotRun, ...]
    names: tuple[str, ...]
    rows: tuple[DialogueRow, ...]
    dialogues: tuple[DialogueView, ...]


def view_result(entry: Entry, boards: Sequence[Board], out: Path) -> ResultView:
    """Everything on the entry's page about one results file; its clips are placed below `out`/e.

    Raises:
        UserError: rows or details that are not those of the results.
    """
    mine = [board for board in boards if any(row.entry is entry for row in board.all_rows)]
    board = next((one for one in mine if one.section != "stale"), None)
    rows = _rows(entry, board)
    by_metric: dict[str, dict[str, Row]] = {m.name: {} for m in entry.results.metrics}
    for row in rows:
        by_metric.setdefault(row.metric, {})[row.dialogue] = row
    cells = _cells(entry, mine)
    ids = sorted({row.dialogue for row in rows})
    shown = [metric for metric in entry.results.metrics if by_metric[metric.name]]
    return ResultView(
        entry,
        board,
        tuple(
            _metric(entry, metric, cells, board, list(by_metric[metric.name].values()))
            for metric in entry.results.metrics
        ),
        not_run([entry]),
        tuple(metric.name for metric in shown),
        tuple(_dialogue_row(id_, shown, by_metric) for id_ in ids),
        _dialogues(entry, ids, out),
    )


def _rows(entry: Entry, board: Board | None) -> Sequence[Row]:
    if board is not None and entry in board.pairs.rows:
        return board.pairs.rows[entry]
    return read_rows(entry.path) if entry.results.rows_file else []


def _cells(entry: Entry, boards: Sequence[Board]) -> dict[tuple[str, str], Cell]:
    return {
        (column.name, column.metric.version): cell
        for board in boards
        for row in board.all_rows
        if row.entry is entry
        for column, cell in zip(board.columns, row.cells, strict=True)
        if column.judge == voice_of(entry.results, column.name)[0]
    }


def _metric(
    entry: Entry,
    metric: MetricResult,
    cells: Mapping[tuple[str, str], Cell],
    board: Board | None,
    rows: Sequence[Row],
) -> MetricView:
    interval = metric.interval and display.interval(metric, metric.interval)
    plain = Cell(display.number(metric, metric.value), metric.value, interval or None)
    differences = (
        board.pairs.differences(entry, metric.name, ranked=board.section == "ranked")
        if board
        else []
    )
    band = (metric.interval.lower, metric.interval.upper) if metric.interval else None
    values = [row.value for row in rows if row.value is not None]
    return MetricView(
        metric,
        cells.get((metric.name, metric.version), plain),
        tuple(differences),
        svg.histogram(values, metric.value, band),
        is_stale(metric),
    )


def _dialogue_row(
    id_: str, metrics: Sequence[MetricResult], by_metric: Mapping[str, Mapping[str, Row]]
) -> DialogueRow:
    rows = [by_metric[metric.name].get(id_) for metric in metrics]
    texts = tuple(_outcome(metric, row) for metric, row in zip(metrics, rows, strict=True))
    reasons = tuple(row.reason if row else None for row in rows)
    return DialogueRow(id_, texts, reasons if any(reasons) else ())


def _outcome(metric: MetricResult, row: Row | None) -> str:
    if row is None:
        return display.NO_VALUE
    if row.status == "scored":
        return display.number(metric, row.value)
    value = "" if row.value is None else f"{display.number(metric, row.value)}, "
    return value + row.status.replace("_", " ")


def _dialogues(entry: Entry, ids: Sequence[str], out: Path) -> tuple[DialogueView, ...]:
    """Those with a clip, and the first others that there is something to read of.

    What has left the tables is heard no more.
    """
    details = {
        one.dialogue: one
        for one in read_details(entry.path, entry.results)
        if one.words or one.voices or one.judged
    }
    clips = {} if entry.gone else find_clips(entry.path, set(ids))
    others = [id_ for id_ in sorted(details) if id_ not in clips]
    shown = [*sorted(clips), *others[: max(0, SHOWN - len(clips))]]
    return tuple(_dialogue(entry, id_, details.get(id_), clips.get(id_), out) for id_ in shown)


def _dialogue(
    entry: Entry, id_: str, details: Details | None, clip: Path | None, out: Path
) -> DialogueView:
    results = entry.results
    base = f"{entry.id}/{tab_of(results)}-{results.split}-{results.protocol.sha256[:8]}"
    placed = place_clip(clip, out / "e" / base, base) if clip else None
    return DialogueView(
        id_,
        details,
        tuple(align_words(details.script, details.words)) if details and details.words else (),
        tuple(svg.lanes(details.voices, details.seconds)) if details else (),
        placed,
        tuple(details.judged) if details else (),
    )
