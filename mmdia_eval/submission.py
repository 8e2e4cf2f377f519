"""A folder of outputs: which file is whose, and what its `submission.toml` says of the system.

Files are matched by name to the benchmark's ids, never the other way round, and nothing but
regular files is ever opened: a FIFO would hang, a symbolic link may point at the references.
"""

from __future__ import annotations

import os
import stat
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 (a field is called date)
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from mmdia_eval.errors import UserError
from mmdia_eval.manifest import OUTPUT_PREFIX, problems_of
from mmdia_eval.strict_json import read_bytes
from mmdia_eval.types import Dialogue, Sample, Task

SYSTEM_FILE = "submission.toml"
MAX_SYSTEM_BYTES = 64 * 1024
MAX_NAME = 80
AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
VIDEO_EXTENSIONS = (".mp4", ".mov", ".mkv", ".webm")
EXTENSIONS: dict[Task, tuple[str, ...]] = {
    1: AUDIO_EXTENSIONS,
    2: AUDIO_EXTENSIONS,
    3: VIDEO_EXTENSIONS,
}


def _iso_date(value: object) -> object:
    return value.isoformat() if type(value) is Date else value


def _checked_date(value: str) -> str:
    Date.fromisoformat(value)
    return value


def _display_name(value: str) -> str:
    name = unicodedata.normalize("NFC", value).strip()
    if not name or len(name) > MAX_NAME:
        raise ValueError(f"should have 1 to {MAX_NAME} characters")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs") for character in name):
        raise ValueError("should have no control or formatting characters")
    return name


DisplayName = Annotated[str, AfterValidator(_display_name)]
Kind = Literal["system", "ground_truth", "baseline"]
"""What made the outputs; the reference itself and trivial baselines are shown, never ranked."""


class SystemInfo(BaseModel):
    """What made the outputs; the keys of `submission.toml`. None means not stated.

    `training_data_overlap` says whether the training data share dialogues with the benchmark.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: DisplayName
    organization: DisplayName | None = None
    date: Annotated[str, BeforeValidator(_iso_date), AfterValidator(_checked_date)] | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=500)] | None = None
    open_weights: bool | None = None
    training_data_overlap: Literal["none", "declared", "unknown"] | None = None
    kind: Kind = "system"
    task: Literal[1, 2, 3] | None = None
    notes: Annotated[str, StringConstraints(max_length=2000)] | None = None


@dataclass(frozen=True)
class Submission:
    """One sample for each dialogue, in the benchmark's order.

    `extra` are names that belong to no dialogue, `refused` those that do but are not regular
    files with one name, with the reason; both were left unopened.
    """

    system: SystemInfo
    samples: tuple[Sample, ...]
    extra: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def load_submission(folder: Path, dialogues: Sequence[Dialogue], task: Task) -> Submission:
    """Match the files of `folder` (not of its subfolders) to dialogues.

    `output_<id>.<ext>` and `<id>.<ext>` both name the dialogue `<id>`. A dialogue without a file
    gets a sample without an output.

    Raises:
        UserError: no such folder, an empty one, two files for one dialogue, no file for any, a
            `submission.toml` with a problem or for another task.
    """
    folder = Path(folder)
    entries = _entries(folder)
    system = read_system(folder)
    if system.task is not None and system.task != task:
        raise UserError(
            f"{folder / SYSTEM_FILE}: task = {system.task}, but the outputs are to be scored for "
            f"task {task}; use --task {system.task}, or correct the file"
        )
    ids = {dialogue.id for dialogue in dialogues}
    outputs: dict[str, str] = {}
    extra: list[str] = []
    refused: list[str] = []
    for entry in entries:
        found = _dialogue_of(entry.name, ids, task)
        kind = _kind(entry)
        if found is None:
            if entry.name != SYSTEM_FILE:
                extra.append(printable(entry.name) + ("/" if kind == "a folder" else ""))
        elif kind is not None:
            refused.append(f"{printable(entry.name)} ({kind})")
        elif found in outputs:
            raise UserError(
                f"{folder}: two files for dialogue {found!r}: "
                f"{outputs[found]} and {entry.name}; leave one"
            )
        else:
            outputs[found] = entry.name
    if not outputs:
        raise UserError(_nothing_found(folder, dialogues, task, extra, refused))
    return Submission(
        system=system,
        samples=tuple(
            Sample(dialogue, folder / outputs[dialogue.id] if dialogue.id in outputs else None)
            for dialogue in dialogues
        ),
        extra=tuple(extra),
        refused=tuple(refused),
    )


def references_as_submission(dialogues: Sequence[Dialogue], task: Task) -> Submission:
    """The benchmark's own recordings in the place of a system's outputs."""
    samples = (Sample(d, d.video if task == 3 else d.audio) for d in dialogues)
    return Submission(SystemInfo(name="the references, for want of outputs"), tuple(samples))


def printable(name: str) -> str:
    r"""A file name as a terminal may show it: escapes for what is not printable.

    >>> print(printable("a\x1bb"))
    a\x1bb
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except FileNotFoundError:
        raise UserError(f"{folder}: no such folder of outputs") from None
    except NotADirectoryError:
        raise UserError(f"{folder}: not a folder; give the folder that holds the outputs") from None
    except PermissionError:
        raise UserError(f"{folder}: cannot be read (permission denied)") from None
    if not entries:
        raise UserError(f"{folder}: the folder is empty")
    return entries


