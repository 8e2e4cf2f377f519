"""Artifacts on disk, one file each, named by the sha256 of what made them.

Writes are atomic, so a killed run loses only what it was doing. Every file carries the sha256 of
its content; one that is truncated or edited is thrown away when read, and made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from mmdia_eval.artifacts import Artifact
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.types import Audio, FloatArray, Frames

A = TypeVar("A", bound=Artifact)
D = TypeVar("D")
FORMAT = 1


def default_root() -> Path:
    """`MMDIA_CACHE`, or the user's cache folder."""
    from platformdirs import user_cache_path  # noqa: PLC0415

    named = os.environ.get("MMDIA_CACHE")
    return Path(named) if named else user_cache_path("mmdia-eval", appauthor=False)


def digest(value: Any) -> str:
    """sha256 of the value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def unfinished(key: str) -> str:
    """The key of what a failed question left of an artifact, which is not the artifact."""
    return digest(["unfinished", key])


def file_sha256(path: Path) -> str:
    """sha256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """The artifacts below one folder. `discarded` counts the damaged files met so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.discarded = 0

    def path(self, kind: type[Artifact], key: str) -> Path:
        suffix = "safetensors" if _array_fields(kind) else "jsonl"
        return self.root / "artifacts" / kind.kind / key[:2] / f"{key}.{suffix}"

    def write(self, key: str, artifact: Artifact) -> None:
        """Keep the artifact under its key."""
        kind = type(artifact)
        arrays = {name: np.asarray(getattr(artifact, name)) for name in _array_fields(kind)}
        plain = {f.name: getattr(artifact, f.name) for f in fields(kind) if f.name not in arrays}
        value = json.dumps(to_jsonable_python(plain), separators=(",", ":"), allow_nan=False)
        content = _pack_tensors(key, value, arrays) if arrays else _pack_json(key, value)
        write_atomic(self.path(kind, key), content)

    def read(self, kind: type[A], key: str) -> A | None:
        """The artifact, or None when it was never made or its file is damaged."""
        found = self._verified(kind, key)
        if found is None:
            return None
        value, body = found
        try:
            return _decode(kind, value, body)
        except (ValidationError, ValueError, TypeError):
            self._discard(kind, key)
            return None

    def has(self, kind: type[Artifact], key: str) -> bool:
        """Whether an undamaged file is there, judged by its digest."""
        return self._verified(kind, key) is not None

    def _verified(self, kind: type[Artifact], key: str) -> tuple[bytes, bytes] | None:
        try:
            with self.path(kind, key).open("rb") as file:
                raw = file.read()
        except FileNotFoundError:
            return None
        unpack = _unpack_tensors if _array_fields(kind) else _unpack_json
        found = unpack(raw, key)
        if found is None:
            self._discard(kind, key)
        return found

    def _discard(self, kind: type[Artifact], key: str) -> None:
        self.discarded += 1
        self.path(kind, key).unlink(missing_ok=True)

    def audio_path(self, sha256: str) -> Path:
        return self.root / "audio" / f"{sha256}.npy"

    def write_audio(self, sha256: str, audio: Audio) -> None:
        """Keep a file's decoded sound for the other stages of this run."""
        path = self.audio_path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(8)}.part")
        with part.open("wb") as file:
            np.save(file, audio.samples)
        part.replace(path)

    def read_audio(self, sha256: str) -> Audio | None:
        """The decoded sound, mapped into memory; None when it is not there or cut short."""
        with contextlib.suppress(OSError, ValueError):
            samples: FloatArray = np.load(self.audio_path(sha256), mmap_mode="r")
            return Audio(samples)
        return None

    def frames_path(self, sha256: str) -> Path:
        return self.root / "frames" / f"{sha256}.npy"

    def write_frames(self, sha256: str, decode: Callable[[Path], D]) -> D:
        """Let `decode` write a file's frames to a path, and keep them for this run if it did."""
        path = self.frames_path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(8)}.part")
        try:
            found = decode(part)
            with path.with_suffix(".decodes").open("ab") as count:
                count.write(b".")
            if part.exists():
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return found

    def read_frames(self, sha256: str) -> Frames | None:
        """The decoded frames, mapped into memory; None when they are not there or cut short."""
        with contextlib.suppress(OSError, ValueError):
            frames: Frames = np.load(self.frames_path(sha256), mmap_mode="r")
            return frames
        return None

    def decodes(self, sha256: str) -> int:
        """How often the file's frames were decoded since its media were last dropped."""
        with contextlib.suppress(OSError):
            return self.frames_path(sha256).with_suffix(".decodes").stat().st_size
        return 0

    def existing_root(self) -> Path:
        """The root, or the nearest folder above it that exists."""
        return next(p for p in (self.root, *self.root.resolve().parents) if p.exists())

    def drop_media(self, sha256: str) -> None:
        """Forget a file's sound and frames."""
        frames = self.frames_path(sha256)
        for path in (self.audio_path(sha256), frames, frames.with_suffix(".decodes")):
            path.unlink(missing_ok=True)

    def read_timings(self) -> dict[str, tuple[float, float]]:
        """Per extractor: seconds of audio heard on this machine, and CPU seconds it took."""
        try:
            return {k: (v[0], v[1]) for k, v in json.loads(self._timings.read_bytes()).items()}
        except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError):
            return {}

    def add_timing(self, extractor: str, audio_seconds: float, cpu_seconds: float) -> None:
        """Remember what a stage took, for the estimate of `--dry-run`."""
        timings = self.read_timings()
        old = timings.get(extractor, (0.0, 0.0))
        timings[extractor] = (old[0] + audio_seconds, old[1] + cpu_seconds)
        with contextlib.suppress(UserError):  # an estimate is not worth a run
            write_atomic(self._timings, json.dumps(timings, sort_keys=True).encode())

    @property
    def _timings(self) -> Path:
        return self.root / "timings.json"


