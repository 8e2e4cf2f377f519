"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import secrets
from pathlib import Path

from mmdia_eval.keys import refuse_keys


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, making its folder: a killed process leaves the old file or the new.

    The file gets the mode that an ordinary new file would get.

    Raises:
        KeyLeakError: `data` holds the key of a service; nothing is written.
    """
    refuse_keys(data, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
