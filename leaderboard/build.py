"""The static page: one HTML file without a server, a CDN or a clock, and its data as JSON.

Values share a column only when task, split, style, protocol and metric version are the same.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mmdia_eval import display
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.human_mos import (
    HumanRatings,
    human_metrics,
    is_human_ratings,
    read_human_ratings,
)
from mmdia_eval.results import (
    BenchmarkRecord,
    MetricResult,
    ProtocolRecord,
    Results,
    canonical_json,
    judge_of,
    read_results,
    unreliable_judges,
)

TEMPLATES = Path(__file__).parent / "templates"

ColumnKey = tuple[str, str, str, str, str]
"""Name, registered metric, version; the judge and the sha256 of its question, "" without one."""


@dataclass(frozen=True)
class Column:
    """One version of one metric. `signatures` says how, and for which systems where they differ.

    `metric` is None where no system of the table was measured. `judge` are the models whose
    verdicts it rests on: those of different judges share no column.
    """

    name: str
    judge: str
    metric: MetricResult | None
    signatures: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Cell:
    """A value as shown, with its number to sort by, None where there is none, and `why`.

    `doubt` is what its judge's controls found, if they failed.
    """

    value: str
    number: float | None = None
    interval: str | None = None
    companion: str | None = None
    gap: str | None = None
    best: bool = False
    why: str | None = None
    doubt: str | None = None


@dataclass(frozen=True)
class TableRow:
    """A system's cells, in the order of the columns."""

    results: Results
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Board:
    """What may stand in one table."""

    title: str
    protocol: ProtocolRecord
    benchmark: BenchmarkRecord
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]


def build_leaderboard(results: Sequence[Path], out: Path) -> Path:
    """Write `index.html` and `leaderboard.json` into `out` and return the page's path.

    `results` are results files and human ratings, or folders in which every .json file is one of
    them. Ratings become columns of the systems that they name, in the tables of their task, split
    and style. The same files give the same bytes, in whatever order.

    Raises:
        UserError: no results, a file that is none, a system twice in one table, or no Jinja2.
    """
    if find_spec("jinja2") is None:
        raise UserError("the page needs Jinja2: pip install 'mmdia-eval[board]'")
    boards = _boards(_with_ratings(*_read(results)))
    page = out / "index.html"
    write_atomic(out / "leaderboard.json", canonical_json(_data(boards)))
    write_atomic(page, _render(boards).encode())
    return page


def _read(paths: Sequence[Path]) -> tuple[dict[Path, Results], dict[Path, HumanRatings]]:
    files: list[Path] = []
    for path in paths:
        files += sorted(path.rglob("*.json")) if path.is_dir() else [path]
    ratings = [file for file in files if is_human_ratings(file)]
    found = {file: read_results(file) for file in files if file not in ratings}
    if not found:
        named = ", ".join(str(path) for path in paths) or "nothing"
        raise UserError(f"no results files in {named}; score a system first")
    return found, {file: read_human_ratings(file) for file in ratings}


def _with_ratings(
    found: dict[Path, Results], ratings: dict[Path, HumanRatings]
) -> dict[Path, Results]:
    """The results, each with the human ratings of its system as further metrics."""
    joined = dict(found)
    for file, human in ratings.items():
        names = set()
        for path, results in found.items():
            of_results = (results.task, results.split, results.style)
            columns = human_metrics(human, results.system.name)
            if columns and of_results == (human.task, human.split, human.style):
                names.add(results.system.name)
                metrics = [*joined[path].metrics, *columns]
                joined[path] = joined[path].model_copy(update={"metrics": metrics})
        rated = {each.system for dimension in human.dimensions for each in dimension.systems}
        if absent := sorted(rated - names):
            style = f", style as {human.style}" if human.style else ""
            raise UserError(
                f"{file}: no results on task {human.task}, {human.split} split{style} of "
                f"{', '.join(absent)}; systems are matched by the name in their submission.toml"
            )
    return joined


def _boards(found: dict[Path, Results]) -> list[Board]:
    groups: dict[tuple[object, ...], dict[tuple[str, str], tuple[Path, Results]]] = {}
    for path, results in found.items():
        group = groups.setdefault(_group(results), {})
        owner = (results.system.name, results.system.organization or "")
        if owner in group:
            raise UserError(
                f"{group[owner][0]} and {path} both hold {results.system.name} under the same "
                "task, split and protocol; leave one"
            )
        group[owner] = (path, results)
    return [
        _board(_ordered([results for _, results in group.values()]))
        for _, group in sorted(groups.items(), key=lambda item: item[0])
    ]


def _group(results: Results) -> tuple[object, ...]:
    """What results must share to stand in one table; comparable ones come first."""
    return (
        not results.protocol.comparable,
        results.task,
        results.split,
        results.style or "",
        results.protocol.name,
        results.protocol.version,
        results.protocol.sha256,
        results.benchmark.split_sha256,
    )


def _ordered(group: Sequence[Results]) -> list[Results]:
    """Comparable systems start in the order of their first metric, others by name."""
    by_name = sorted(group, key=lambda r: (r.system.name, r.system.organization or ""))
    if not group[0].protocol.comparable:
        return by_name
    # One metric for all, although a system may be without it.
    lead = max(by_name, key=lambda results: len(results.metrics)).metrics[:1]
    return sorted(by_name, key=lambda results: _place(results, lead[0].name if lead else ""))


