"""What maintainers say of entries: verified, disputed, withdrawn. Added to, never taken back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from mmdia_eval.errors import UserError
from mmdia_eval.manifest import problems_of
from mmdia_eval.results import Record
from mmdia_eval.strict_json import parse_json, read_bytes

Status = Literal["active", "disputed", "withdrawn", "superseded"]
GONE: frozenset[str] = frozenset({"withdrawn", "superseded"})
"""States whose entries leave the tables for the list of tombstones."""

ENTRY_ID = r"^[a-z0-9][a-z0-9._-]{0,120}$"


def _day(value: str) -> str:
    date.fromisoformat(value)
    return value


class Change(Record):
    """One decision on an entry: what it is now, why, who decided, and on which day (ISO 8601).

    `verification` is what maintainers did: without it the entry keeps what it had.
    """

    status: Status
    verification: Literal["self-reported", "re-scored"] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    who: Annotated[str, Field(min_length=1, max_length=200)]
    when: Annotated[str, AfterValidator(_day)]
    superseded_by: Annotated[str, Field(pattern=ENTRY_ID)] | None = None

    @model_validator(mode="after")
    def _names_its_successor(self) -> Self:
        if (self.status == "superseded") != (self.superseded_by is not None):
            raise ValueError("superseded_by goes with the status superseded")
        return self


class EntryState(Record):
    """`entries/<id>.json`: the decisions on one entry, oldest first; the last holds."""

    schema_version: Literal["1.0"]
    changes: Annotated[list[Change], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        days = [change.when for change in self.changes]
        if days != sorted(days):
            raise ValueError("changes should be in the order of their days")
        return self

    @property
    def current(self) -> Change:
        return self.changes[-1]

    @property
    def verification(self) -> Literal["self-reported", "re-scored"]:
        """What maintainers last said of it."""
        said = [change.verification for change in self.changes if change.verification]
        return said[-1] if said else "self-reported"


def read_states(folder: Path) -> Mapping[str, EntryState]:
    """The files of a folder by entry id.

    Raises:
        UserError: no such folder, or a file with a problem; the message names it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of entries")
    return {path.stem: _state(path) for path in sorted(folder.glob("*.json"))}


def _state(path: Path) -> EntryState:
    if not re.fullmatch(ENTRY_ID, path.stem):
        raise UserError(f"{path}: not named after an entry's id (small letters, digits, . _ -)")
    try:
        return EntryState.model_validate(parse_json(read_bytes(path), str(path)))
    except ValidationError as error:
        raise UserError(f"{path}: not an entry's state: {problems_of(error)[0]}") from None
