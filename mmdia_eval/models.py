"""Model files: where each comes from, where it lies here, and whether it is the right one.

`models.toml` lists every model with the sha256 of its files. A model is looked for in
`<models folder>/<id>`, then in the hub's own cache. What may be loaded:

- verified: the file's sha256 is the listed one.
- pinned: none is listed, and it is the file that `models fetch` took from its source, or that
  `models verify --pin` accepted. A pin shows that a file has not changed since; only a listed hash
  shows that it is the file others scored with. So results name it as not verified.
- unverified, wrong: refused, unless `MMDIA_ALLOW_UNVERIFIED_MODELS` allows it; results name it.
- incomplete, missing: never.

Scoring never asks the network for a model: only `models fetch` does.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from mmdia_eval import model_files
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.types import Weights

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - the variable's name
INDEX = "model.safetensors.index.json"
"""Beside weights that transformers wrote in several files: which tensor is in which."""


class State(StrEnum):
    """What is known of a file, best first."""

    VERIFIED = "verified"
    PINNED = "pinned"
    UNVERIFIED = "unverified"
    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    MISSING = "missing"


ORDER = tuple(State)


class ModelFile(BaseModel):
    """A file of a model, by its path inside the model's folder; size in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size: int | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    optional: bool = False


class Model(BaseModel):
    """A model: a repository of the Hugging Face hub, or files below one web address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    repo: str | None = None
    url: str | None = None
    revision: str | None = None
    licence: str
    gated: bool = False
    files: tuple[ModelFile, ...]

    @property
    def page(self) -> str:
        """The page that describes it, where the terms of a gated model are accepted."""
        return f"https://huggingface.co/{self.repo}" if self.repo else str(self.url)

    @property
    def size(self) -> int | None:
        """Bytes of all files, where the size of each is listed."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size)


@dataclass(frozen=True)
class FileCheck:
    """What was found of one file; `sha256` is None where there is no whole file."""

    file: ModelFile
    state: State
    note: str = ""
    sha256: str | None = None


@dataclass(frozen=True)
class ModelCheck:
    """What was found of a model. `folder` is where its files lie, None where there are none."""

    model: Model
    folder: Path | None
    files: tuple[FileCheck, ...]

    @property
    def state(self) -> State:
        """The state of its worst file."""
        return max((check.state for check in self.files), key=ORDER.index)


@cache
def manifest() -> Mapping[str, Model]:
    """Every listed model by id."""
    text = resources.files("mmdia_eval").joinpath("models.toml").read_text("utf-8")
    entries = [{"id": id_, **entry} for id_, entry in tomllib.loads(text).items()]
    return {model.id: model for model in TypeAdapter(list[Model]).validate_python(entries)}


def get(id_: str) -> Model:
    """The listed model of that id.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    if id_ not in manifest():
        raise UserError(f"unknown model {id_!r}; known: {', '.join(manifest())}")
    return manifest()[id_]


def root() -> Path:
    """The models folder: `MMDIA_MODELS`, or the user's data folder."""
    from platformdirs import user_data_path  # noqa: PLC0415

    named = os.environ.get("MMDIA_MODELS")
    return Path(named) if named else user_data_path("mmdia-eval", appauthor=False) / "models"


def offline() -> bool:
    """Whether the user forbade the network, by `MMDIA_OFFLINE`."""
    return _switched_on("MMDIA_OFFLINE")


def unverified_allowed() -> bool:
    """Whether the user allows files that are not the listed ones."""
    return _switched_on("MMDIA_ALLOW_UNVERIFIED_MODELS")


def keep_libraries_offline() -> None:
    """Forbid model libraries this process's network. Call before they are imported."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"


def check(id_: str) -> ModelCheck:
    """What is here of a model. Computes the sha256 of each file once (`model_files.sha256`).

    Raises:
        UserError: no such model is listed.
    """
    model = get(id_)
    folder = folder_of(model)
    if folder is None:
        missing = [FileCheck(f, State.MISSING) for f in model.files if not f.optional]
        return ModelCheck(model, None, tuple(missing))
    pins = read_pins(id_)
    files = [
        check_file(folder, file, pins)
        for file in files_of(model, folder)
        if not file.optional or (folder / file.name).exists()
    ]
    return ModelCheck(model, folder, tuple(files))


def check_file(folder: Path, file: ModelFile, pins: Mapping[str, str]) -> FileCheck:
    """What is known of one file of the model folder."""
    path = folder / file.name
    if not path.is_file():
        begun = [end for end in (".part", ".incomplete") if Path(f"{path}{end}").exists()]
        note = f"half-downloaded: {path.name}{begun[0]}" if begun else ""
        return FileCheck(file, State.INCOMPLETE if begun else State.MISSING, note)
    size = path.stat().st_size
    if file.size in (None, size):
        found = model_files.sha256(path)
        if found == (file.sha256 or pins.get(file.name)):
            return FileCheck(file, State.VERIFIED if file.sha256 else State.PINNED, "", found)
    if damage := model_files.damage(path):
        return FileCheck(file, State.INCOMPLETE, damage)
    found = model_files.sha256(path)
    if file.size not in (None, size):
        half = "; half-downloaded, or another file" if size < (file.size or 0) else ""
        return FileCheck(file, State.WRONG, f"{size} bytes, listed {file.size}{half}", found)
    if expected := file.sha256 or pins.get(file.name):
        listed = "listed" if file.sha256 else "pinned"
        return FileCheck(file, State.WRONG, f"sha256 {found}, {listed} {expected}", found)
    return FileCheck(file, State.UNVERIFIED, f"sha256 {found}, none is listed", found)


def problems(id_: str) -> list[str]:
    """Why the model cannot be used here, each with what to do; empty when it can.

    An id that is not listed is such a problem, too.
    """
    try:
        return refusals(check(id_))
    except UserError as error:
        return [str(error)]


def usable(state: State) -> bool:
    """Whether a file in that state may be loaded, as the switches stand."""
    if state in (State.UNVERIFIED, State.WRONG):
        return unverified_allowed()
    return state in (State.VERIFIED, State.PINNED)


def folder(id_: str) -> Path:
    """The folder of the model's files, each checked.

    Raises:
        UserError: a file is missing, incomplete or not the listed one.
    """
    return _usable(id_)[0]


def weights(id_: str) -> tuple[Weights, ...]:
    """The model's files with their sha256, as `<id>/<file>`.

    Raises:
        UserError: as `folder`.
    """
    return tuple(
        Weights(f"{id_}/{file.file.name}", file.sha256, file.state is State.VERIFIED)
        for file in _usable(id_)[1]
        if file.sha256
    )


def files_of(model: Model, folder: Path) -> Iterator[ModelFile]:
    """The model's files as they lie in `folder`: unlisted weights may be split, with an index."""
    for file in model.files:
        whole = folder / file.name
        may_be_split = file.sha256 is None and file.name == "model.safetensors"
        if may_be_split and not whole.exists() and (folder / INDEX).is_file():
            yield ModelFile(name=INDEX)
            yield from (ModelFile(name=name) for name in shards(folder / INDEX))
        else:
            yield file


