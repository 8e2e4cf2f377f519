"""What can be measured, and what a run would do: the tables that need no results."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from mmdia_eval import registry
from mmdia_eval.plan import NotRun
from mmdia_eval.protocol import Protocol
from mmdia_eval.report import plain_console, print_lines
from mmdia_eval.run import Work

DIRECTIONS = {True: "higher is better", False: "lower is better", None: "best near the reference"}
BETTER = {True: "higher", False: "lower", None: "near reference"}


def print_survey(works: Sequence[Work], jobs: int, not_run: Sequence[NotRun] = ()) -> None:
    """The stages of a run with cache hits and an estimate, and what cannot run here, with why."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for title in ("to do", "cached", "audio", "estimate"):
        table.add_column(title, justify="right")
    for work in works:
        seconds = work.audio_seconds, work.seconds
        table.add_row(work.role, *map(_known, (work.todo, work.cached)), *map(_clock, seconds))
    console = plain_console()
    console.print(table)
    print_lines(console, _estimates(works))
    known = [work.seconds for work in works if work.seconds is not None]
    if known:
        console.print(f"about {_clock(sum(known))} on {jobs} workers, beside loading the engines")
    if not_run:
        names = ", ".join(left.name for left in not_run)
        print_lines(console, ["", f"{len(not_run)} metrics cannot run here: {names}"])
        print_lines(console, _lacks(not_run))


def _estimates(works: Sequence[Work]) -> Iterator[str]:
    """What services will take, and the sum of what is known."""
    asked = [(work.role, work.estimate) for work in works if work.estimate and work.todo != 0]
    yield from (f"{role}: {estimate.text}" for role, estimate in asked)
    costs = [estimate.cost for _, estimate in asked]
    if len(costs) > 1 and any(costs):
        known = sum(cost for cost in costs if cost is not None)
        others = ", and what is not known" if None in costs else ""
        yield f"in all about ${known:,.2f}{others}"


def _lacks(not_run: Sequence[NotRun]) -> Iterator[str]:
    """Each thing that is missing once, with the metrics that want it."""
    wanting: dict[str, list[str]] = {}
    for left in not_run:
        for lack in left.lacks:
            wanting.setdefault(lack, []).append(left.name)
    for lack, names in wanting.items():
        yield f"- {lack}"
        yield f"  for {', '.join(names)}"


def print_metrics(protocol: Protocol) -> None:
    """The columns of a protocol, each with its metric if that has another name, and its inputs."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for title in ("task", "better", "reads"):
        table.add_column(title)
    for entry in protocol.metrics:
        cls = registry.metric.get(entry.metric)
        metric = cls(cls.Settings.model_validate(entry.settings))
        reads = [kind.kind for kind in metric.needs]
        reads += [f"reference's {kind.kind}" for kind in metric.reference_needs]
        name = entry.name if entry.default else f"{entry.name} *"
        name += "" if entry.metric == entry.name else f" ({entry.metric})"
        better = BETTER[metric.higher_is_better]
        tasks = ", ".join(map(str, entry.tasks or protocol.tasks))
        table.add_row(name, tasks, better, "\n".join(reads))
    console = plain_console()
    console.print(
        f"protocol {protocol.name} {protocol.version}: {protocol.summary}", soft_wrap=True
    )
    console.print(table)
    if not all(entry.default for entry in protocol.metrics):
        console.print("* only when asked for: --metric NAME")


def print_metric(name: str) -> None:
    """What a registered metric measures. Raises UserError for an unknown name."""
    cls = registry.metric.get(name)
    console = plain_console()
    console.print(f"{name} {cls.version}, {cls.unit}, {DIRECTIONS[cls.higher_is_better]}")
    console.print(Text(inspect.getdoc(cls) or ""), soft_wrap=True)
    console.print(f"aggregation: {cls.aggregation}; counts: {', '.join(cls.fields)}")
    settings = {key: field.default for key, field in cls.Settings.model_fields.items()}
    if settings:
        console.print("settings: " + ", ".join(f"{key}={value}" for key, value in settings.items()))
    console.print(f"card: docs/metrics/{name}.md")


def _known(count: int | None) -> str:
    return "unknown" if count is None else str(count)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
