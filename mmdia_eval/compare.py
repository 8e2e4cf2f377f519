"""Is one system better than another? Paired by dialogue, over two results files and their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from mmdia_eval import display, report
from mmdia_eval.api import Counts, Metric
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.manifest import problems_of
from mmdia_eval.registry import metric as metrics
from mmdia_eval.results import Interval, MetricResult, Record, Results, Row, Sha256, judge_of
from mmdia_eval.results_files import canonical_json, read_results, read_rows
from mmdia_eval.statistics import LEVEL, PairedTest, corpus_value, holm, paired_test
from mmdia_eval.submission import printable

SIGNIFICANT = 1 - LEVEL


class Compared(Record):
    """One side of a comparison: the system, and the rows that were paired."""

    system: str
    style: str | None
    rows_sha256: Sha256 | None


class MetricComparison(Record):
    """One metric of two systems over the dialogues that count for both.

    `a` and `b` are the values over those `pairs`, `difference` is b - a with its interval.
    `p_value` is two-sided, `p_holm` adjusted for all metrics tested. Not tested, so without
    either: a diagnostic, which has no better side, and a metric under which no dialogue differs,
    which no test could reject (Tarone 1990). `better` is the side with
    the better value, None for equal values and for a diagnostic; `significant` says whether
    `p_holm` is below 1 - the interval's level. `excluded` dialogues failed on either side.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    a: float | None
    b: float | None
    difference: float | None
    interval: Interval | None
    p_value: float | None
    p_holm: float | None
    better: Literal["a", "b"] | None
    significant: bool
    pairs: int
    excluded: int


class Comparison(Record):
    """Two systems under one protocol on one split; provisional where dialogues failed."""

    schema_version: Literal["1.0"] = "1.0"
    status: Literal["complete", "provisional"]
    task: int
    split: str
    protocol: str
    comparable: bool
    a: Compared
    b: Compared
    metrics: list[MetricComparison]
    warnings: list[str]


@dataclass(frozen=True)
class _Side:
    """A results file with its rows by metric and dialogue."""

    path: Path
    results: Results
    rows: Mapping[str, Mapping[str, Row]]

    @property
    def metrics(self) -> dict[str, MetricResult]:
        return {metric.name: metric for metric in self.results.metrics}


@dataclass(frozen=True)
class _Pairs:
    """The counts of one metric for two systems, dialogue by dialogue."""

    result: MetricResult
    metric: Metric
    a: Sequence[Counts]
    b: Sequence[Counts]
    groups: Sequence[str | None]
    excluded: int


