"""Could a measurement have given these figures?

Errors are what cannot be; warnings are what a maintainer should ask about.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from mmdia_eval import display
from mmdia_eval.metrics.av_lag import LONGEST
from mmdia_eval.metrics.lpips import FARTHEST
from mmdia_eval.metrics.wer import ERROR_FIELDS
from mmdia_eval.results import MetricResult, Results, Row
from mmdia_eval.validation.context import Context, close, counting, rows_of
from mmdia_eval.validation.digits import few_decimals, uneven_digits
from mmdia_eval.validation.entry import Entry, Run
from mmdia_eval.validation.findings import Finding, found

ROUNDING = 1e-9
"""By which a value may leave its range."""

RANGES: Mapping[str, tuple[float, float]] = {
    "accuracy": (0, 1),
    "correlation": (-1, 1),
    "cosine": (-1, 1),
    "distance": (0, math.inf),
    "LPIPS": (0, FARTHEST),
    "MOS": (1, 5),
    "ms": (0, LONGEST),
    "points": (1, 5),
    "ratio": (0, math.inf),
    "share": (0, 1),
    "speakers": (0, math.inf),
    "SSIM": (-1, 1),
}
"""What a value of a unit can be."""
METRIC_RANGES: Mapping[str, tuple[float, float]] = {
    "kvd": (-math.inf, math.inf),
    "turn_order_accuracy": (0, 1),
}
"""Metrics whose range is another than their unit's; KVD is unbiased, so it can fall below 0."""

WHOLE_ROWS = ("judge_score", "speaker_count_error")
"""Metrics that give each dialogue a whole number, so that a mean is a whole number over n: the test
of granularity of Brown and Heathers 2017 (GRIM), here with the mean's full precision."""

LSE_SUM = 9.0, 18.0
"""LSE-C + LSE-D is SyncNet's median distance; 200 clips gave 9.9 to 17.1."""

CONTINUOUS = ("cosine", "MOS", "correlation", "dB", "SSIM", "luma")
"""Units of measurements: two dialogues with equal values are a coincidence."""
EASY = ("accuracy", "speakers")
"""Units in which a good system can be right every time."""
FEWEST_ROWS = 5
"""Rows below which equal values say nothing."""
MOST_REPEATED = 0.1
"""Share of rows that may repeat another's continuous value."""


def check_ranges(entry: Entry, context: Context) -> Iterator[Finding]:
    """Values of dialogues and of splits within what the metric can give."""
    for run in entry.runs:
        for result in run.results.metrics:
            low, high = value_range(result)
            what = f"outside {low:g} to {high:g}"
            if result.value is not None and not _inside(result.value, low, high):
                line = run.line(result.name, "value")
                yield found(
                    "value-range", f"{result.name}: {result.value} is {what}", run.file, line
                )
            for one in rows_of(run, result.name):
                value = one.row.value
                if value is not None and not _inside(value, low, high):
                    message = f"{result.name} of {one.row.dialogue}: {value} is {what}"
                    yield found("value-range", message, run.rows_file, one.line)


def value_range(result: MetricResult) -> tuple[float, float]:
    """Lowest and highest value that the metric can give."""
    everything = -math.inf, math.inf
    return METRIC_RANGES.get(result.metric, RANGES.get(result.unit, everything))


def _inside(value: float, low: float, high: float) -> bool:
    return low - ROUNDING <= value <= high + ROUNDING


def check_word_counts(entry: Entry, context: Context) -> Iterator[Finding]:
    """Word errors that an alignment can give: whole, and no more than there are words."""
    for run in entry.runs:
        whole_script = {
            result.name
            for result in run.results.metrics
            if result.settings.get("words", "whitespace") == "whitespace"
        }
        for one in run.rows or ():
            counts = one.row.counts
            counted = counts.keys() >= set(ERROR_FIELDS) and one.row.metric in whole_script
            if counted and (problem := _word_problem(counts)):
                what = f"{one.row.metric} of {one.row.dialogue}: {problem}"
                yield found("word-counts", what, run.rows_file, one.line)


def _word_problem(counts: Mapping[str, float]) -> str | None:
    kinds = ("substitutions", "deletions", "insertions", "words")
    odd = [kind for kind in kinds if counts[kind] < 0 or counts[kind] % 1]
    if odd:
        return f"{odd[0]} is {counts[odd[0]]:g}"
    lost = counts["substitutions"] + counts["deletions"]
    if lost > counts["words"]:
        return f"{lost:g} of {counts['words']:g} words substituted or deleted"
    errors = lost + counts["insertions"]
    rate = errors / counts["words"] if counts["words"] else 0.0
    if not close(counts["rate"], rate):
        return f"rate is {counts['rate']:g}, of its errors {rate:g}"
    return None


