"""Downloads of models: the only place that asks the network for one.

Files arrive in `<models folder>/.incoming/<id>`, where a stopped download goes on, and move to the
model's folder once their sha256 is the listed one, or the one that the source itself states.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmdia_eval import model_files, models
from mmdia_eval.errors import UserError
from mmdia_eval.models import INDEX, Model, ModelFile, State
from mmdia_eval.store import file_sha256

SPARE = 500_000_000
"""Bytes of disk that a download leaves free."""
TIMEOUT = 60.0
CHUNK = 1 << 20

Progress = Callable[[str, int, int | None], None]
"""Told a file's name, the bytes that are here, and its size where known."""


@dataclass(frozen=True)
class Source:
    """What the source says of a file: its digest (sha256, or git's sha1 of small files), its size.

    `commit` is the state of the repository that it speaks of.
    """

    digest: str | None
    size: int | None
    commit: str | None = None


def fetch(id_: str, progress: Progress) -> Path:
    """Bring a model's files that are not here and right. Returns its folder.

    Raises:
        UserError: the network is forbidden, the model is gated and there is no token or its terms
            are not accepted, the disk is too small, the source cannot be reached, or it gave
            another file than the listed one. Each says what to do; what was downloaded stays.
    """
    model = models.get(id_)
    todo = _todo(model)
    target = models.root() / id_
    if not todo:
        return models.folder(id_)
    if models.offline():
        raise UserError(f"model {id_!r} is to be fetched, but MMDIA_OFFLINE forbids the network")
    origin = _Hub(model) if model.repo else _Web(model)
    try:
        _check_space(model, todo)
        for file in todo:
            _bring(model, origin, file, target, progress)
    except OSError as error:
        raise UserError(f"model {id_!r}: {_explain(error)}; what is here stays") from error
    shutil.rmtree(models.incoming(id_), ignore_errors=True)
    return models.folder(id_)


def _todo(model: Model) -> list[ModelFile]:
    found = models.check(model.id)
    good = {c.file.name for c in found.files if c.state in (State.VERIFIED, State.PINNED)}
    files = models.files_of(model, found.folder) if found.folder else model.files
    missing = [file for file in files if file.name not in good]
    if found.folder == models.root() / model.id or not missing:
        return missing
    return list(model.files)  # The hub's cache lacks some: the own folder gets all.


