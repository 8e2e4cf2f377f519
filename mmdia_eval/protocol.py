"""Protocols: which metrics run, by which extractors, with which settings. One TOML file each."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.store import digest
from mmdia_eval.types import Task


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Condition = Literal["description", "triplet", "task1", "task2", "task3"]


class _Configured(_Entry):
    """Settings and inputs of a plugin. An artifact kind comes from the role of its own name, unless
    `inputs` names another.

    `when` has settings that hold for a task or for a way of telling the style only; where both
    apply, the task's win.
    """

    settings: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    when: dict[Condition, dict[str, Any]] = {}

    def of(self, task: Task, style: str | None) -> Self:
        """The entry with the settings that hold for this task and style."""
        held: list[Condition] = [name for name in self.when if name in (style, f"task{task}")]
        settings = dict(self.settings)
        for name in sorted(held, key=lambda name: name.startswith("task")):
            settings |= self.when[name]
        return self.model_copy(update={"settings": settings, "when": {}})


class ExtractorEntry(_Configured):
    """The extractor behind a role."""

    extractor: str


class MetricEntry(_Configured):
    """A column of the results. Artifacts of the reference recording come from the roles
    `reference_<kind>`. `default` false: runs only when asked for by name. `tasks`: for those only.
    `note` says the definition in words, for `metrics explain`; it determines no value.
    """

    name: str
    metric: str
    default: bool = True
    tasks: list[Task] | None = None
    note: str = Field(default="", exclude=True)


class Protocol(_Entry):
    """A named, versioned set of metrics with everything that determines their values."""

    name: str
    version: str
    summary: str
    comparable: bool = Field(description="whether its scores may stand beside a paper's")
    tasks: list[Task]
    extractors: dict[str, ExtractorEntry]
    metrics: list[MetricEntry]
    audit: int = Field(
        default=20, ge=0, exclude=True, description="clips of a split that a submission shows"
    )

    @property
    def sha256(self) -> str:
        return digest(self.model_dump(mode="json"))

    def audit_ids(self, ids: Iterable[str]) -> list[str]:
        """The dialogues of a split whose outputs a submission must show: `audit` of them.

        Those with the lowest sha256 of "name@version/id": the same for every system, known to all,
        others in the next version.
        """

        def place(id_: str) -> str:
            return hashlib.sha256(f"{self.name}@{self.version}/{id_}".encode()).hexdigest()

        return sorted(sorted(ids, key=place)[: self.audit])

    def of(self, task: Task, style: str | None) -> Protocol:
        """The protocol as it is run for a task and a style; `sha256` is that of the whole one."""
        extractors = {role: entry.of(task, style) for role, entry in self.extractors.items()}
        metrics = [entry.of(task, style) for entry in self.metrics]
        return self.model_copy(update={"extractors": extractors, "metrics": metrics})


def protocol_names() -> list[str]:
    """The shipped protocols."""
    folder = resources.files("mmdia_eval.protocols")
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_protocol(name: str) -> Protocol:
    """A shipped protocol by name, or any by the path of its TOML file.

    Raises:
        UserError: no such protocol, or the file is not a protocol; the message says where.
    """
    if name in protocol_names():
        text = resources.files("mmdia_eval.protocols").joinpath(f"{name}.toml").read_text("utf-8")
        return _parse(text, f"{name}.toml")
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return _parse(path.read_text("utf-8"), name)
    raise UserError(
        f"unknown protocol {name!r}; known: {', '.join(protocol_names())}, "
        "or the path of a protocol's .toml file"
    )


def _parse(text: str, where: str) -> Protocol:
    try:
        content: Mapping[str, Any] = tomllib.loads(text)
        protocol = Protocol.model_validate(content)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: {error}") from None
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError(f"{where}: {details}") from None
    names = [entry.name for entry in protocol.metrics]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{where}: metric names used twice: {', '.join(twice)}")
    return protocol
