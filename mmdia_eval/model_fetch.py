"""Downloads of models: the only place that asks the network for one.

Files arrive in `<models folder>/.incoming/<id>`, where a stopped download goes on, and move to the
model's folder once their sha256 is the listed one, or the one that the source itself states.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mmdia_eval import model_files, models
from mmdia_eval.errors import UserError
from mmdia_eval.models import INDEX, Model, ModelFile, State
from mmdia_eval.store import file_sha256

SPARE = 500_000_000
"""Bytes of disk that a download leaves free."""
TIMEOUT = 60.0
TRIES, PAUSE = 5, 2.0
"""How often a broken connection is taken up again, and the seconds before."""
CHUNK = 1 << 20

Progress = Callable[[str, int, int | None], None]
"""Told a file's name, the bytes that are here, and its size where known."""


@dataclass(frozen=True)
class Source:
    """Where to get a file, and what the source says of it: its digest and its size.

    The digest is a sha256, or of the hub's small files git's sha1.
    """

    url: str
    headers: Mapping[str, str]
    digest: str | None
    size: int | None


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
    source = origin.ask(file)
    if source is None:
        _bring_parts(model, origin, file, target, progress)
        return
    _refuse_unless(_could_be(file, source), model, file)
    path = target / file.name
    digest = file.sha256 or source.digest
    if not (path.is_file() and _is(path, digest)):
        part = models.incoming(model.id) / f"{file.name}.part"
        _download(source, part, lambda done: progress(file.name, done, source.size))
        good = _is(part, digest)
        if not good:
            part.unlink()
        _refuse_unless(good, model, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    sha256 = file.sha256 or file_sha256(path)
    model_files.remember(path, sha256)
    if file.sha256 is None:
        models.pin(model.id, {file.name: sha256})


def _could_be(file: ModelFile, source: Source) -> bool:
    """Whether what the source says leaves room for the listed file: asked before gigabytes come."""
    other_size = None not in (file.size, source.size) and file.size != source.size
    digest = source.digest or ""
    return not other_size and not (file.sha256 and len(digest) == 64 and digest != file.sha256)


def _refuse_unless(good: bool, model: Model, file: ModelFile) -> None:
    if not good:
        stated = f"the listed one (sha256 {file.sha256})" if file.sha256 else "it said itself"
        raise UserError(
            f"model {model.id!r}: {model.page} gives another {file.name} than {stated}; "
            "it is not kept. Try again; if it stays so, tell the project"
        )


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


def _download(source: Source, part: Path, progress: Callable[[int], None]) -> None:
    """Bring the whole file to `part`; what is there of it is continued."""
    part.parent.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(TRIES)):
        have = part.stat().st_size if part.exists() else 0
        if source.size is not None and have == source.size:
            return
        try:
            _stream(source, part, have, progress)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # What is here is no start of that file.
                part.unlink()
            if error.code < 500 or not left:
                raise
        except (OSError, http.client.HTTPException) as error:
            if not left:
                raise OSError(str(error)) from error
        else:
            if source.size in (None, part.stat().st_size):
                return
        time.sleep(PAUSE)
    raise OSError(f"{part.stat().st_size} of {source.size} bytes came")


def _stream(source: Source, part: Path, have: int, progress: Callable[[int], None]) -> None:
    headers = {**source.headers, **({"Range": f"bytes={have}-"} if have else {})}
    request = urllib.request.Request(source.url, headers=headers)  # noqa: S310 - listed
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT) as answer,  # noqa: S310 - listed
        part.open("ab" if answer.status == 206 else "wb") as out,
    ):
        while chunk := answer.read(CHUNK):
            out.write(chunk)
            progress(out.tell())


class _Web:
    """Files below one web address."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def ask(self, file: ModelFile) -> Source:
        """A web server states no digest."""
        return Source(f"{self.model.url}/{file.name}", {}, None, file.size)


class _Hub:
    """The Hugging Face hub, or what `HF_ENDPOINT` names in its place.

    Its library is asked for all but the transfer, which since version 2 it does not take up again
    after a stop (huggingface_hub 2.4, `_download_to_tmp_and_move`).
    """

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
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

        repo, revision = str(self.model.repo), self.model.revision
        url = hf_hub_url(repo, file.name, revision=revision, endpoint=self.endpoint)
        try:
            found = get_hf_file_metadata(
                url, token=self.token or False, endpoint=self.endpoint, retry_on_errors=True
            )
        except errors.GatedRepoError:
            why = "the token is not accepted there" if self.token else "there is no token"
            raise UserError(_gated(self.model, why)) from None
        except errors.RemoteEntryNotFoundError:
            return None
        except errors.OfflineModeIsEnabled:
            raise UserError("HF_HUB_OFFLINE forbids the network: unset it to fetch") from None
        except errors.HTTPError as error:  # type: ignore[attr-defined]
            raise OSError(str(error)) from error
        # The token is the hub's: the store that it may send us to must not see it.
        own = urlsplit(found.location).netloc == urlsplit(url).netloc
        headers = {"Authorization": f"Bearer {self.token}"} if own and self.token else {}
        return Source(found.location, headers, found.etag, found.size)


def _gated(model: Model, why: str) -> str:
    return (
        f"model {model.id!r} is gated, and {why}: accept its terms at {model.page}, make a token "
        f"at https://huggingface.co/settings/tokens, and set {models.TOKEN_VARIABLE} to it"
    )