def _array_fields(kind: type[Artifact]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.type == "FloatArray")


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def _sha256(key: str, value: bytes, body: bytes) -> str:
    return hashlib.sha256(b"\n".join([f"{FORMAT} {key}".encode(), value, body])).hexdigest()


def _pack_json(key: str, value: str) -> bytes:
    sha256 = _sha256(key, value.encode(), b"")
    return f"{json.dumps({'key': key, 'sha256': sha256})}\n{value}\n".encode()


def _unpack_json(raw: bytes, key: str) -> tuple[bytes, bytes] | None:
    header, _, value = raw.removesuffix(b"\n").partition(b"\n")
    expected = f'"sha256": "{_sha256(key, value, b"")}"'.encode()
    return (value, b"") if expected in header else None


def _pack_tensors(key: str, value: str, arrays: Mapping[str, Any]) -> bytes:
    from safetensors.numpy import save  # noqa: PLC0415

    tensors, body = _split_tensors(save(dict(arrays)))
    metadata = {"fields": value, "sha256": _sha256(key, _described(tensors, value), body)}
    packed: bytes = save(dict(arrays), metadata=metadata)
    return packed


def _unpack_tensors(raw: bytes, key: str) -> tuple[bytes, bytes] | None:
    try:
        tensors, body = _split_tensors(raw)
        metadata = tensors.pop("__metadata__")
        value, sha256 = metadata["fields"], metadata["sha256"]
        described = _described(tensors, value)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return (value.encode(), raw) if _sha256(key, described, body) == sha256 else None


def _split_tensors(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and body of a safetensors file."""
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def _described(tensors: Mapping[str, Any], value: str) -> bytes:
    return f"{digest(tensors)} {value}".encode()


def _decode(kind: type[A], value: bytes, body: bytes) -> A:
    if not body:
        artifact: A = _adapter(kind).validate_json(value)
        return artifact
    from safetensors.numpy import load  # noqa: PLC0415

    artifact = _adapter(kind).validate_python({**json.loads(value), **load(body)})
    return artifact
