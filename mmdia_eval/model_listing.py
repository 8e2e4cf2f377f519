"""The listed models, what is here of each, and which protocols want it, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from mmdia_eval import models, registry
from mmdia_eval.errors import UserError
from mmdia_eval.models import ModelCheck, State
from mmdia_eval.protocol import Protocol, load_protocol, protocol_names
from mmdia_eval.report import plain_console, plain_table, print_lines

COLOURS = {State.VERIFIED: "green", State.PINNED: "green", State.MISSING: "dim"}
UNKNOWN = "unknown"


def wanted(protocol: Protocol) -> list[str]:
    """Ids of the models that the protocol's extractors use, in the protocol's order."""
    found: dict[str, None] = {}
    for entry in protocol.extractors.values():
        try:
            cls = registry.extractor.get(entry.extractor)
            extractor = cls(cls.Settings.model_validate(entry.settings), ())
        except (UserError, ValidationError):
            continue  # The plan names what is wrong with it.
        found |= dict.fromkeys(extractor.models())
    return list(found)


def wanting() -> dict[str, list[str]]:
    """Names of the shipped protocols that want a model, by the model's id."""
    found: dict[str, list[str]] = {id_: [] for id_ in models.manifest()}
    for name in protocol_names():
        for id_ in wanted(load_protocol(name)):
            found.setdefault(id_, []).append(name)
    return found


def busy(what: str) -> AbstractContextManager[object]:
    """A sign of life on a terminal, where large files may be read for the first time."""
    console = Console(stderr=True)
    return console.status(what) if console.is_terminal else nullcontext()


def checked(ids: Iterable[str]) -> list[ModelCheck]:
    """`models.check` of each."""
    with busy("reading model files"):
        return [models.check(id_) for id_ in ids]


def print_models(found: Sequence[ModelCheck]) -> None:
    """One line a model."""
    wishes = wanting()
    table = plain_table()
    for title in ("model", "state", "size", "licence", "wanted by"):
        justify: Literal["right", "left"] = "right" if title == "size" else "left"
        table.add_column(title, justify=justify, overflow="fold", no_wrap=title == "model")
    for check in found:
        table.add_row(
            check.model.id,
            Text(state(check), COLOURS.get(check.state, "yellow")),
            size(check.model.size),
            f"{check.model.licence}, gated" if check.model.gated else check.model.licence,
            ", ".join(wishes.get(check.model.id, ())) or "-",
        )
    console = plain_console()
    console.print(table)
    print_lines(console, [f"models folder: {models.root()}"])


def print_files(found: ModelCheck) -> None:
    """One model with its source, and one line a file."""
    model = found.model
    console = plain_console()
    lines = [
        f"{model.id}: {model.title}",
        f"source: {model.page}" + (f", revision {model.revision or UNKNOWN}" if model.repo else ""),
        f"licence: {model.licence}{', gated: accept its terms at that page' * model.gated}",
        f"folder: {found.folder or 'none'}",
    ]
    print_lines(console, lines)
    table = plain_table()
    for title in ("file", "size", "sha256", "state"):
        justify: Literal["right", "left"] = "right" if title == "size" else "left"
        table.add_column(title, justify=justify, overflow="fold", no_wrap=title == "model")
    checks = {check.file.name: check for check in found.files}
    listed = {file.name: file for file in model.files} | {n: c.file for n, c in checks.items()}
    for name, file in listed.items():
        check = checks.get(name)
        what = Text(check.state, COLOURS.get(check.state, "yellow")) if check else Text("optional")
        table.add_row(name, size(file.size), file.sha256 or UNKNOWN, what)
    console.print(table)
    print_lines(console, models.problems(model.id), "yellow")


def state(found: ModelCheck) -> str:
    """The state of a model in a few words."""
    bad = [check for check in found.files if check.state is found.state]
    if found.folder is None or len(bad) == len(found.files):
        return str(found.state)
    if found.state in (State.VERIFIED, State.PINNED):
        return f"{found.state} ({len(bad)} of {len(found.files)} files)"
    return f"{found.state}: {', '.join(check.file.name for check in bad[:2])}"


def size(count: int | None) -> str:
    """Bytes, for people.

    >>> size(3087284237), size(444), size(None)
    ('3.09 GB', '444 B', 'unknown')
    """
    if count is None:
        return UNKNOWN
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"
