"""`benchmark check`: what a benchmark folder holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval.benchmark import read_unverified
from mmdia_eval.media import decode
from mmdia_eval.types import TASKS, Dialogue, Task

MM_DIA = "mm-dia"
PAPER_COUNTS = {"hard": 598, "ood": 60, "bench": 309}
"""Dialogues by split as the MM-DIA paper (ICLR 2026) counts them; it gives Test as a share."""

EXAMPLES = 5


@dataclass(frozen=True)
class SplitCheck:
    """One split: `listed` by benchmark.json, `found` in the file; the tuples name dialogues.

    `duplicated` ids are in another split too. `unreadable` media exist, but are no sound files;
    of videos and keyframes only the existence is looked at. `untimed_turns` have no start and end.
    `by_task` counts the dialogues of each task. `paper` is the paper's count, where it gives one
    for this benchmark.
    """

    name: str
    listed: int
    found: int
    sealed: bool
    turns: int
    untimed_turns: int
    with_audio: int
    with_video: int
    with_keyframes: int
    by_task: Mapping[Task, int]
    duplicated: tuple[str, ...]
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]
    over_two_speakers: int
    paper: int | None = None

    @property
    def sound(self) -> bool:
        return self.sealed and not (self.duplicated or self.missing or self.unreadable)

    def lines(self) -> Iterator[str]:
        yield (
            f"split {self.name}: {self.listed} dialogues listed, {self.found} found, "
            f"{'sealed' if self.sealed else 'CHANGED since it was sealed'}"
        )
        yield (
            f"  {self.turns} turns, {self.untimed_turns} without times; "
            f"{self.over_two_speakers} dialogues of more than two speakers; "
            f"audio for {self.with_audio}, video for {self.with_video}, "
            f"keyframes for {self.with_keyframes}"
        )
        if any(size != self.found for size in self.by_task.values()):
            sizes = ", ".join(f"task {task} has {size}" for task, size in self.by_task.items())
            yield f"  {sizes}"
        if self.paper is not None and self.paper != self.found:
            yield f"  the paper counts {self.paper}"
        for what, ids in (
            ("also in another split", self.duplicated),
            ("media missing", self.missing),
            ("media unreadable", self.unreadable),
        ):
            if ids:
                shown = ", ".join(ids[:EXAMPLES]) + (", …" if len(ids) > EXAMPLES else "")
                yield f"  {len(ids)} {what}: {shown}"


@dataclass(frozen=True)
class BenchmarkReport:
    """What `check_benchmark` found."""

    name: str
    version: str
    splits: tuple[SplitCheck, ...]

    @property
    def sound(self) -> bool:
        """Every split is as sealed, shares no dialogue, and its media are there."""
        return all(split.sound for split in self.splits)

    def lines(self) -> Iterator[str]:
        """The report as lines of text."""
        yield f"benchmark {self.name}, version {self.version}"
        for split in self.splits:
            yield from split.lines()


def check_benchmark(directory: Path) -> BenchmarkReport:
    """Look at every dialogue and every medium of a benchmark folder.

    Raises:
        ProblemsError: bad lines; nothing else is looked at before they are mended.
        UserError: there is no benchmark.
    """
    manifest, splits, found = read_unverified(Path(directory).absolute())
    entries = {str(name): entry for name, entry in manifest.splits.items()}
    where: dict[str, set[str]] = {}
    for name, dialogues in splits.items():
        for dialogue in dialogues:
            where.setdefault(dialogue.id.casefold(), set()).add(name)
    return BenchmarkReport(
        manifest.name,
        manifest.version,
        tuple(
            _check_split(
                name,
                dialogues,
                listed=entries[name].dialogues,
                sealed=entries[name] == found[name],
                duplicated=[one.id for one in dialogues if len(where[one.id.casefold()]) > 1],
                paper=PAPER_COUNTS.get(name) if manifest.name == MM_DIA else None,
            )
            for name, dialogues in splits.items()
        ),
    )


def _check_split(
    name: str,
    dialogues: Sequence[Dialogue],
    *,
    listed: int,
    sealed: bool,
    duplicated: Sequence[str],
    paper: int | None,
) -> SplitCheck:
    missing, unreadable = [], []
    for dialogue in dialogues:
        named = [path for path in (dialogue.audio, dialogue.video) if path is not None]
        named += [frame.path for frame in dialogue.keyframes]
        if not all(path.is_file() for path in named):
            missing.append(dialogue.id)
        elif dialogue.audio is not None and decode(dialogue.audio)[1] is None:
            unreadable.append(dialogue.id)
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    return SplitCheck(
        name=name,
        listed=listed,
        found=len(dialogues),
        sealed=sealed,
        turns=len(turns),
        untimed_turns=sum(turn.segment is None for turn in turns),
        with_audio=sum(dialogue.audio is not None for dialogue in dialogues),
        with_video=sum(dialogue.video is not None for dialogue in dialogues),
        with_keyframes=sum(bool(dialogue.keyframes) for dialogue in dialogues),
        by_task={task: sum(task in dialogue.tasks for dialogue in dialogues) for task in TASKS},
        duplicated=tuple(duplicated),
        missing=tuple(missing),
        unreadable=tuple(unreadable),
        over_two_speakers=sum(len(dialogue.speakers) > 2 for dialogue in dialogues),
        paper=paper,
    )
