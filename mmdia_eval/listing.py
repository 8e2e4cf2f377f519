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
    notes = [f"{work.role}: {work.note}" for work in works if work.note and work.todo]
    print_lines(console, notes)
    total = sum(work.seconds or 0.0 for work in works)
    console.print(f"about {_clock(total)} on {jobs} workers, beside loading the engines")
    if not_run:
        names = ", ".join(left.name for left in not_run)
        print_lines(console, ["", f"{len(not_run)} metrics cannot run here: {names}"])
        print_lines(console, _lacks(not_run))


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
    """The columns of a protocol, and what each reads."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for title in ("metric", "better", "reads"):
        table.add_column(title)
    for entry in protocol.metrics:
        cls = registry.metric.get(entry.metric)
        reads = [kind.kind for kind in cls.needs]
        reads += [f"reference's {kind.kind}" for kind in cls.reference_needs]
        name = entry.name if entry.default else f"{entry.name} *"
        better = BETTER[cls.higher_is_better]
        table.add_row(name, entry.metric, better, "\n".join(reads))
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
