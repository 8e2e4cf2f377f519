"""Tables as papers print them: values as printed, with their source and what is odd about them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from mmdia_eval.errors import UserError
from mmdia_eval.manifest import problems_of
from mmdia_eval.results import Record
from mmdia_eval.strict_json import read_bytes
from mmdia_eval.submission import DisplayName, Kind
from mmdia_eval.types import Task

FOLDER = Path(str(files("mmdia_eval.published")))
"""The tables that come with the package."""

Printed = Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
"""A number with the digits that the paper gives it."""


class PublishedSource(Record):
    """Where a table was printed."""

    paper: str
    table: str
    url: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None


class PublishedColumn(Record):
    """A column as the paper heads it; `unit` is the paper's, so percent may be percent."""

    name: str
    label: str
    unit: str
    higher_is_better: bool


class PublishedRow(Record):
    """A system's values by column; a column that it was not given in is left out."""

    system: DisplayName
    kind: Kind = "system"
    note: str | None = None
    values: dict[str, Printed]
    plus_minus: dict[str, Printed] = Field(default_factory=dict)


class PublishedTable(Record):
    """A table of a paper, its oddities in `notes`. `task` is None for work on other data."""

    schema_version: Literal["1.0"]
    title: str
    verification: Literal["published"]
    task: Task | None = None
    style: Literal["description", "triplet"] | None = None
    source: PublishedSource
    notes: list[str]
    columns: Annotated[list[PublishedColumn], Field(min_length=1)]
    rows: Annotated[list[PublishedRow], Field(min_length=1)]

    @field_validator("rows")
    @classmethod
    def _once(cls, rows: list[PublishedRow]) -> list[PublishedRow]:
        if len({row.system for row in rows}) < len(rows):
            raise ValueError("a system is there twice")
        return rows

    def best(self, column: PublishedColumn) -> str | None:
        """The best value of a column among systems, as printed; None with fewer than two."""
        values = [
            row.values[column.name]
            for row in self.rows
            if row.kind == "system" and column.name in row.values
        ]
        if len(values) < 2:
            return None
        return (max if column.higher_is_better else min)(values, key=float)


def read_published(folder: Path) -> Sequence[PublishedTable]:
    """Every `*.toml` of a folder, those of MM-DIA's tasks first, in the order of their names.

    Raises:
        UserError: no such folder, or a file that is no such table; the message names it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of published tables")
    tables = [_table(path) for path in sorted(folder.glob("*.toml"))]
    return sorted(tables, key=lambda table: (table.task or 9, table.style or ""))


def _table(path: Path) -> PublishedTable:
    try:
        table = PublishedTable.model_validate(tomllib.loads(read_bytes(path).decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise UserError(f"{path}: not a published table: {problems_of(error)[0]}") from None
    known = {column.name for column in table.columns}
    for row in table.rows:
        if unknown := sorted((row.values.keys() | row.plus_minus.keys()) - known):
            raise UserError(f"{path}: {row.system} has a value for no column: {unknown[0]}")
    return table
