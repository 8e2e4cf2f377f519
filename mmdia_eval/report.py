"""Results in a terminal: a header, a table, the signatures, and the summary lines.

Without a terminal the same text comes plain, 80 columns wide; NO_COLOR is honoured.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmdia_eval import display
from mmdia_eval.results import JudgeRecord, MetricResult, Results, Row, unreliable_judges
from mmdia_eval.submission import printable

NOT_COMPARABLE = "These scores are not comparable with a paper's; they are not ranked."
WORD_ERRORS = ("insertions", "deletions", "substitutions")


def print_results(results: Results, rows: Sequence[Row], console: Console | None = None) -> None:
    """One system's results; the last line is the cpWER in Kaldi's manner, where it was scored."""
    console = console or plain_console()
    print_lines(console, header_lines(results))
    console.print()
    console.print(_metrics_table(results, console))
    console.print()
    _print_figures(console, results.metrics)
    print_lines(console, _not_run_lines([results]))
    print_lines(console, judge_lines(results.provenance.judges))
    print_lines(console, [f"warning: {warning}" for warning in results.warnings], "yellow")
    print_lines(console, summary_lines(results, rows))


SYSTEM = "system"
WIDEST_NAME = 20
"""Characters of a system's name that stay in one line of a narrow terminal."""


class _Column(NamedTuple):
    """A metric's heading, and a cell for each system; lines of text in either."""

    heading: list[str]
    cells: list[str]

    @property
    def width(self) -> int:
        texts = (*self.heading, *self.cells)
        return max(cell_len(line) for text in texts for line in text.splitlines())


def print_systems(scored: Sequence[Results], console: Console | None = None) -> None:
    """Several systems' values side by side, one column a metric; all of one split and protocol.

    Columns that do not fit beside the others follow in a table below, none is cut. A metric that no
    system was measured on is no column: a line below says why.
    """
    console = console or plain_console()
    names = [Text(printable(results.system.name)) for results in scored]
    longest = min(max(map(cell_len, (SYSTEM, *(name.plain for name in names)))), WIDEST_NAME)
    metrics = {metric.name: metric for results in scored for metric in results.metrics}
    columns = [
        _Column(_heading(metric, console), [_cell(results, name) for results in scored])
        for name, metric in metrics.items()
    ]
    for number, together in enumerate(_side_by_side(columns, console.width - longest - 1)):
        if number:
            console.print()
        console.print(_systems_table(names, longest, together))
    print_lines(console, _not_run_lines(scored))
    print_lines(console, [line for results in scored for line in _gaps(results)])


def _side_by_side(columns: Sequence[_Column], width: int) -> Iterator[list[_Column]]:
    """The columns in their order, as many at a time as are no wider together."""
    together: list[_Column] = []
    for column in columns:
        if together and sum(one.width + 1 for one in (*together, column)) > width + 1:
            yield together
            together = []
        together.append(column)
    yield together


def _systems_table(names: Sequence[Text], longest: int, columns: Sequence[_Column]) -> Table:
    table = plain_table()
    height = max((len(column.heading) for column in columns), default=1)
    table.add_column("\n" * (height - 1) + SYSTEM, overflow="fold", min_width=longest)
    for column in columns:
        above = [""] * (height - len(column.heading))
        table.add_column(
            "\n".join([*above, *column.heading]),
            justify="right",
            overflow="fold",
            min_width=column.width,
        )
    for name, *cells in zip(names, *(column.cells for column in columns), strict=True):
        table.add_row(name, *cells)
    return table


def _cell(results: Results, name: str) -> str:
    """A system's value of a metric."""
    for metric in results.metrics:
        if metric.name == name:
            return _value(metric)
    not_run = any(one.name == name for one in results.not_run)
    return display.NOT_RUN if not_run else display.NO_VALUE


def _heading(metric: MetricResult, console: Console) -> list[str]:
    companion = [f"({printable(metric.companion)})"] if metric.companion else []
    return [*printable(metric.name).split("_"), *companion, unit_and_arrow(metric, console)]


def _value(metric: MetricResult) -> str:
    """The value, over its companion where it has one."""
    value, companion = display.number(metric, metric.value), display.companion(metric)
    return value if companion is None else f"{value}\n({companion})"


def _not_run_lines(scored: Sequence[Results]) -> Iterator[str]:
    """What was not measured, a line for each reason."""
    names: dict[str, dict[str, None]] = {}
    for results in scored:
        for one in results.not_run:
            names.setdefault(one.reason, {})[one.name] = None
    yield from (f"not run: {', '.join(which)}: {reason}" for reason, which in names.items())


def judge_lines(judges: Sequence[JudgeRecord]) -> Iterator[str]:
    """Who judged and what it took; then how the controls ended, once where judges share them."""
    for judge in judges:
        cost = "cost not known" if judge.cost is None else f"${judge.cost:,.4f}"
        prompt = f", prompt #{judge.prompt_sha256[:8]}" if judge.prompt_sha256 else ""
        yield (
            f"{judge.role}: judged by {judge.judge}, answered by {judge.answered}{prompt}; "
            f"{judge.calls:,} calls, {judge.input_tokens:,} tokens in, {judge.output_tokens:,} "
            f"out, {cost}; {judge.draws_unread} of {judge.draws} replies could not be read"
        )
    trials = {(str(judge.controls), judge.reliable, judge.reason): judge for judge in judges}
    for key, judge in trials.items():
        same = [j.role for j in judges if (str(j.controls), j.reliable, j.reason) == key]
        verdict = {True: "reliable", False: "UNRELIABLE", None: "reliability not known"}
        reason = f": {judge.reason}" if judge.reason else ""
        yield f"{' and '.join(same)}: {verdict[judge.reliable]}{reason}"
        if judge.controls is not None:
            asked = judge.controls
            figures = "; ".join(map(display.control, asked.controls))
            yield f"  controls ({asked.mode}, against {asked.condition}): {figures}"


