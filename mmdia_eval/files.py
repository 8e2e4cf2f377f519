"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.keys import refuse_keys


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, making its folder: a killed process leaves the old file or the new.

    The file gets the mode that an ordinary new file would get.

    Raises:
        KeyLeakError: `data` holds the key of a service; nothing is written.
        UserError: the disk is full, or it cannot be written there; what was there is kept.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """As `write_atomic`, of files that name each other: none is replaced before all are written."""
    temporary: dict[Path, Path] = {}
    path = Path()
    try:
        for path, data in contents.items():
            refuse_keys(data, path)
            temporary[path] = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary[path].open("xb") as file:
                file.write(data)
        for path, written in temporary.items():
            written.replace(path)
    except OSError as error:
        _remove(temporary.values())
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    except BaseException:
        _remove(temporary.values())
        raise


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
