"""A benchmark folder: `benchmark.json`, one JSONL file for each split, and media beside them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.manifest import (
    SCHEMA_VERSION,
    BenchmarkFile,
    DialogueLine,
    SplitEntry,
    from_dialogue,
    line_bytes,
    problems_of,
    to_dialogue,
)
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes
from mmdia_eval.types import SPLITS, Dialogue, Task

MANIFEST = "benchmark.json"
MINI = "mini"
ENVIRONMENT_VARIABLE = "MMDIA_BENCHMARK"
MAX_PROBLEMS = 50

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Benchmark:
    """The dialogues of a benchmark by split, in the order of their files.

    `sha256` is the digest over name, version and the split files' own digests (`hashes`); media
    are not in it, they are identified by their content where they are used.
    """

    name: str
    version: str
    root: Path
    splits: Mapping[str, tuple[Dialogue, ...]]
    sha256: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    license: str = ""

    def split(self, name: str, task: Task | None = None) -> tuple[Dialogue, ...]:
        """The dialogues of one split, or those of them that belong to a task.

        Raises:
            UserError: the benchmark has no such split, with a list of those it has, or the split
                has none of the task.
        """
        self._need(name)
        if task is None:
            return self.splits[name]
        found = tuple(dialogue for dialogue in self.splits[name] if task in dialogue.tasks)
        if not found:
            sizes = {
                split: sum(task in dialogue.tasks for dialogue in dialogues)
                for split, dialogues in self.splits.items()
            }
            having = ", ".join(f"{split} ({size})" for split, size in sizes.items() if size)
            raise UserError(
                f"split {name!r} of benchmark {self.name!r} has no dialogues of task {task}; "
                f"splits that have some: {having or 'none'}"
            )
        return found

    def split_sha256(self, name: str) -> str:
        """The sha256 of a split file's bytes. Raises UserError as `split` does."""
        self._need(name)
        return self.hashes[name]

    def _need(self, name: str) -> None:
        if name not in self.splits:
            known = ", ".join(f"{split} ({len(self.splits[split])})" for split in self.splits)
            raise UserError(f"benchmark {self.name!r} has no split {name!r}; it has {known}")

    @cached_property
    def scripts(self) -> tuple[str, ...]:
        """The texts of all turns of all splits, each once: an excerpt of a dialogue adds none.

        Splits are in the order of SPLITS, lines in theirs.
        """
        texts = (
            turn.text
            for split in SPLITS
            for dialogue in self.splits.get(split, ())
            for turn in dialogue.turns
        )
        return tuple(dict.fromkeys(texts))


def resolve_benchmark(value: str | Path | None) -> Path:
    """The folder that a `--benchmark` value means.

    None means the environment variable MMDIA_BENCHMARK where it is set, else "mini"; "mini" is
    the benchmark shipped with the package.

    Raises:
        UserError: no such folder, or a folder without benchmark.json.
    """
    value = value or os.environ.get(ENVIRONMENT_VARIABLE) or MINI
    folder = Path(str(files("mmdia_eval.examples") / MINI)) if value == MINI else Path(value)
    if not folder.is_dir():
        raise UserError(
            f"benchmark {str(value)!r}: no such folder; give a folder with a {MANIFEST}, "
            f"or {MINI!r} for the shipped one"
        )
    if not (folder / MANIFEST).is_file():
        raise UserError(
            f"{folder} has no {MANIFEST}; make a benchmark of the authors' files with: "
            f"mmdia-eval benchmark import {folder} --out DIR"
        )
    return folder


def load_benchmark(directory: Path) -> Benchmark:
    """Read and verify a benchmark folder. Media are named, not opened.

    Raises:
        ProblemsError: bad lines, all of them together, each with file and line.
        UserError: no benchmark there, or a split file is not the one that was sealed.
    """
    root = Path(directory).absolute()
    manifest, splits, found = read_unverified(root)
    for split, entry in manifest.splits.items():
        if entry != found[split]:
            raise UserError(
                f"{root / entry.file} changed since it was sealed: "
                f"{found[split].dialogues} dialogues, sha256 {found[split].sha256[:12]}…; "
                f"{MANIFEST} says {entry.dialogues}, {entry.sha256[:12] or 'none'}…. Restore the "
                f"file, or accept it as a changed benchmark with: "
                f"mmdia-eval benchmark seal {directory}"
            )
    hashes = {split: found[split].sha256 for split in splits}
    return Benchmark(
        name=manifest.name,
        version=manifest.version,
        root=root,
        splits=splits,
        sha256=_digest(manifest.name, manifest.version, hashes),
        hashes=hashes,
        license=manifest.license,
    )


def seal_benchmark(directory: Path) -> None:
    """Write the sha256 and size of each split file, as it is now, into benchmark.json.

    Raises:
        UserError: as `load_benchmark`, but for the digests.
    """
    root = Path(directory).absolute()
    manifest, _, found = read_unverified(root)
    sealed = manifest.model_copy(update={"splits": found})
    _write(root / MANIFEST, _manifest_bytes(sealed))