def shards(index: Path) -> list[str]:
    """The files that an index of split weights names; none when it cannot be read."""
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        return []
    return sorted(name for name in names if isinstance(name, str) and Path(name).name == name)


def incoming(id_: str) -> Path:
    """Where `models fetch` keeps what it has of a model until its files are checked."""
    return root() / ".incoming" / id_


def read_pins(id_: str) -> dict[str, str]:
    """The accepted sha256 of a model's files of which none is listed."""
    try:
        found = json.loads(_pins(id_).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def pin(id_: str, accepted: Mapping[str, str]) -> None:
    """Accept files by their sha256. Raises OSError when the models folder cannot be written."""
    pins = {**read_pins(id_), **accepted}
    write_atomic(_pins(id_), f"{json.dumps(pins, indent=1, sort_keys=True)}\n".encode())


def accept(found: ModelCheck) -> None:
    """Pin the files of which no sha256 is listed, as they were found.

    Raises:
        UserError: the models folder cannot be written.
    """
    unlisted = {c.file.name: c.sha256 for c in found.files if c.sha256 and not c.file.sha256}
    if not unlisted:
        return
    try:
        pin(found.model.id, unlisted)
    except OSError as error:
        raise UserError(f"{root()} cannot be written: {error}") from None


def forget(id_: str) -> None:
    """Read the model's files afresh the next time they are checked."""
    model = get(id_)
    if folder := folder_of(model):
        for file in files_of(model, folder):
            model_files.forget(folder / file.name)


def how_to_fetch(model: Model) -> str:
    """The command that brings a model, and what it takes."""
    size = f" ({model.size / 1e9:.2g} GB)" if model.size else ""
    terms = f", after accepting its terms at {model.page} and setting {TOKEN_VARIABLE}"
    return f"mmdia-eval models fetch {model.id}{size}{terms if model.gated else ''}"


def _usable(id_: str) -> tuple[Path, tuple[FileCheck, ...]]:
    found = check(id_)
    problems_found = refusals(found)
    if problems_found or found.folder is None:
        raise UserError("\n".join(problems_found))
    return found.folder, found.files


def refusals(found: ModelCheck) -> list[str]:
    """Why what was found cannot be used, each with what to do."""
    model = found.model
    if found.folder is None:
        cached = f", nor is {model.repo} in the hub's cache" if model.repo else ""
        begun = " (its download was begun)" if incoming(model.id).exists() else ""
        return [f"model {model.id!r} is not in {root()}{begun}{cached}: {how_to_fetch(model)}"]
    return [
        f"model {model.id!r}: {found.folder / file.file.name} is {file.state}"
        f"{f' ({file.note})' if file.note else ''}: {_remedy(model, file)}"
        for file in found.files
        if not usable(file.state)
    ]


def _remedy(model: Model, file: FileCheck) -> str:
    if file.state is State.UNVERIFIED:
        return f"mmdia-eval models verify --pin {model.id} accepts it as it is"
    if file.state is State.WRONG:
        replaced = f"{how_to_fetch(model)} replaces it"
        return f"{replaced}; --allow-unverified-models uses it and marks the result"
    return how_to_fetch(model)


def folder_of(model: Model) -> Path | None:
    """Its own folder if that holds any of its files, else the hub's snapshot of it, or None."""
    own = root() / model.id
    if any((own / file.name).exists() for file in (*model.files, ModelFile(name=INDEX))):
        return own
    if model.repo is None or find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    for file in model.files:
        found = try_to_load_from_cache(model.repo, file.name, revision=model.revision)
        if isinstance(found, str):
            return Path(found.removesuffix(file.name))
    return None


def _pins(id_: str) -> Path:
    return root() / "pins" / f"{id_}.json"


def _switched_on(name: str) -> bool:
    return os.environ.get(name, "").lower() not in ("", "0", "false", "no", "off")
