"""What an import read, kept, left out and changed: every item counted under a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmdia_eval.types import Task

EXAMPLES = 3

Cases = Mapping[str, Sequence[str]]
"""Reason to the places where it applied: dialogue ids, some with a detail behind them."""


@dataclass
class Tally:
    """What the readers meet as they go.

    `dropped` are whole dialogues, `skipped` lines or words of dialogues that stay, `noted` what
    was kept in a changed or doubtful form.
    """

    read: int = 0
    dropped: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    noted: dict[str, list[str]] = field(default_factory=dict)
    dropped_ids: set[str] = field(default_factory=set)

    def drop(self, reason: str, where: str, detail: str = "") -> None:
        self.dropped_ids.add(where)
        self.dropped.setdefault(reason, []).append(f"{where} ({detail})" if detail else where)

    def skip(self, reason: str, where: str) -> None:
        self.skipped.setdefault(reason, []).append(where)

    def note(self, reason: str, where: str) -> None:
        self.noted.setdefault(reason, []).append(where)


@dataclass(frozen=True)
class SplitReport:
    """One list of the ids file against the dialogues read.

    `listed` counts distinct ids, `repeated` those listed again. `missing` ids are in no
    source file, `dropped` ones were but could not be kept, `ambiguous` ones fit several dialogues.
    `shared` counts the ids that another list has too, by that list's name.
    """

    name: str
    kept: bool
    listed: int
    repeated: int = 0
    found: int = 0
    missing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    shared: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        if not self.kept:
            yield f"split {self.name}: {self.listed} ids listed, left out"
        else:
            yield f"split {self.name}: {self.listed} ids listed, {self.found} found"
        if self.repeated:
            yield f"  {self.repeated} listed more than once"
        for what, ids in (
            ("not found", self.missing),
            ("found, but dropped (see below)", self.dropped),
            ("found more than once, so not used", self.ambiguous),
        ):
            if ids:
                yield f"  {_case(what, ids)}"
        for other, count in self.shared.items():
            yield f"  {count} also listed in {other}"


@dataclass(frozen=True)
class TaskReport:
    """One list of a tasks file: how many ids it has, and those that no dialogue kept has."""

    task: Task
    listed: int
    missing: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        yield (
            f"task {self.task}: {self.listed} ids listed, {self.listed - len(self.missing)} found"
        )
        if self.missing:
            yield f"  {_case('not found', self.missing)}"


@dataclass(frozen=True)
class ImportReport:
    """The outcome of an import: `read` and `kept` count dialogues, `unlisted` those in no split.

    `with_audio`, `with_video` and `with_keyframes` count the kept dialogues whose media lie in the
    new folder.
    """

    form: str
    read: int
    kept: int
    unlisted: int
    with_audio: int
    with_video: int
    with_keyframes: int
    splits: tuple[SplitReport, ...]
    tasks: tuple[TaskReport, ...]
    dropped: Cases
    skipped: Cases
    noted: Cases

    def lines(self) -> Iterator[str]:
        """The report as lines of text."""
        yield f"{self.form}: {self.read} dialogues read, {self.kept} kept"
        if self.unlisted:
            yield f"{self.unlisted} read but in no split that was asked for"
        yield (
            f"audio for {self.with_audio} of {self.kept}, video for {self.with_video}, "
            f"keyframes for {self.with_keyframes}"
        )
        for split in self.splits:
            yield from split.lines()
        for task in self.tasks:
            yield from task.lines()
        for title, cases in (
            ("dialogues dropped", self.dropped),
            ("lines left out of dialogues", self.skipped),
            ("to know", self.noted),
        ):
            if cases:
                yield f"{title}:"
                yield from (f"  {_case(reason, places)}" for reason, places in cases.items())


def _case(what: str, places: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(places))
    shown = ", ".join(distinct[:EXAMPLES]) + (", …" if len(distinct) > EXAMPLES else "")
    return f"{len(places)} {what}: {shown}"
