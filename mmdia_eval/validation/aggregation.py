"""Every figure of the results once more, from the rows and with the registered metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from mmdia_eval.api import Counts, Metric, SetMetric
from mmdia_eval.results import Coverage, Interval, MetricResult, Row
from mmdia_eval.scoring import bootstrap, finite
from mmdia_eval.statistics import corpus_value
from mmdia_eval.types import Dialogue
from mmdia_eval.validation.context import Context, close, counting, metric_of, rows_of
from mmdia_eval.validation.entry import Entry, Numbered, Run
from mmdia_eval.validation.findings import Finding, found

MOST_ROWS = 20_000
"""Rows of a metric that are added up: resampling holds 2,000 times as many numbers."""


def check_rows(entry: Entry, context: Context) -> Iterator[Finding]:
    """Each dialogue once under each metric, with the metric's own counts and value."""
    for run in entry.runs:
        if run.rows is None:
            continue
        dialogues = context.dialogues(run)
        yield from _complete(run, dialogues)
        for result in run.results.metrics:
            metric = metric_of(result)
            if metric is not None:
                for one in rows_of(run, result.name):
                    dialogue = (dialogues or {}).get(one.row.dialogue)
                    for code, why in _row(metric, one.row, dialogue):
                        what = f"{result.name} of {one.row.dialogue}: {why}"
                        yield found(code, what, run.rows_file, one.line)


def _complete(run: Run, dialogues: Mapping[str, Dialogue] | None) -> Iterator[Finding]:
    names = [result.name for result in run.results.metrics]
    seen: dict[tuple[str, str], int] = {}
    rows = run.rows or ()
    for one in rows:
        key = one.row.dialogue, one.row.metric
        what = f"{one.row.metric} of {one.row.dialogue}"
        if one.row.metric not in names or (dialogues and one.row.dialogue not in dialogues):
            yield found("rows-unknown", what, run.rows_file, one.line)
        elif key in seen:
            yield found("rows-twice", f"{what}, line {seen[key]} too", run.rows_file, one.line)
        seen[key] = one.line
    for id_ in dialogues or dict.fromkeys(one.row.dialogue for one in rows):
        for name in names:
            if (id_, name) not in seen:
                yield found("rows-incomplete", f"{name} of {id_}", run.rows_file)


def _row(metric: Metric, row: Row, dialogue: Dialogue | None) -> Iterator[tuple[str, str]]:
    """Codes, each with what is wrong with the row."""
    if row.counts_in:
        if set(row.counts) != set(metric.fields):
            odd = sorted(set(row.counts) ^ set(metric.fields))
            yield "row-fields", f"the counts differ in {', '.join(odd)}"
            return
        value = corpus_value([row.counts], metric.reduce)
        if not close(row.value, value):
            yield "row-value", f"the value is {row.value}, its counts give {value}"
    if dialogue is None:
        return
    if row.group != dialogue.group:
        yield "row-reference", f"the group is {row.group}, not {dialogue.group}"
    why_not = metric.not_applicable(dialogue)
    if (why_not is None) != (row.status != "not_applicable"):
        yield "row-applicable", f"{row.status}, but {why_not or 'the metric applies'}"
    elif row.counts_in:
        yield from _against_worst(metric, row, metric.worst(dialogue))


def _against_worst(metric: Metric, row: Row, worst: Counts) -> Iterator[tuple[str, str]]:
    missing = row.status == "missing"
    fields = metric.fields if missing else metric.reference_fields
    for field in fields:
        said, expected = row.counts[field], float(worst[field])
        if not close(said, expected):
            code = "row-worst" if missing else "row-reference"
            yield code, f"{field} is {said:g}, not {expected:g}"


def check_values(entry: Entry, context: Context) -> Iterator[Finding]:
    """Value, interval, components and coverage of each metric against its rows."""
    for run in entry.runs:
        for result in run.results.metrics if run.rows is not None else ():
            yield from _value(run, result)


def _value(run: Run, result: MetricResult) -> Iterator[Finding]:
    metric, rows = metric_of(result), rows_of(run, result.name)
    name = result.name
    if len(rows) > MOST_ROWS:
        yield found("file-too-large", f"{len(rows):,} rows of {name}", run.rows_file)
        return
    if (coverage := _coverage(rows)) != result.coverage:
        yield found(
            "coverage-differs",
            f"{name}: {_said(result.coverage)}; of its rows {_said(coverage)}",
            run.file,
            run.line(name, "coverage"),
        )
    if metric is None or any(set(r.counts) != set(metric.fields) for r in counting(rows)):
        return
    counts = [row.counts for row in counting(rows)]
    components = finite(metric.components(counts)) if counts else {}
    yield from _components(run, result, components, isinstance(metric, SetMetric))
    if isinstance(metric, SetMetric):
        yield found("value-of-set", name, run.file, run.line(name, "value"))
        return
    value = corpus_value(counts, metric.reduce)
    if not close(result.value, value):
        yield found(
            "value-differs",
            f"{name}: {result.value}, of its rows {value}",
            run.file,
            run.line(name, "value"),
        )
    drawn = bootstrap(metric, [one.row for one in rows], [one.row.group for one in rows])
    interval = Interval(**asdict(drawn)) if drawn and value is not None else None
    if not _same(result.interval, interval):
        yield found(
            "interval-differs",
            f"{name}: {_bounds(result.interval)}, of its rows {_bounds(interval)}",
            run.file,
            run.line(name, "interval"),
        )


def _components(
    run: Run, result: MetricResult, components: Mapping[str, float], of_set: bool
) -> Iterator[Finding]:
    # Those of a set come from the features themselves, which are not here.
    for name in components.keys() if of_set else components.keys() | result.components.keys():
        said, is_ = result.components.get(name), components.get(name)
        if not close(said, is_):
            yield found(
                "component-differs",
                f"{result.name}: {name} is {said}, of its rows {is_}",
                run.file,
                run.line(result.name, "components", name),
            )


def _coverage(rows: list[Numbered]) -> Coverage:
    statuses = Counter(one.row.status for one in rows)
    return Coverage(
        expected=len(rows),
        scored=statuses["scored"],
        missing=statuses["missing"],
        not_applicable=statuses["not_applicable"],
        failed=statuses["failed"],
    )


def _same(one: Interval | None, other: Interval | None) -> bool:
    if one is None or other is None:
        return one is other
    bounds = close(one.lower, other.lower) and close(one.upper, other.upper)
    return bounds and one.model_copy(update={"lower": 0.0, "upper": 0.0}) == other.model_copy(
        update={"lower": 0.0, "upper": 0.0}
    )


def _bounds(interval: Interval | None) -> str:
    if interval is None:
        return "none"
    return (
        f"[{interval.lower!r}, {interval.upper!r}] at {interval.level} "
        f"({interval.resamples} resamples, seed {interval.seed})"
    )


def _said(coverage: Coverage) -> str:
    return ", ".join(f"{count} {name}" for name, count in coverage.model_dump().items())
