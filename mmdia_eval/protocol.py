"""Protocols: which metrics run, by which extractors, with which settings. One TOML file each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.store import digest
from mmdia_eval.types import Task


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExtractorEntry(_Entry):
    """The extractor behind a role. `inputs` names other roles for the kinds that it needs."""

    extractor: str
    settings: dict[str, Any] = {}
    inputs: dict[str, str] = {}


class MetricEntry(_Entry):
    """A column of the results. An artifact kind comes from the role of its own name, unless
    `inputs` names another; of the reference recording, from the role `reference_<kind>`.
    `default` false: runs only when asked for by name.
    """

    name: str
    metric: str
    settings: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    default: bool = True
    tasks: list[Task] | None = None


class Protocol(_Entry):
    """A named, versioned set of metrics with everything that determines their values."""

    name: str
    version: str
    summary: str
    comparable: bool = Field(description="whether its scores may stand beside a paper's")
    tasks: list[Task]
    extractors: dict[str, ExtractorEntry]
    metrics: list[MetricEntry]

    @property
    def sha256(self) -> str:
        return digest(self.model_dump(mode="json"))


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
