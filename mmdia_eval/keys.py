"""Keys of services: read from the environment, kept out of logs and of everything written."""

from __future__ import annotations

import logging
import os
import traceback
from functools import cache
from typing import Any

from pydantic import SecretStr

from mmdia_eval.errors import UserError

VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "HF_TOKEN")
SHORTEST = 16
"""Characters. What is shorter ("EMPTY", for a local server) is no secret, and is in many texts."""
QUIET = (
    "aiohttp",
    "asyncio",
    "google",
    "google_genai",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "openai",
)
HIDDEN = "[key]"


class KeyLeakError(UserError):
    """Something about to be kept holds a key; the message says where, not what."""


def read_key(*variables: str) -> SecretStr | None:
    """The key in the first of these environment variables that has one, without white space.

    From then on no log record of this process shows a key.
    """
    for variable in variables:
        value = os.environ.get(variable, "").strip()
        if value:
            _guard_logs()
            return SecretStr(value)
    return None


def holds_key(text: str) -> bool:
    """Whether a key of the environment is in the text."""
    return any(value in text for value in _values())


def refuse_keys(data: bytes, where: object) -> None:
    """Do nothing, unless a key of the environment is in `data`.

    Raises:
        KeyLeakError: it is.
    """
    if any(value.encode() in data for value in _values()):
        raise KeyLeakError(f"{where}: not written, for it would hold the key of a service")


def hide_keys(text: str) -> str:
    """The text with the environment's keys struck out."""
    for value in _values():
        text = text.replace(value, HIDDEN)
    return text


def _values() -> list[str]:
    values = (os.environ.get(name, "").strip() for name in VARIABLES)
    return [value for value in values if len(value) >= SHORTEST]


@cache
def _guard_logs() -> None:
    # Filters sit on one logger or one handler, and others' come and go; every record is made here.
    make = logging.getLogRecordFactory()

    def guarded(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        return _clean(record)

    logging.setLogRecordFactory(guarded)
    # At DEBUG and INFO these write addresses, headers and bodies.
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _clean(record: logging.LogRecord) -> logging.LogRecord:
    try:
        text = record.getMessage()
    except (TypeError, ValueError):  # its arguments do not fit; `logging` prints both
        text = f"{record.msg} {record.args}"
    if holds_key(text):
        record.msg, record.args = hide_keys(text), None
    if record.exc_info and record.exc_info[0] is not None:
        trace = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if holds_key(trace):
            # Handlers show `exc_text`; those that look at the exception itself find none.
            record.exc_info, record.exc_text = None, hide_keys(trace)
    return record