def _place(results: Results, lead: str) -> tuple[bool, float]:
    first = next((metric for metric in results.metrics if metric.name == lead), None)
    if first is None or first.value is None:
        return results.status == "provisional", math.inf
    return results.status == "provisional", first.value * (-1 if first.higher_is_better else 1)


def _board(group: Sequence[Results]) -> Board:
    first = group[0]
    by_column: dict[ColumnKey, dict[int, MetricResult]] = {}
    for index, results in enumerate(group):
        for metric in results.metrics:
            judge = judge_of(results, metric.name)
            voice = judge.voice if judge else ("", "")
            key = (metric.name, metric.metric, metric.version, *voice)
            by_column.setdefault(key, {})[index] = metric
    measured = {key[:2] for key in by_column}
    for results in group:
        for left in results.not_run:
            if (left.name, left.metric) not in measured:
                by_column.setdefault((left.name, left.metric, "", "", ""), {})
    best = [_best(group, column) for column in by_column.values()]
    rows = tuple(
        TableRow(
            results,
            tuple(
                _cell(results, key, column.get(index), best_value)
                for (key, column), best_value in zip(by_column.items(), best, strict=True)
            ),
        )
        for index, results in enumerate(group)
    )
    style = f", style as {first.style}" if first.style else ""
    return Board(
        title=f"Task {first.task}, {first.split} split{style}",
        protocol=first.protocol,
        benchmark=first.benchmark,
        columns=tuple(_column(group, key, column) for key, column in by_column.items()),
        rows=rows,
    )


def _column(group: Sequence[Results], key: ColumnKey, column: dict[int, MetricResult]) -> Column:
    systems: dict[str, list[str]] = {}
    for index, metric in column.items():
        systems.setdefault(metric.signature, []).append(group[index].system.name)
    alone = len(systems) == 1
    signatures = tuple((text, () if alone else tuple(names)) for text, names in systems.items())
    return Column(key[0], key[3], next(iter(column.values()), None), signatures)


def _best(group: Sequence[Results], column: dict[int, MetricResult]) -> str | None:
    """The best value as shown, so that ties in what is shown are ties.

    Provisional ones are out, and those of a judge that failed its controls.
    """
    values = [
        other.value
        for index, other in column.items()
        if other.value is not None
        and group[index].status == "complete"
        and other.name not in unreliable_judges(group[index])
    ]
    if len(values) < 2:
        return None
    metric = next(iter(column.values()))
    if metric.higher_is_better is None:
        return None
    return display.number(metric, max(values) if metric.higher_is_better else min(values))


def _cell(
    results: Results, column: ColumnKey, metric: MetricResult | None, best: str | None
) -> Cell:
    if metric is None:
        left = (one for one in results.not_run if (one.name, one.metric) == column[:2])
        why = next((one.reason for one in left), None)
        return Cell(display.NOT_RUN, why=why) if why else Cell(display.NO_VALUE)
    value = display.number(metric, metric.value)
    companion = display.companion(metric)
    doubt = unreliable_judges(results).get(metric.name)
    coverage = metric.coverage
    applicable = coverage.expected - coverage.not_applicable
    return Cell(
        value=value,
        number=metric.value,
        interval=display.interval(metric, metric.interval) if metric.interval else None,
        companion=companion and f"{metric.companion} {companion}",
        gap=f"{coverage.scored}/{applicable} scored" if coverage.scored < applicable else None,
        best=value == best and not coverage.failed and doubt is None,
        doubt=doubt,
    )


def _data(boards: Sequence[Board]) -> dict[str, object]:
    """The page's data, in the words of the results files."""
    fields = {"system", "status", "verification", "metrics", "not_run", "rows_sha256", "warnings"}
    return {
        "schema_version": "1.0",
        "tables": [
            {
                **board.rows[0].results.model_dump(
                    mode="json", include={"task", "split", "style", "protocol", "benchmark"}
                ),
                "results": [
                    {
                        **row.results.model_dump(mode="json", include=fields),
                        "judges": [
                            judge.model_dump(mode="json") for judge in row.results.provenance.judges
                        ],
                    }
                    for row in board.rows
                ],
            }
            for board in boards
        ],
    }


def _render(boards: Sequence[Board]) -> str:
    newest = max(row.results.provenance.created for board in boards for row in board.rows)
    return render_page(
        "index.html.j2",
        style="page.css",
        script="sort.js",
        boards=boards,
        display=display,
        newest=newest,
    )


def render_page(template: str, *, style: str, script: str, **values: object) -> str:
    """A page of `templates/`, its style and script inlined and allowed by their hashes alone.

    The template gets `style`, `script`, `style_hash`, `script_hash` and `values`, escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    css, code = ((TEMPLATES / name).read_text("utf-8") for name in (style, script))
    return environment.get_template(template).render(
        # Our own files, not data: they go in as they are, and the page's policy allows just them.
        style=Markup(css),  # noqa: S704
        script=Markup(code),  # noqa: S704
        style_hash=_csp_hash(css),
        script_hash=_csp_hash(code),
        **values,
    )


def _csp_hash(text: str) -> str:
    """The source expression that allows exactly this inline text (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
