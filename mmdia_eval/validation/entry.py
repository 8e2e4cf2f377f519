"""A submission's folder as far as it can be read, and what is wrong with each file by itself."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mmdia_eval.details import Details
from mmdia_eval.errors import UserError
from mmdia_eval.judges.replay import RecordedReply
from mmdia_eval.manifest import problems_of
from mmdia_eval.results import Results, Row
from mmdia_eval.store import file_sha256
from mmdia_eval.strict_json import json_lines, parse_json
from mmdia_eval.submission import printable
from mmdia_eval.validation.findings import Finding, found
from mmdia_eval.validation.format import (
    AUDIT,
    AUDIT_NAME,
    ENDINGS,
    MANIFEST,
    MAX_BYTES,
    MAX_TOTAL,
    README,
    RESULTS_NAME,
    SUBMISSION,
    ManifestLine,
    SubmissionRecord,
    is_folder_name,
)
from mmdia_eval.validation.locate import line_of

SECRET = re.compile(
    rb"(?<![A-Za-z0-9])(sk-[A-Za-z0-9_-]{20,}|AIza[0-9A-Za-z_-]{35}|hf_[A-Za-z0-9]{30,}"
    rb"|gh[pousr]_[A-Za-z0-9]{36,})"
)
"""Keys of OpenAI and its like, Google, Hugging Face, GitHub."""

AnyRecord = TypeVar("AnyRecord", bound=BaseModel)


@dataclass(frozen=True)
class Numbered:
    """A row and the line it stands on."""

    line: int
    row: Row


@dataclass(frozen=True)
class Run:
    """A results file and its rows, None where they cannot be read."""

    file: str
    text: str
    results: Results
    rows: tuple[Numbered, ...] | None

    @property
    def rows_file(self) -> str:
        return self.beside(".rows.jsonl")

    def beside(self, ending: str) -> str:
        """The file of the same run whose name ends so."""
        return self.file.removesuffix(".json") + ending

    def line(self, metric: str, *path: str) -> int | None:
        """Where the metric, or something in it, stands."""
        names = [one.name for one in self.results.metrics]
        return line_of(self.text, ["metrics", names.index(metric), *path])


@dataclass(frozen=True)
class Entry:
    """What a folder holds. `files` are the regular files of the format with their bytes.

    What could not be read is None or left out; the findings say why.
    """

    folder: Path
    files: Mapping[str, int] = field(default_factory=dict)
    submission: SubmissionRecord | None = None
    submission_text: str = ""
    manifest: tuple[tuple[int, ManifestLine], ...] | None = None
    runs: tuple[Run, ...] = ()

    @property
    def id(self) -> str:
        return self.folder.name

    def line(self, *path: str | int) -> int | None:
        """Where something stands in submission.json."""
        return line_of(self.submission_text, path)


def read_entry(folder: Path) -> tuple[Entry, list[Finding]]:
    """Read a submission's folder; nothing that is not a regular file of the format is opened.

    Raises:
        UserError: there is no such folder.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (resolve() would follow a link)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    reader = _Reader(folder)
    return reader.read(), reader.findings


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[Finding] = []
        self.files: dict[str, int] = {}

    def add(
        self, code: str, message: str, file: str | None = None, line: int | None = None
    ) -> None:
        self.findings.append(found(code, message, file, line))

    def read(self) -> Entry:
        if not is_folder_name(self.folder.name):
            self.add("name-folder", f"the folder is named {printable(self.folder.name)!r}")
        if self.folder.is_symlink():
            self.add("file-kind", "the folder is a symbolic link")
            return Entry(self.folder)
        self._list(self.folder, "")
        total = sum(self.files.values())
        if total > MAX_TOTAL:
            self.add("total-too-large", f"{total:,} bytes; at most {MAX_TOTAL:,}")
        scored = [match for name in self.files if (match := RESULTS_NAME.fullmatch(name))]
        results = [match[0] for match in scored if match[2] == ".json"]
        for name in (SUBMISSION, MANIFEST):
            if name not in self.files:
                self.add("file-missing", f"there is no {name}")
        if not results:
            self.add("file-missing", "there is no results file")
        for match in scored:
            if f"{match[1]}.json" not in self.files:
                self.add("file-missing", f"there is no {match[1]}.json, whose {match[0]} is")
        self._readme()
        text, submission = self._submission()
        return Entry(
            self.folder,
            self.files,
            submission,
            text,
            self._lines(MANIFEST, ManifestLine, "manifest-schema"),
            tuple(run for name in sorted(results) if (run := self._run(name))),
        )

    def _list(self, folder: Path, prefix: str) -> None:
        """Note the regular files of the format; report everything else."""
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            name = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and name == AUDIT:
                self._list(Path(entry.path), f"{AUDIT}/")
            elif (kind := _kind_of(name)) is None:
                self.add(
                    "name-file", f"{printable(name)} is no file of a submission", printable(name)
                )
            elif not stat.S_ISREG(status.st_mode):
                self.add("file-kind", f"{name} is {_not_regular(status.st_mode)}", name)
            elif status.st_size > MAX_BYTES[kind]:
                self.add(
                    "file-too-large", f"{status.st_size:,} bytes; at most {MAX_BYTES[kind]:,}", name
                )
            else:
                self.files[name] = status.st_size

    def _bytes(self, name: str) -> bytes | None:
        if name not in self.files:
            return None
        data = (self.folder / name).read_bytes()
        for match in SECRET.finditer(data):
            line = data.count(b"\n", 0, match.start()) + 1
            self.add("secret", f"a key that begins {match[0][:6].decode()}…", name, line)
        return data

    def _readme(self) -> None:
        data = self._bytes(README) or b""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.add("readme-text", f"not UTF-8 at byte {error.start}", README)
            return
        for number, line in enumerate(text.split("\n"), start=1):
            odd = [c for c in line if c not in "\t\r" and unicodedata.category(c)[0] == "C"]
            if odd:
                self.add("readme-text", f"the character U+{ord(odd[0]):04X}", README, number)

    def _parsed(self, data: bytes, name: str, line: int | None = None) -> Any:
        """The JSON value of a file or of a line of it, None with a finding where there is none."""
        try:
            return parse_json(data, name)
        except UserError as error:
            message = str(error).removeprefix(f"{name}: ")
            said = re.search(r" at line (\d+)", message)
            self.add("json-invalid", message, name, line or (int(said[1]) if said else None))
            return None

    def _submission(self) -> tuple[str, SubmissionRecord | None]:
        data = self._bytes(SUBMISSION)
        if data is None or (value := self._parsed(data, SUBMISSION)) is None:
            return "", None
        text = data.decode("utf-8")
        try:
            return text, SubmissionRecord.model_validate(value)
        except ValidationError as error:
            for problem, item in zip(problems_of(error), error.errors(), strict=True):
                line = line_of(text, item["loc"])
                if item["input"] in (None, ""):
                    place = ".".join(map(str, item["loc"]))
                    self.add("submission-blank", f"{place} is blank", SUBMISSION, line)
                else:
                    self.add("submission-schema", problem, SUBMISSION, line)
        return text, None

    def _lines(
        self, name: str, model: type[AnyRecord], code: str
    ) -> tuple[tuple[int, AnyRecord], ...] | None:
        """The sound lines of a file with their numbers; None where there is no file."""
        data = self._bytes(name)
        return None if data is None else tuple(self._sound_lines(data, name, model, code))

    def _sound_lines(
        self, data: bytes, name: str, model: type[AnyRecord], code: str
    ) -> Iterator[tuple[int, AnyRecord]]:
        for number, line in json_lines(data):
            value = self._parsed(line, name, number)
            if value is None:
                continue
            try:
                yield number, model.model_validate(value)
            except ValidationError as error:
                self.add(code, problems_of(error)[0], name, number)

    def _run(self, name: str) -> Run | None:
        data = self._bytes(name)
        if data is None or self._parsed(data, name) is None:
            return None
        text = data.decode("utf-8")
        try:
            results = Results.model_validate_json(data)
        except ValidationError as error:
            for problem, item in zip(problems_of(error), error.errors(), strict=True):
                self.add("results-schema", problem, name, line_of(text, item["loc"]))
            return None
        run = Run(name, text, results, None)
        rows = self._beside(run, ".rows.jsonl", Row)
        self._beside(run, ".judge.jsonl", RecordedReply)
        self._beside(run, ".details.jsonl", Details)
        if rows is None or run.rows_file in self._named_in_findings():
            return run
        return Run(name, text, results, tuple(Numbered(number, row) for number, row in rows))

    def _beside(
        self, run: Run, ending: str, model: type[AnyRecord]
    ) -> tuple[tuple[int, AnyRecord], ...] | None:
        """The sound lines of a file that belongs to a run; None where there is none."""
        file, kind = run.beside(ending), ENDINGS[ending]
        named: str | None = getattr(run.results, f"{kind}_file")
        lines = self._lines(file, model, f"{kind}-schema")
        if lines is None:
            if named is not None and file not in self._named_in_findings():
                self.add("file-missing", f"there is no {file}")
            return None
        if named != file:
            self.add(f"{kind}-hash", f"{run.file} names {named} as its {kind}", run.file)
        elif file_sha256(self.folder / file) != getattr(run.results, f"{kind}_sha256"):
            line = line_of(run.text, [f"{kind}_sha256"])
            self.add(f"{kind}-hash", f"the sha256 of {file} is another", run.file, line)
        return lines

    def _named_in_findings(self) -> set[str | None]:
        return {finding.file for finding in self.findings}


def _kind_of(name: str) -> str | None:
    """The kind of file, a key of `MAX_BYTES`; None for a name that is not of the format."""
    if name in (SUBMISSION, MANIFEST, README):
        return name
    if match := RESULTS_NAME.fullmatch(name):
        return ENDINGS[match[2]]
    inner = name.removeprefix(f"{AUDIT}/")
    return AUDIT if inner != name and AUDIT_NAME.fullmatch(inner) else None


def _not_regular(mode: int) -> str:
    kinds: Sequence[tuple[Callable[[int], bool], str]] = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
    )
    return next((text for matches, text in kinds if matches(mode)), "a special file")
