"""The board as data: `leaderboard.json` in the words of the results files, and `results.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from mmdia_eval.leaderboard.boards import Board, TableRow
from mmdia_eval.leaderboard.published import PublishedTable
from mmdia_eval.leaderboard.reading import Entry, voice_of
from mmdia_eval.spreadsheet import to_cell

_FIELDS = {"system", "status", "metrics", "not_run", "rows_sha256", "warnings"}

CSV_COLUMNS = (
    "section",
    "task",
    "style",
    "split",
    "protocol",
    "protocol_version",
    "benchmark",
    "id",
    "system",
    "organization",
    "kind",
    "verification",
    "state",
    "status",
    "metric",
    "metric_version",
    "value",
    "unit",
    "higher_is_better",
    "lower",
    "upper",
    "rank_first",
    "rank_last",
    "expected",
    "scored",
    "missing",
    "not_applicable",
    "failed",
    "signature",
)


def board_data(
    boards: Sequence[Board], gone: Sequence[Entry], published: Sequence[PublishedTable]
) -> dict[str, object]:
    """Everything on the page; ratios from 0 to 1 but in `published`, which is as printed."""
    return {
        "schema_version": "1.1",
        "tables": [
            {
                **board.all_rows[0].entry.results.model_dump(
                    mode="json", include={"task", "split", "style", "protocol", "benchmark"}
                ),
                "section": board.section,
                "results": [_row_data(board, row) for row in board.all_rows],
            }
            for board in boards
        ],
        "gone": [_entry_data(entry) for entry in gone],
        "published": [table.model_dump(mode="json") for table in published],
    }


def _row_data(board: Board, row: TableRow) -> dict[str, object]:
    data = _entry_data(row.entry)
    shown = {(c.metric.name, c.metric.version) for c in board.columns}
    metrics = [
        m.model_dump(mode="json") for m in row.entry.results.metrics if (m.name, m.version) in shown
    ]
    ranks = {
        column.name: [cell.rank.first, cell.rank.last]
        for column, cell in zip(board.columns, row.cells, strict=True)
        if cell.rank
    }
    return {**data, "metrics": metrics, "ranks": ranks}


def _entry_data(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "verification": entry.verification,
        "state": entry.change.model_dump(mode="json") if entry.change else None,
        "judges": [judge.model_dump(mode="json") for judge in entry.results.provenance.judges],
        **entry.results.model_dump(mode="json", include=_FIELDS),
    }


def board_csv(boards: Sequence[Board], published: Sequence[PublishedTable]) -> bytes:
    """One line a value, RFC 4180, UTF-8. Texts that a spreadsheet would run are quoted by `'`."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, quoting=csv.QUOTE_ALL, restval="")
    writer.writeheader()
    for line in [*_scored(boards), *_printed(published)]:
        writer.writerow({name: _safe(value) for name, value in line.items()})
    return out.getvalue().encode()


def _safe(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return to_cell(value)
    return repr(value) if isinstance(value, float) else str(value)


def _scored(boards: Sequence[Board]) -> Iterator[Mapping[str, object]]:
    for board in boards:
        for row in board.all_rows:
            results = row.entry.results
            for column, cell in zip(board.columns, row.cells, strict=True):
                for metric in results.metrics:
                    judge = voice_of(results, metric.name)[0]
                    if (metric.name, metric.version) != (column.name, column.metric.version):
                        continue
                    if judge != column.judge or cell.number != metric.value:
                        continue
                    interval = metric.interval
                    yield {
                        "section": board.section,
                        "task": results.task,
                        "style": results.style,
                        "split": results.split,
                        "protocol": results.protocol.name,
                        "protocol_version": results.protocol.version,
                        "benchmark": results.benchmark.name,
                        "id": row.entry.id,
                        "system": results.system.name,
                        "organization": results.system.organization,
                        "kind": results.system.kind,
                        "verification": row.entry.verification,
                        "state": row.entry.change.status if row.entry.change else "active",
                        "status": results.status,
                        "metric": metric.name,
                        "metric_version": metric.version,
                        "value": metric.value,
                        "unit": metric.unit,
                        "higher_is_better": metric.higher_is_better,
                        "lower": interval and interval.lower,
                        "upper": interval and interval.upper,
                        "rank_first": cell.rank and cell.rank.first,
                        "rank_last": cell.rank and cell.rank.last,
                        **metric.coverage.model_dump(),
                        "signature": metric.signature,
                    }


def _printed(published: Sequence[PublishedTable]) -> Iterator[Mapping[str, object]]:
    for table in published:
        for row in table.rows:
            for column in table.columns:
                if column.name in row.values:
                    yield {
                        "section": "published",
                        "task": table.task,
                        "style": table.style,
                        "protocol": f"{table.source.paper}, {table.source.table}",
                        "system": row.system,
                        "kind": row.kind,
                        "verification": table.verification,
                        "metric": column.name,
                        "value": float(row.values[column.name]),
                        "unit": column.unit,
                        "higher_is_better": column.higher_is_better,
                    }
