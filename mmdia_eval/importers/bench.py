"""What Tasks 2 and 3 add to a benchmark: which dialogues they take, and stills of the video.

The release gives neither in a form of its own; both files here are ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.importers.media import MEDIA
from mmdia_eval.importers.report import TaskReport
from mmdia_eval.manifest import PICTURE_EXTENSIONS, problems_of
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes, read_json
from mmdia_eval.types import TASKS, Dialogue, Keyframe, Task

LIMITED: Mapping[str, Task] = {"2": 2, "3": 3}
"""Tasks that may take part of a benchmark; every dialogue is in Task 1."""


class _Still(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    dialog_id: str
    path: str
    time: float
    speaker: str | None = None


def read_tasks(path: Path) -> dict[Task, frozenset[str]]:
    """`{"2": [id, …], "3": [id, …]}`: the dialogues of each task that it names.

    Raises:
        UserError: another form, or another task.
    """
    value = read_json(path)
    if not isinstance(value, dict) or not value or not value.keys() <= LIMITED.keys():
        raise UserError(f'{path}: should be lists of ids by task, {{"2": [id, …], "3": [id, …]}}')
    for task, ids in value.items():
        if not isinstance(ids, list) or not all(isinstance(id_, str) for id_ in ids):
            raise UserError(f"{path}: {task!r} should be a list of ids (strings)")
    return {LIMITED[task]: frozenset(ids) for task, ids in value.items()}


def report_tasks(
    lists: Mapping[Task, frozenset[str]], kept: Collection[str]
) -> tuple[TaskReport, ...]:
    """Each list against the ids of the dialogues kept."""
    return tuple(
        TaskReport(task, len(ids), tuple(sorted(ids - set(kept)))) for task, ids in lists.items()
    )


def with_tasks(dialogue: Dialogue, lists: Mapping[Task, frozenset[str]]) -> Dialogue:
    """The dialogue with the tasks it is part of: those that list it, and those without a list."""
    tasks = (task for task in TASKS if task not in lists or dialogue.id in lists[task])
    return replace(dialogue, tasks=tuple(tasks))


def read_keyframes(path: Path) -> dict[str, list[Keyframe]]:
    """Stills by dialogue id, in order of time, from a JSONL file.

    A line is `{"dialog_id", "path", "time", "speaker"}`: path relative to the file, time in
    seconds, speaker (optional) as in the dialogue.

    Raises:
        ProblemsError: bad lines, all of them together, each with its number.
    """
    found: dict[str, list[Keyframe]] = {}
    problems = []
    for number, raw in json_lines(read_bytes(path)):
        where = f"{path}:{number}"
        try:
            still = _still(parse_json(raw, where), where)
        except UserError as error:
            problems.append(str(error))
            continue
        file = path.parent / still.path
        if file.suffix.lower() not in PICTURE_EXTENSIONS or not file.is_file():
            kinds = " ".join(PICTURE_EXTENSIONS)
            problems.append(f"{where}: {file}: no such picture (one of {kinds})")
            continue
        found.setdefault(still.dialog_id, []).append(Keyframe(file, still.time, still.speaker))
    if problems:
        raise ProblemsError(problems)
    return {id_: sorted(stills, key=lambda still: still.time) for id_, stills in found.items()}


def _still(value: Any, where: str) -> _Still:
    try:
        return _Still.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {'; '.join(problems_of(error))}") from None


def place_keyframes(dialogue: Dialogue, stills: Collection[Keyframe], root: Path) -> Dialogue:
    """The dialogue with its stills copied into `root/media`."""
    placed = []
    for number, still in enumerate(stills, start=1):
        name = f"{dialogue.id}.keyframe{number}{still.path.suffix.lower()}"
        target = root / MEDIA / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(still.path, target)
        placed.append(replace(still, path=target))
    return replace(dialogue, keyframes=tuple(placed))