def write_benchmark(
    directory: Path,
    *,
    name: str,
    version: str,
    license: str,  # noqa: A002
    splits: Mapping[str, Sequence[Dialogue]],
) -> None:
    """Write a benchmark folder: the same dialogues always give the same bytes.

    Media must already lie under `directory`; their paths are written relative to it.

    Raises:
        ProblemsError: dialogues that could not be read back, all of them together.
        UserError: an unknown split, a bad name or version.
    """
    root = Path(directory).absolute()
    problems: list[str] = []
    contents: dict[str, bytes] = {}
    entries: dict[str, SplitEntry] = {}
    for split in sorted(splits, key=_split_order):
        data, bad = _split_bytes(splits[split], root)
        problems += [f"split {split!r}: {problem}" for problem in bad]
        file = f"{split}.jsonl"
        contents[file] = data
        entries[split] = SplitEntry(
            file=file, sha256=hashlib.sha256(data).hexdigest(), dialogues=len(splits[split])
        )
    _raise_any(problems)
    manifest = _validate(
        BenchmarkFile,
        {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "version": version,
            "license": license,
            "splits": entries,
        },
        str(root / MANIFEST),
    )
    root.mkdir(parents=True, exist_ok=True)
    for file, data in contents.items():
        _write(root / file, data)
    _write(root / MANIFEST, _manifest_bytes(manifest))


def _split_order(split: str) -> int:
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    return SPLITS.index(split)


def _split_bytes(dialogues: Sequence[Dialogue], root: Path) -> tuple[bytes, list[str]]:
    lines, problems = [], []
    seen: set[str] = set()
    for dialogue in dialogues:
        try:
            lines.append(line_bytes(from_dialogue(dialogue, root)))
        except UserError as error:
            problems.append(f"dialogue {dialogue.id!r}: {error}")
        if dialogue.id.casefold() in seen:
            problems.append(f"dialogue {dialogue.id!r}: the id is there twice (case aside)")
        seen.add(dialogue.id.casefold())
    if not dialogues:
        problems.append("has no dialogues")
    return b"".join(lines), problems


def read_unverified(
    root: Path,
) -> tuple[BenchmarkFile, dict[str, tuple[Dialogue, ...]], dict[str, SplitEntry]]:
    """benchmark.json, the dialogues by split, and the entries that benchmark.json should have.

    `root` is an absolute path.

    Raises:
        UserError: as `load_benchmark`, but for the digests.
    """
    path = root / MANIFEST
    manifest = _validate(BenchmarkFile, parse_json(read_bytes(path), str(path)), str(path))
    splits: dict[str, tuple[Dialogue, ...]] = {}
    found: dict[str, SplitEntry] = {}
    problems: list[str] = []
    for split in sorted(manifest.splits, key=_split_order):
        file = manifest.splits[split].file
        try:
            data = read_bytes(root / file)
        except UserError as error:
            problems.append(str(error))
            continue
        splits[split], bad = _parse_split(data, root, file)
        problems += bad
        found[split] = SplitEntry(
            file=file, sha256=hashlib.sha256(data).hexdigest(), dialogues=len(splits[split])
        )
    _raise_any(problems)
    return manifest, splits, found


def _parse_split(data: bytes, root: Path, file: str) -> tuple[tuple[Dialogue, ...], list[str]]:
    dialogues: list[Dialogue] = []
    problems: list[str] = []
    first_lines: dict[str, int] = {}
    for number, raw in json_lines(data):
        where = f"{root / file}:{number}"
        try:
            line = _validate(DialogueLine, parse_json(raw, where), where)
        except UserError as error:
            problems.append(str(error))
            continue
        first = first_lines.setdefault(line.id.casefold(), number)
        if first != number:
            problems.append(f"{where}: the id {line.id!r} is already on line {first}")
        dialogues.append(to_dialogue(line, root))
    if not dialogues and not problems:
        problems.append(f"{root / file}: has no dialogues")
    return tuple(dialogues), problems


def _validate(model: type[Model], value: object, where: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {'; '.join(problems_of(error))}") from None


def _raise_any(problems: Sequence[str]) -> None:
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS
        raise ProblemsError([*problems[:MAX_PROBLEMS], f"and {rest} more problems"])
    if problems:
        raise ProblemsError(problems)


def _digest(name: str, version: str, hashes: Mapping[str, str]) -> str:
    value = {"name": name, "version": version, "splits": dict(hashes)}
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _manifest_bytes(manifest: BenchmarkFile) -> bytes:
    text = json.dumps(manifest.model_dump(), ensure_ascii=False, allow_nan=False, indent=2)
    return text.encode("utf-8") + b"\n"


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
