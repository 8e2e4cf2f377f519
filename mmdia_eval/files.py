"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import os
import tempfile
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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
