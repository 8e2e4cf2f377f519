"""One line a stage: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Line(Protocol):
    """The progress of one stage."""

    def advance(self) -> None: ...


class Reporter(Protocol):
    """Told how far a run has come."""

    def stage(self, name: str, todo: int, cached: int) -> AbstractContextManager[Line]: ...


class Silent:
    """Says nothing; for the Python API and for tests."""

    @contextmanager
    def stage(self, name: str, todo: int, cached: int) -> Iterator[Line]:
        yield _Counter()


class _Counter:
    done = 0

    def advance(self) -> None:
        self.done += 1


class Plain:
    """A line when a stage with work to do ends, and one every half minute; to stderr."""

    every = 30.0

    @contextmanager
    def stage(self, name: str, todo: int, cached: int) -> Iterator[Line]:
        line = _PlainLine(name, todo, self.every)
        begin = time.monotonic()
        try:
            yield line
        finally:
            _say(f"{name}: {line.done}/{todo} in {time.monotonic() - begin:.1f} s, {cached} cached")


class _PlainLine(_Counter):
    def __init__(self, name: str, todo: int, every: float) -> None:
        self.name, self.todo, self.every = name, todo, every
        self.last = time.monotonic()

    def advance(self) -> None:
        super().advance()
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            _say(f"{self.name}: {self.done}/{self.todo}")


class Live:
    """A rich progress bar per stage, on stderr."""

    @contextmanager
    def stage(self, name: str, todo: int, cached: int) -> Iterator[Line]:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn(f"[dim]{cached} cached"),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(name, total=todo)
            yield _LiveLine(lambda: progress.advance(task))


class _LiveLine:
    def __init__(self, advance: Callable[[], None]) -> None:
        self.advance = advance


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def for_terminal() -> Plain | Live:
    """The reporter that suits this process's stderr."""
    return Live() if sys.stderr.isatty() else Plain()