def _kind(entry: os.DirEntry[str]) -> str | None:
    """What an entry is, unless it is a regular file with one name.

    A file's second name may lie among the references, which a hard link reaches as a symbolic does.
    """
    status = entry.stat(follow_symlinks=False)
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return None if status.st_nlink == 1 else "a hard link; make it a copy"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(mode) else "a special file"


def _dialogue_of(name: str, ids: set[str], task: Task) -> str | None:
    stem, extension = os.path.splitext(name)  # noqa: PTH122
    if extension.lower() not in EXTENSIONS[task]:
        return None
    for candidate in (stem, stem.removeprefix(OUTPUT_PREFIX)):
        if candidate in ids:
            return candidate
    return None


def _nothing_found(
    folder: Path,
    dialogues: Sequence[Dialogue],
    task: Task,
    extra: Sequence[str],
    refused: Sequence[str],
) -> str:
    found = [*refused, *extra]
    shown = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
    example = dialogues[0].id if dialogues else "ID"
    extensions = " ".join(EXTENSIONS[task])
    return (
        f"{folder}: no output for any of the {len(dialogues)} dialogues. "
        f"Found {shown or f'only {SYSTEM_FILE}'}; expected names as "
        f"{OUTPUT_PREFIX}{example}{EXTENSIONS[task][0]} or {example}{EXTENSIONS[task][0]} "
        f"(task {task} takes {extensions}). Is it another --split, --benchmark or --task?"
    )


def read_system(folder: Path) -> SystemInfo:
    """What `submission.toml` says; without a name there, the system has the folder's.

    Raises:
        UserError: no such folder, an empty one, or a `submission.toml` with a problem.
    """
    path = folder / SYSTEM_FILE
    unnamed = {"name": printable(folder.resolve().name)[:MAX_NAME] or "system"}
    entry = next((entry for entry in _entries(folder) if entry.name == SYSTEM_FILE), None)
    if entry is None:
        return _system(unnamed, path)
    kind = _kind(entry)
    if kind is not None:
        raise UserError(f"{path}: {kind}; it must be a regular file")
    try:
        values = tomllib.loads(read_bytes(path, MAX_SYSTEM_BYTES).decode("utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    return _system(unnamed | values, path)


def _system(values: dict[str, Any], path: Path) -> SystemInfo:
    try:
        return SystemInfo.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error)
    known = ", ".join(SystemInfo.model_fields)
    raise UserError(f"{path}: {'; '.join(problems)} (known keys: {known})")
