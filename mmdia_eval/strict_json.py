"""JSON without its traps: what two readers could understand differently is refused, with its place.

Refused: files over a size limit, bytes that are not UTF-8, keys given twice, NaN, Infinity and
numbers that do not fit (`1e999`, integers past 2**53), lone surrogates, and deep nesting.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from mmdia_eval.errors import UserError

MAX_BYTES = 512 * 1024 * 1024
MAX_INTEGER = 2**53
"""Past this a reader that holds numbers as doubles (a browser) loses digits."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(data: bytes, where: str) -> Any:
    """The value that `data` says; `where` ("file" or "file:line") begins every error.

    Raises:
        UserError: not JSON, or JSON with one of the traps above.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        place = f"column {error.colno}"
        if error.lineno > 1:
            place = f"line {error.lineno}, {place}"
        raise UserError(f"{where}: not valid JSON: {error.msg} at {place}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        ) from None
    except UnicodeEncodeError:
        raise UserError(f"{where}: a string holds half of a surrogate pair (\\ud800…)") from None
    except RecursionError:
        raise UserError(f"{where}: lists and objects are nested too deeply") from None
    except _RefusedError as refused:
        raise UserError(f"{where}: {refused}") from None
    return value


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        UserError: there is no such file, it cannot be read, or it is larger than `max_bytes`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise UserError(f"{path}: {size:,} bytes, more than the {max_bytes:,} allowed")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def read_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """The one value of a JSON file. Raises UserError as `read_bytes` and `parse_json` do."""
    return parse_json(read_bytes(path, max_bytes), str(path))


def json_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a JSONL file with their numbers, from 1; blank lines are passed over."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield number, line


class _RefusedError(Exception):
    """What a hook found; `parse_json` adds the place."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(f"the key {key!r} is given twice in one object")
            seen.add(key)
    return value


def _constant(name: str) -> NoReturn:
    raise _RefusedError(f"{name} is not a JSON number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RefusedError(f"the number {digits[:40]} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise _RefusedError(f"the integer {digits[:40]} is too large")
    return int(digits)
