"""Large files: their sha256, computed once, and whether one is cut short."""

from __future__ import annotations

import contextlib
import json
import time
import zipfile
from pathlib import Path

from mmdia_eval.files import write_atomic
from mmdia_eval.store import default_root, file_sha256

SETTLED = 0.1
"""Seconds since the last change before a hash is remembered: kernels stamp files by the tick."""


def sha256(path: Path) -> str:
    """sha256 of the file's bytes; remembered until its size, times or inode change.

    The memory is `model_sha256.json` in the cache folder. Processes that write it at once may lose
    each other's entries, never more.
    """
    key, stamp = _identity(path)
    entry = _read().get(key)
    if entry is not None and entry[:-1] == stamp:
        return str(entry[-1])
    found = file_sha256(path)
    if _identity(path) == (key, stamp):
        remember(path, found)
    return found


def remember(path: Path, found: str) -> None:
    """Keep a sha256 that was just computed of this file."""
    key, stamp = _identity(path)
    if time.time() - path.stat().st_mtime < SETTLED:
        return
    with contextlib.suppress(OSError):
        memory = {known: entry for known, entry in _read().items() if Path(known).exists()}
        write_atomic(_memory(), json.dumps({**memory, key: [*stamp, found]}).encode())


def forget(path: Path) -> None:
    """Compute the file's sha256 afresh the next time it is asked for."""
    memory = _read()
    if memory.pop(str(path.resolve()), None) is not None:
        with contextlib.suppress(OSError):
            write_atomic(_memory(), json.dumps(memory).encode())


def damage(path: Path) -> str | None:
    """How a file is cut short, as far as its own format tells at a glance; None if it seems whole.

    Knows safetensors (the header says how long the file is), zip archives, which torch and numpy
    write (the directory is at the end), and JSON.
    """
    if path.stat().st_size == 0 and path.suffix != ".txt":  # A vocabulary may have no merges.
        return "is empty"
    if path.suffix == ".safetensors":
        return _safetensors_damage(path)
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04" and not zipfile.is_zipfile(path):
        return "is cut short: the archive's end is missing"
    if path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except ValueError:
            return "is cut short or no JSON"
    return None


def _safetensors_damage(path: Path) -> str | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length < size else b""
    try:
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        body = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return "has no whole safetensors header"
    expected = 8 + length + body
    return None if size == expected else f"has {size} bytes; its own header says {expected}"


def _identity(path: Path) -> tuple[str, list[int]]:
    real = path.resolve()
    found = real.stat()
    return str(real), [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _memory() -> Path:
    return default_root() / "model_sha256.json"


def _read() -> dict[str, list[int | str]]:
    try:
        found = json.loads(_memory().read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