def compare(a: Path, b: Path) -> Comparison:
    """Compare the systems of two results files on the metrics that both have.

    Raises:
        UserError: the two are not of one task, split, protocol and metric versions, their rows
            are missing or damaged, or they disagree about what applies to which dialogue.
    """
    first, second = _side(a), _side(b)
    _check_alike(first, second)
    common = [name for name in first.metrics if name in second.metrics]
    paired = [_pair(name, first, second) for name in common if _same_judge(name, first, second)]
    # A test's difference is its first system less its second.
    tests = [
        paired_test(pairs.b, pairs.a, pairs.metric.reduce, groups=pairs.groups) for pairs in paired
    ]
    tests = [
        test if _testable(pairs) else replace(test, p_value=None)
        for pairs, test in zip(paired, tests, strict=True)
    ]
    adjusted = _holm([test.p_value for test in tests])
    compared = [
        _metric_comparison(pairs, test, p_holm)
        for pairs, test, p_holm in zip(paired, tests, adjusted, strict=True)
    ]
    return Comparison(
        status="provisional" if any(metric.excluded for metric in compared) else "complete",
        task=first.results.task,
        split=first.results.split,
        protocol=f"{first.results.protocol.name} {first.results.protocol.version}",
        comparable=first.results.protocol.comparable,
        a=_compared(first.results),
        b=_compared(second.results),
        metrics=compared,
        warnings=_warnings(first, second),
    )


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """The comparison as a table, one row a metric."""
    console = console or report.plain_console()
    table = report.plain_table()
    table.add_column("metric", no_wrap=True)
    for title in ("A", "B", "B - A"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(f"{100 * LEVEL:g} %", no_wrap=True)
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for metric in comparison.metrics:
        table.add_row(
            Text(f"{printable(metric.name)} {report.arrow(metric, console)}"),
            display.number(metric, metric.a),
            display.number(metric, metric.b),
            display.number(metric, metric.difference, "+"),
            Text(display.interval(metric, metric.interval, "+")),
            display.NO_VALUE if metric.p_holm is None else f"{metric.p_holm:.4f}",
            (metric.better or display.NO_VALUE).upper() if metric.significant else display.NO_VALUE,
        )
    report.print_lines(console, _header_lines(comparison))
    console.print()
    console.print(table)
    console.print()
    report.print_lines(console, [_legend(), *(f"warning: {w}" for w in comparison.warnings)])


def _legend() -> str:
    return (
        f"better: a side, where p (Holm) < {SIGNIFICANT:.2g}; p: two-sided, over the metrics with "
        "a direction under which the systems differ at all"
    )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the comparison as canonical JSON, ratios from 0 to 1."""
    write_atomic(path, canonical_json(comparison.model_dump(mode="json")))


def _side(path: Path) -> _Side:
    results = read_results(path)
    rows: dict[str, dict[str, Row]] = {metric.name: {} for metric in results.metrics}
    for row in read_rows(path):
        of_metric = rows.get(row.metric)
        if of_metric is None or row.dialogue in of_metric:
            raise UserError(
                f"{path}: its rows hold {row.metric} of dialogue {row.dialogue} "
                f"{'without a result' if of_metric is None else 'twice'}; score again"
            )
        of_metric[row.dialogue] = row
    for metric in results.metrics:
        if len(rows[metric.name]) != metric.coverage.expected:
            raise UserError(
                f"{path}: {metric.name} expects {metric.coverage.expected} dialogues, its rows are "
                f"of {len(rows[metric.name])}; score again"
            )
    return _Side(path, results, rows)


def _check_alike(a: _Side, b: _Side) -> None:
    """Refuse two files whose numbers do not mean the same."""
    first, second = a.results, b.results
    facts = [
        ("task", first.task, second.task),
        ("split", first.split, second.split),
        ("content of the split", first.benchmark.split_sha256, second.benchmark.split_sha256),
        ("protocol", _protocol(first), _protocol(second)),
        *(
            (f"version of {name}", _version(metric), _version(b.metrics[name]))
            for name, metric in a.metrics.items()
            if name in b.metrics
        ),
    ]
    problems = [
        f"the {what} differs: {one} and {other}" for what, one, other in facts if one != other
    ]
    if problems:
        raise ProblemsError(
            [f"{a.path} and {b.path} cannot be compared:"]
            + [f"  {problem}" for problem in problems]
            + ["score both systems again on the same split with the same protocol"]
        )
    if not a.metrics.keys() & b.metrics.keys():
        raise UserError(f"{a.path} and {b.path} have no metric in common; score both with one")


def _protocol(results: Results) -> str:
    protocol = results.protocol
    return f"{protocol.name} {protocol.version} (sha256 {protocol.sha256[:8]})"


def _version(metric: MetricResult) -> str:
    return f"{metric.metric} {metric.version}"


def _same_judge(name: str, a: _Side, b: _Side) -> bool:
    """Whether a metric rests on one judge's answers to one question, or on no judge's."""
    one, other = (judge_of(side.results, name) for side in (a, b))
    return (one and one.voice) == (other and other.voice)


def _pair(name: str, a: _Side, b: _Side) -> _Pairs:
    """The counts of the dialogues that count on both sides, in the order of their ids."""
    metric = metric_of(a.path, a.metrics[name])
    rows_a, rows_b = a.rows[name], b.rows[name]
    for what, ids_a, ids_b in (
        ("has rows for", set(rows_a), set(rows_b)),
        ("is not applicable to", _not_applicable(rows_a), _not_applicable(rows_b)),
    ):
        if ids_a != ids_b:
            raise UserError(
                f"{a.path} and {b.path} cannot be compared: {name} {what} other dialogues in one "
                f"than in the other, for instance {min(ids_a ^ ids_b)}; score both systems again"
            )
    applicable = sorted(set(rows_a) - _not_applicable(rows_a))
    both = [id_ for id_ in applicable if rows_a[id_].counts_in and rows_b[id_].counts_in]
    for side, rows in ((a, rows_a), (b, rows_b)):
        if odd := next((id_ for id_ in both if set(rows[id_].counts) != set(metric.fields)), None):
            raise UserError(
                f"{side.path}: its row of {name} for {odd} counts {', '.join(rows[odd].counts)}, "
                f"where {metric.name} counts {', '.join(metric.fields)}; score the system again"
            )
    return _Pairs(
        a.metrics[name],
        metric,
        [rows_a[id_].counts for id_ in both],
        [rows_b[id_].counts for id_ in both],
        [rows_a[id_].group for id_ in both],
        excluded=len(applicable) - len(both),
    )


def _not_applicable(rows: Mapping[str, Row]) -> set[str]:
    return {id_ for id_, row in rows.items() if row.status == "not_applicable"}


def metric_of(path: Path, result: MetricResult) -> Metric:
    """The registered metric, as it was set when the file at `path` was written.

    Raises:
        UserError: there is none, it has another version here, or other settings.
    """
    cls = metrics.get(result.metric)
    if cls.version != result.version:
        raise UserError(
            f"{path}: {result.name} is of version {result.version} of {result.metric}, "
            f"this mmdia-eval has version {cls.version}; score both systems again"
        )
    try:
        return cls(cls.Settings.model_validate_json(json.dumps(result.settings)))
    except ValidationError as error:
        raise UserError(f"{path}: settings of {result.name}: {problems_of(error)[0]}") from None


def _testable(pairs: _Pairs) -> bool:
    return pairs.metric.higher_is_better is not None and list(pairs.a) != list(pairs.b)


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(holm([p for p in p_values if p is not None]))
    return [None if p is None else next(adjusted) for p in p_values]


def _metric_comparison(pairs: _Pairs, test: PairedTest, p_holm: float | None) -> MetricComparison:
    result = pairs.result
    better: Literal["a", "b"] | None = None
    if test.difference and result.higher_is_better is not None:
        better = "b" if (test.difference > 0) == result.higher_is_better else "a"
    return MetricComparison(
        name=result.name,
        unit=result.unit,
        higher_is_better=result.higher_is_better,
        a=corpus_value(pairs.a, pairs.metric.reduce),
        b=corpus_value(pairs.b, pairs.metric.reduce),
        difference=test.difference,
        interval=Interval(**vars(test.interval)) if test.interval else None,
        p_value=test.p_value,
        p_holm=p_holm,
        better=better,
        significant=p_holm is not None and p_holm < SIGNIFICANT,
        pairs=test.dialogues,
        excluded=pairs.excluded,
    )


def _compared(results: Results) -> Compared:
    return Compared(
        system=results.system.name, style=results.style, rows_sha256=results.rows_sha256
    )


def _warnings(a: _Side, b: _Side) -> list[str]:
    """What a reader should know although the two may be compared."""
    warnings = []
    for name in dict.fromkeys([*a.metrics, *b.metrics]):
        if name not in a.metrics or name not in b.metrics:
            warnings.append(f"{name} is only in {(a if name in a.metrics else b).path}")
        elif not _same_judge(name, a, b):
            warnings.append(f"{name} is left out: different judges, or other questions")
        elif a.metrics[name].signature != b.metrics[name].signature:
            warnings.append(
                f"{name} was not computed alike: {a.metrics[name].signature} "
                f"and {b.metrics[name].signature}"
            )
    if a.results.style != b.results.style:
        warnings.append(f"the style was given as {a.results.style} to A, {b.results.style} to B")
    return warnings


def _header_lines(comparison: Comparison) -> list[str]:
    lines = [
        f"A: {comparison.a.system}",
        f"B: {comparison.b.system}",
        f"task {comparison.task}, split {comparison.split}, protocol {comparison.protocol}, "
        "paired by dialogue",
    ]
    if not comparison.comparable:
        lines.append(report.NOT_COMPARABLE)
    excluded = [f"{m.excluded} of {m.name}" for m in comparison.metrics if m.excluded]
    if excluded:
        lines.append(f"PROVISIONAL: pairs left out as failed: {', '.join(excluded)}")
    return lines
