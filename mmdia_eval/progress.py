"""One line a stage: a live bar on a terminal, plain lines elsewhere. Stages may overlap."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Line(Protocol):
    """The progress of one stage."""

    def advance(self, audio_seconds: float = 0.0) -> None:
        """One more file is done, with so much sound."""


class Reporter(Protocol):
    """Told how far a run has come, from more than one thread."""

    def stage(self, name: str, todo: int, cached: int) -> AbstractContextManager[Line]: ...


class _Counter:
    """How many files are done, and how fast their sound is worked through."""

    def __init__(self) -> None:
        self.done = 0
        self.heard = 0.0
        self.begin = time.monotonic()

    def advance(self, audio_seconds: float = 0.0) -> None:
        self.done += 1
        self.heard += audio_seconds

    @property
    def speed(self) -> str:
        """Seconds of sound a second, where that says something."""
        took = time.monotonic() - self.begin
        return f", {self.heard / took:.1f}x real time" if self.heard and took else ""


class Silent:
    """Says nothing; for the Python API and for tests."""

    @contextmanager
    def stage(self, name: str, todo: int, cached: int) -> Iterator[Line]:
        yield _Counter()


class Plain:
    """A line when a stage with work to do ends, and one every half minute; to stderr."""

    every = 30.0

    @contextmanager
    def stage(self, name: str, todo: int, cached: int) -> Iterator[Line]:
        line = _PlainLine(name, todo, self.every)
        try:
            yield line
        finally:
            took = time.monotonic() - line.begin
            _say(f"{name}: {line.done}/{todo} in {took:.1f} s{line.speed}, {cached} cached")


class _PlainLine(_Counter):
    def __init__(self, name: str, todo: int, every: float) -> None:
        super().__init__()
        self.name, self.todo, self.every = name, todo, every
        self.last = self.begin

    def advance(self, audio_seconds: float = 0.0) -> None:
        super().advance(audio_seconds)
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            _say(f"{self.name}: {self.done}/{self.todo}{self.speed}")


class Live:
    """Rich progress bars on stderr, one a stage, in one display: a terminal has room for one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._progress: Progress | None = None

    @contextmanager
    def stage(self, name: str, todo: int, cached: int) -> Iterator[Line]:
        progress = self._enter()
        task = progress.add_task(name, total=todo, beside=f"{cached} cached")
        try:
            yield _LiveLine(progress, task, cached)
        finally:
            self._leave()

    def _enter(self) -> Progress:
        with self._lock:
            if self._progress is None:
                self._progress = _bars()
                self._progress.start()
            self._open += 1
            return self._progress

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            if not self._open and self._progress is not None:
                self._progress.stop()
                self._progress = None


def _bars() -> Progress:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[beside]}"),
    )
    return Progress(*columns, console=Console(stderr=True))


class _LiveLine(_Counter):
    def __init__(self, progress: Progress, task: TaskID, cached: int) -> None:
        super().__init__()
        self._progress, self._task, self._cached = progress, task, cached

    def advance(self, audio_seconds: float = 0.0) -> None:
        super().advance(audio_seconds)
        beside = f"{self._cached} cached{self.speed}"
        self._progress.update(self._task, advance=1, beside=beside)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def for_terminal() -> Plain | Live:
    """The reporter that suits this process's stderr."""
    return Live() if sys.stderr.isatty() else Plain()
