"""Where in a JSON text something stands, for findings that name a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from json import JSONDecodeError

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def line_of(text: str, path: Sequence[str | int]) -> int | None:
    r"""The line, from 1, of the value at `path` (keys and indices), or of the nearest around it.

    None where what comes before it is not JSON.

    >>> line_of('{"a": 1,\n "b": [1,\n 2]}', ["b", 1])
    3
    """
    try:
        at = _skip(text, 0)
        for part in path:
            inside = _inside(text, at, part)
            if inside is None:
                break
            at = inside
    except (JSONDecodeError, IndexError, RecursionError):
        return None
    return text.count("\n", 0, at) + 1


def _inside(text: str, at: int, part: str | int) -> int | None:
    for key, start in _members(text, at):
        if key == part:
            return start
    return None


def _members(text: str, at: int) -> Iterable[tuple[str | int, int]]:
    """The keys or indices of the object or list at `at`, each with where its value begins."""
    closing = {"{": "}", "[": "]"}.get(text[at])
    if closing is None:
        return
    index = 0
    at = _skip(text, at + 1)
    while text[at] != closing:
        key: str | int = index
        if closing == "}":
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        yield key, at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
