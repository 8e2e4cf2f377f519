"""How numbers are shown, alike in the terminal and on the page."""

from __future__ import annotations

from typing import Protocol

from mmdia_eval.results import ControlRecord, Coverage, Interval, MetricResult

NO_VALUE = "-"
NOT_RUN = "not run"
UNRELIABLE = "unreliable judge"
DECIMALS = {"ms": 0}
"""By unit, where not three."""


class Measured(Protocol):
    """Anything with a unit and a direction: a metric's result, or a comparison of two."""

    @property
    def unit(self) -> str: ...
    @property
    def higher_is_better(self) -> bool | None: ...


def is_percent(metric: Measured) -> bool:
    """Whether a metric's ratio is shown times 100: rates are, a diagnostic that is best near 1 not.

    Files hold ratios from 0 to 1 in either case.
    """
    return metric.unit == "ratio" and metric.higher_is_better is not None


def unit(metric: Measured) -> str:
    """The unit in which `number` shows the metric."""
    return "%" if is_percent(metric) else metric.unit


def arrow(metric: Measured) -> str:
    """An arrow to where better is; nothing for a diagnostic."""
    if metric.higher_is_better is None:
        return ""
    return "↑" if metric.higher_is_better else "↓"


def number(metric: Measured, value: float | None, sign: str = "") -> str:
    """A value of `metric`, or a difference of two with `sign` "+", in the unit it is shown in."""
    if value is None:
        return NO_VALUE
    if is_percent(metric):
        return f"{100 * value:{sign}.2f}"
    return f"{value:{sign}.{DECIMALS.get(metric.unit, 3)}f}"


def interval(metric: Measured, found: Interval | None, sign: str = "") -> str:
    """`[lower, upper]` in the unit that `metric` is shown in."""
    if found is None:
        return NO_VALUE
    return f"[{number(metric, found.lower, sign)}, {number(metric, found.upper, sign)}]"


def companion(metric: MetricResult) -> str | None:
    """The figure that must be shown with the value, in the value's unit; None where none must."""
    if metric.companion is None:
        return None
    return number(metric, metric.components.get(metric.companion))


def coverage(found: Coverage) -> str:
    """How many of the expected dialogues were scored, and what became of the others.

    >>> coverage(Coverage(expected=200, scored=198, missing=2, not_applicable=0, failed=0))
    '198/200 scored, 2 missing'
    """
    others = {
        "missing": found.missing,
        "not applicable": found.not_applicable,
        "failed": found.failed,
    }
    parts = [f"{found.scored}/{found.expected} scored"]
    return ", ".join(parts + [f"{count} {name}" for name, count in others.items() if count])


def control(found: ControlRecord) -> str:
    """How one of a judge's controls ended.

    >>> control(ControlRecord(name="silence", figure=1.0, least=False, limit=2.0, passed=True,
    ...     decides=True, problem=None))
    'silence 1.00 (at most 2.00) passed'
    """
    result = {True: "passed", False: "failed", None: "not asked"}[found.passed]
    record = "" if found.decides else ", for the record"
    bound = f"at {'least' if found.least else 'most'} {found.limit:.2f}"
    figure = NO_VALUE if found.figure is None else f"{found.figure:.2f}"
    return f"{found.name} {figure} ({bound}) {result}{record}"


def short(value: float) -> str:
    """A short figure of any size.

    >>> short(0.26314), short(24.0)
    ('0.2631', '24')
    """
    return f"{value:.4g}"