def check_judges(entry: Entry, context: Context) -> Iterator[Finding]:
    """Means that whole scores can give, and scores that are whole."""
    for run in entry.runs:
        for result in run.results.metrics:
            if result.metric not in WHOLE_ROWS:
                continue
            n = result.coverage.scored + result.coverage.missing
            if result.value is not None and abs(result.value * n - round(result.value * n)) > 1e-6:
                yield found(
                    "grim",
                    f"{result.name}: no {n} whole scores have the mean {result.value}",
                    run.file,
                    run.line(result.name, "value"),
                )
            for one in rows_of(run, result.name):
                if one.row.value is not None and one.row.value % 1:
                    what = f"{result.name} of {one.row.dialogue}: {one.row.value} is not whole"
                    yield found("grim", what, run.rows_file, one.line)


def check_lip_sync(entry: Entry, context: Context) -> Iterator[Finding]:
    """LSE-C and LSE-D of the same clips."""
    low, high = LSE_SUM
    for run in entry.runs:
        for result in run.results.metrics:
            total = result.components.get("c_plus_d")
            if total is not None and not low <= total <= high:
                yield found(
                    "lse-sum",
                    f"{result.name}: C + D is {total:.2f}, outside {low:g} to {high:g}",
                    run.file,
                    run.line(result.name, "components", "c_plus_d"),
                )


def check_suspicious(entry: Entry, context: Context) -> Iterator[Finding]:
    """Figures that can be, and seldom are."""
    for run in entry.runs:
        for result in run.results.metrics:
            line = run.line(result.name, "value")
            rows = [row for row in counting(rows_of(run, result.name)) if row.status == "scored"]
            for code, why in _odd_rows(result, rows):
                yield found(code, f"{result.name}: {why}", run.file, line)
            for reference in context.references:
                if beyond := _beyond(run, result, reference):
                    what = f"{result.name}: {beyond}"
                    yield found("better-than-reference", what, run.file, line)


def _odd_rows(result: MetricResult, rows: list[Row]) -> Iterator[tuple[str, str]]:
    values = [row.value for row in rows if row.value is not None]
    if len(values) < FEWEST_ROWS:
        return
    best = _best(result)
    if set(values) == {best}:
        if result.unit not in EASY:
            yield "value-perfect", f"exactly {display.short(best)} for all {len(values)} dialogues"
        return
    if len(set(values)) == 1 and result.unit not in EASY:
        yield "rows-constant", f"{values[0]} for all {len(values)} dialogues"
        return
    if result.unit in CONTINUOUS:
        ends = value_range(result)  # where scores are clipped, they are equal
        inner = Counter(value for value in values if value not in ends)
        repeated = sum(count - 1 for count in inner.values())
        if repeated > MOST_REPEATED * len(values):
            yield "rows-repeated", f"{repeated} of {len(values)} values repeat another"
        if (decimals := few_decimals(values)) is not None:
            yield "digits-rounded", f"no value has more than {decimals} decimals"
        elif (p_value := uneven_digits(values)) is not None:
            yield "digits-uneven", f"p = {p_value:.1g} for evenly spread digits (chi-squared)"


def _best(result: MetricResult) -> float:
    if result.higher_is_better is None:
        return math.nan
    return value_range(result)[1 if result.higher_is_better else 0]


def _beyond(run: Run, result: MetricResult, reference: Results) -> str | None:
    """By how much a value is better than the ground truth's interval, or None."""
    mine = run.results
    same = (mine.task, mine.benchmark.split_sha256, mine.protocol.sha256)
    theirs = (reference.task, reference.benchmark.split_sha256, reference.protocol.sha256)
    if same != theirs or result.value is None or result.higher_is_better is None:
        return None
    truth = next((one for one in reference.metrics if one.name == result.name), None)
    if truth is None or truth.interval is None or truth.version != result.version:
        return None
    limit = truth.interval.upper if result.higher_is_better else truth.interval.lower
    better = result.value > limit if result.higher_is_better else result.value < limit
    said = display.number(result, result.value)
    return (
        f"{said}, the ground truth's interval ends at {display.number(result, limit)}"
        if better
        else None
    )