def plain_console() -> Console:
    """A console on standard output that takes no text for markup and guesses at no highlights."""
    return Console(markup=False, highlight=False, emoji=False)


def plain_table() -> Table:
    """A table without lines, narrow enough for eight metrics in 80 columns."""
    return Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")


def print_lines(console: Console, lines: Sequence[str] | Iterator[str], style: str = "") -> None:
    """Print each line whole, for the terminal to wrap, with escapes for what is not printable."""
    for line in lines:
        console.print(Text(printable(line)), style=style, soft_wrap=True)


def unit_and_arrow(metric: display.Measured, console: Console) -> str:
    """The unit a metric is shown in, and an arrow to where better is."""
    return f"{printable(display.unit(metric))} {arrow(metric, console)}"


def arrow(metric: display.Measured, console: Console) -> str:
    """Where better is, in what the console can show; nothing for a diagnostic."""
    shown = display.arrow(metric)
    return {"↑": "^", "↓": "v"}.get(shown, "") if console.options.ascii_only else shown


def header_lines(results: Results) -> list[str]:
    """Who was scored on what, and what the numbers may not be used for."""
    style = f", style as {results.style}" if results.style else ""
    lines = [
        f"{results.system.name}: task {results.task}, split {results.split}{style} of "
        f"{results.benchmark.name} {results.benchmark.version} "
        f"({results.benchmark.dialogues} dialogues)",
        f"protocol {results.protocol.name} {results.protocol.version}, {results.verification}"
        + (f", sandbox: {opened}" if (opened := results.provenance.sandbox) else ""),
    ]
    if not results.protocol.comparable:
        lines.append(NOT_COMPARABLE)
    if results.status == "provisional":
        lines.append("PROVISIONAL: dialogues failed; run the same command again to try just those.")
    return lines


def summary_lines(results: Results, rows: Sequence[Row]) -> Iterator[str]:
    """A line in Kaldi's manner for each metric that counts word errors, cpWER last.

    `%cpWER 27.17 [ 25 / 92, 8 ins, 15 del, 2 sub ] 198/200 scored, 2 missing`
    """
    for metric in sorted(results.metrics, key=lambda metric: metric.name == "cpwer"):
        counted = [row.counts for row in rows if row.metric == metric.name and row.counts_in]
        if not counted or not counted[0].keys() >= {*WORD_ERRORS, "words"}:
            continue
        if metric.settings.get("aggregation") == "dialogues":
            continue  # Its value is not the errors over the words.
        total = {name: round(math.fsum(c[name] for c in counted)) for name in counted[0]}
        errors = sum(total[name] for name in WORD_ERRORS)
        kinds = ", ".join(f"{total[name]} {name[:3]}" for name in WORD_ERRORS)
        yield (
            f"%{metric.name.replace('wer', 'WER')} {display.number(metric, metric.value)} "
            f"[ {errors} / {total['words']}, {kinds} ] {display.coverage(metric.coverage)}"
        )


def _metrics_table(results: Results, console: Console) -> Table:
    """One row a metric; an outcome that no dialogue had gets no column."""
    metrics, doubted = results.metrics, unreliable_judges(results)
    table = plain_table()
    levels = sorted({metric.interval.level for metric in metrics if metric.interval})
    table.add_column("metric", overflow="fold")
    table.add_column("value", justify="right", style="bold", no_wrap=True)
    table.add_column("unit", overflow="fold")
    table.add_column(", ".join(f"{100 * level:g} %" for level in levels), no_wrap=True)
    table.add_column("scored", justify="right", no_wrap=True)
    others = [
        name
        for name in ("missing", "not_applicable", "failed")
        if any(getattr(metric.coverage, name) for metric in metrics)
    ]
    for name in others:
        title = "n/a" if name == "not_applicable" else name
        table.add_column(title, justify="right", no_wrap=True)
    for metric in metrics:
        table.add_row(
            Text(printable(metric.name)),
            display.number(metric, metric.value),
            Text(unit_and_arrow(metric, console)),
            Text(display.interval(metric, metric.interval)),
            f"{metric.coverage.scored}/{metric.coverage.expected}",
            *(str(getattr(metric.coverage, name)) for name in others),
        )
        if companion := display.companion(metric):
            table.add_row(Text(f"  {printable(str(metric.companion))}"), companion)
        if metric.name in doubted:
            table.add_row(Text(f"  {display.UNRELIABLE}", "yellow"))
    return table


def _print_figures(console: Console, metrics: Sequence[MetricResult]) -> None:
    """Each metric's components, and the first of its signature's sha256 to compare runs by."""
    console.print("components, with ratios from 0 to 1; #: the signature, in full in the file")
    grid = Table.grid(padding=(0, 2))
    for metric in metrics:
        figures = [
            f"{printable(name)}={display.short(value)}"
            for name, value in metric.components.items()
            if "." not in name  # Cells of a matrix: in the file.
        ]
        mark = "#" + hashlib.sha256(metric.signature.encode()).hexdigest()[:8]
        grid.add_row(Text(f"  {printable(metric.name)}"), mark, Text(", ".join(figures)))
    console.print(grid)


def _gaps(results: Results) -> Iterator[str]:
    """How far a system was scored, where outputs are missing or dialogues failed."""
    coverages = (metric.coverage for metric in results.metrics)
    partial = dict.fromkeys(display.coverage(c) for c in coverages if c.missing or c.failed)
    if partial:
        yield f"{results.system.name}: {'; '.join(partial)}"
    if doubted := unreliable_judges(results):
        yield f"{results.system.name}: {display.UNRELIABLE}: {', '.join(doubted)}"