def _bring(
    model: Model, origin: _Hub | _Web, file: ModelFile, target: Path, progress: Progress
) -> None:
    stated = Source(file.sha256, file.size) if file.sha256 else origin.ask(file)
    if stated is None:
        _bring_parts(model, origin, file, target, progress)
        return
    path = target / file.name
    if not (file.sha256 is None and path.is_file() and _is(path, stated.digest)):
        part = origin.download(file, stated, progress)
        if not _is(part, stated.digest):
            part.unlink()
            raise UserError(
                f"model {model.id!r}: {model.page} gave another {file.name} than "
                f"{'the listed one' if file.sha256 else 'it said'} (sha256 or git digest "
                f"{stated.digest}): it was thrown away; try again, and tell the project if it stays"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    sha256 = stated.digest if file.sha256 and stated.digest else file_sha256(path)
    model_files.remember(path, sha256)
    if file.sha256 is None:
        models.pin(model.id, {file.name: sha256})


def _bring_parts(
    model: Model, origin: _Hub | _Web, file: ModelFile, target: Path, progress: Progress
) -> None:
    """A file the source does not have: weights may be split; an optional file may be absent."""
    if file.name == "model.safetensors":
        _bring(model, origin, ModelFile(name=INDEX), target, progress)
        for name in models.shards(target / INDEX):
            _bring(model, origin, ModelFile(name=name), target, progress)
    elif not file.optional:
        raise UserError(f"model {model.id!r}: {model.page} has no file {file.name}")


def _is(path: Path, digest: str | None) -> bool:
    """Whether the file has the digest: sha256, or git's sha1 of a blob."""
    if digest is None:
        return model_files.damage(path) is None
    if len(digest) == 64:
        return file_sha256(path) == digest
    content = path.read_bytes()
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest() == digest


def _check_space(model: Model, todo: list[ModelFile]) -> None:
    models.incoming(model.id).mkdir(parents=True, exist_ok=True)
    begun = sum(p.stat().st_size for p in models.incoming(model.id).rglob("*") if p.is_file())
    needed = sum(file.size or 0 for file in todo) - begun
    free = shutil.disk_usage(models.root()).free
    if needed + SPARE > free:
        raise UserError(
            f"model {model.id!r} takes {needed / 1e9:.1f} GB more, {models.root()} has "
            f"{free / 1e9:.1f} GB free: make room, or name another folder with --models"
        )


def _explain(error: OSError) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"the download stopped: {first}: the same command goes on"


class _Hub:
    """The Hugging Face hub, or what `HF_ENDPOINT` names in its place."""

    def __init__(self, model: Model) -> None:
        if find_spec("huggingface_hub") is None:
            raise UserError(
                f"model {model.id!r} comes from the Hugging Face hub: pip install huggingface-hub"
            )
        from huggingface_hub import get_token  # noqa: PLC0415

        self.model = model
        self.endpoint = os.environ.get("HF_ENDPOINT")
        self.token = os.environ.get(models.TOKEN_VARIABLE) or get_token()
        if model.gated and not self.token:
            raise UserError(_gated(model, "there is no token"))

    def ask(self, file: ModelFile) -> Source | None:
        """What the hub says of a file; None when it has none of that name."""
        import huggingface_hub as hub  # noqa: PLC0415

        url = hub.hf_hub_url(
            str(self.model.repo), file.name, revision=self.model.revision, endpoint=self.endpoint
        )
        found = self._call(
            lambda: hub.get_hf_file_metadata(
                url, token=self.token or False, endpoint=self.endpoint, retry_on_errors=True
            )
        )
        return found and Source(found.etag, found.size, found.commit_hash)

    def download(self, file: ModelFile, stated: Source, progress: Progress) -> Path:
        """The file, in the incoming folder. The hub's library shows the progress itself."""
        import huggingface_hub as hub  # noqa: PLC0415

        found = self._call(
            lambda: hub.hf_hub_download(
                str(self.model.repo),
                file.name,
                revision=stated.commit or self.model.revision,
                local_dir=models.incoming(self.model.id),
                token=self.token or False,
                endpoint=self.endpoint,
            )
        )
        if found is None:
            raise UserError(f"model {self.model.id!r}: {self.model.page} has no file {file.name}")
        return Path(found)

    def _call(self, request: Callable[[], Any]) -> Any:
        """The request's answer; None for a file that does not exist. Errors become OSErrors."""
        from huggingface_hub import errors  # noqa: PLC0415

        try:
            return request()
        except errors.GatedRepoError:
            why = "the token is not accepted there" if self.token else "there is no token"
            raise UserError(_gated(self.model, why)) from None
        except errors.RemoteEntryNotFoundError:
            return None
        except errors.OfflineModeIsEnabled:
            raise UserError("HF_HUB_OFFLINE forbids the network: unset it to fetch") from None
        except errors.HTTPError as error:  # type: ignore[attr-defined]
            raise OSError(str(error)) from error


def _gated(model: Model, why: str) -> str:
    return (
        f"model {model.id!r} is gated, and {why}: accept its terms at {model.page}, make a token "
        f"at https://huggingface.co/settings/tokens, and set {models.TOKEN_VARIABLE} to it"
    )


class _Web:
    """Files below one web address."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def ask(self, file: ModelFile) -> Source:
        """Nothing: a web server states no digest."""
        return Source(file.sha256, file.size)

    def download(self, file: ModelFile, stated: Source, progress: Progress) -> Path:
        """The file, in the incoming folder; what is there of it is continued."""
        part = models.incoming(self.model.id) / f"{file.name}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        have = part.stat().st_size if part.exists() else 0
        if stated.size is None or have != stated.size:
            self._stream(f"{self.model.url}/{file.name}", part, have, file, progress)
        if stated.size is not None and part.stat().st_size < stated.size:
            raise OSError(f"{part.stat().st_size} of {stated.size} bytes came")
        return part

    @staticmethod
    def _stream(url: str, part: Path, have: int, file: ModelFile, progress: Progress) -> None:
        headers: Mapping[str, str] = {"Range": f"bytes={have}-"} if have else {}
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - listed
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - listed
        except urllib.error.HTTPError as error:
            if error.code == 416:  # What is here is not the start of that file.
                part.unlink()
            raise
        with answer, part.open("ab" if answer.status == 206 else "wb") as out:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                progress(file.name, out.tell(), file.size)
