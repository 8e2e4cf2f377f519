"""What can be measured, and what a run would do: the tables that need no results."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from mmdia_eval import registry
from mmdia_eval.protocol import Protocol
from mmdia_eval.report import plain_console
from mmdia_eval.run import Work

DIRECTIONS = {True: "higher is better", False: "lower is better", None: "best near the reference"}
BETTER = {True: "higher", False: "lower", None: "near reference"}


def print_survey(works: Sequence[Work], jobs: int) -> None:
    """The stages of a run with cache hits, and an estimate of the wall time on `jobs` workers."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for title in ("to do", "cached", "audio", "estimate"):
        table.add_column(title, justify="right")
    for work in works:
        estimate = "-" if work.cpu_seconds is None else _clock(work.cpu_seconds / jobs)
        audio = _clock(work.audio_seconds)
        table.add_row(work.role, str(work.todo), str(work.cached), audio, estimate)
    total = sum(work.cpu_seconds or 0.0 for work in works) / jobs
    console = plain_console()
    console.print(table)
    console.print(f"about {_clock(total)} on {jobs} workers, beside loading the engines")


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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
