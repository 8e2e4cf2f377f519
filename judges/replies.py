"""Reading what judges reply. What does not have the form asked for is refused, never guessed at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmdia_eval.categories import interaction_type_name, relationship_name
from mmdia_eval.errors import UserError
from mmdia_eval.judges.rubric import DIMENSIONS, HIGHEST, LOWEST
from mmdia_eval.strict_json import parse_json

_SCORE = re.compile(rf"[{LOWEST}-{HIGHEST}]")


class UnreadableReplyError(Exception):
    """The reply does not have the form asked for; the message says in what."""


class Reading(NamedTuple):
    """What a reply says: answers by name, and the judge's reason if it gave one."""

    answers: Mapping[str, int | str]
    rationale: str | None = None


class Stretch(NamedTuple):
    """Words of one voice, with times in seconds as the model gave them."""

    start: float
    end: float
    speaker: str
    text: str


def read_scores(reply: str) -> Reading:
    """The six dimensions, each a whole number from 1 to 5.

    >>> read_scores('{"quality": 7}')
    Traceback (most recent call last):
    mmdia_eval.judges.replies.UnreadableReplyError: 'spontaneity' is missing
    """
    given = _object(reply)
    return Reading({name: _score(given, name) for name in DIMENSIONS}, _rationale(given))


def read_labels(reply: str) -> Reading:
    """Relationship and interaction type under the paper's names; the release's names are read."""
    given = _object(reply)
    relationship = _label("relationship", _text(given, "relationship"))
    interaction_type = _label("interaction_type", _text(given, "interaction_type"))
    return Reading({**relationship, **interaction_type}, _rationale(given))


def read_better(reply: str) -> Reading:
    """Which of two recordings is better: "first" or "second"."""
    given = _object(reply)
    better = _text(given, "better").strip().casefold()
    if better not in ("first", "second"):
        raise UnreadableReplyError(f"'better' is {better[:40]!r}, neither 'first' nor 'second'")
    return Reading({"better": better}, _rationale(given))


def read_lines(reply: str, clips: int) -> list[Reading]:
    """One line a clip, in the clips' order: six scores and two labels, separated by commas."""
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    if len(lines) != clips:
        raise UnreadableReplyError(f"{len(lines)} lines for {clips} clips")
    return [_line(number, line) for number, line in enumerate(lines, start=1)]


def read_stretches(reply: str) -> list[Stretch]:
    """Who says what: a JSON list of objects with start, end, speaker and text."""
    given = _json(reply, "[", "]")
    if not isinstance(given, list):
        raise UnreadableReplyError("not a JSON list")
    return [_stretch(number, item) for number, item in enumerate(given)]


def _json(reply: str, opening: str, closing: str) -> Any:
    """The one JSON value in a reply, whatever prose or fence stands around it."""
    begin, end = reply.find(opening), reply.rfind(closing)
    if not 0 <= begin < end:
        raise UnreadableReplyError("no JSON in it")
    try:
        return parse_json(reply[begin : end + 1].encode(errors="replace"), "reply")
    except UserError as error:
        raise UnreadableReplyError(str(error).removeprefix("reply: ")) from None


def _object(reply: str) -> Mapping[str, Any]:
    given = _json(reply, "{", "}")
    if not isinstance(given, dict):
        raise UnreadableReplyError("not a JSON object")
    return given


def _field(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise UnreadableReplyError(f"{name!r} is missing")
    return given[name]


def _score(given: Mapping[str, Any], name: str) -> int:
    value = _field(given, name)
    if type(value) is not int or not LOWEST <= value <= HIGHEST:
        raise UnreadableReplyError(
            f"{name!r} is {str(value)[:40]!r}, not a whole number from {LOWEST} to {HIGHEST}"
        )
    return value


def _text(given: Mapping[str, Any], name: str) -> str:
    value = _field(given, name)
    if not isinstance(value, str):
        raise UnreadableReplyError(f"{name!r} is not a text")
    return value


def _rationale(given: Mapping[str, Any]) -> str | None:
    value = given.get("rationale")
    return value if isinstance(value, str) else None


def _label(question: str, said: str) -> dict[str, str]:
    find = relationship_name if question == "relationship" else interaction_type_name
    name = find(said.strip())
    if name is None:
        raise UnreadableReplyError(f"{said[:40]!r} is none of the options for {question!r}")
    return {question: name}


def _line(number: int, line: str) -> Reading:
    fields = [field.strip() for field in line.split(",")]
    expected = len(DIMENSIONS) + 2
    if len(fields) != expected:
        raise UnreadableReplyError(f"line {number} has {len(fields)} fields, expected {expected}")
    scores: Sequence[str] = fields[: len(DIMENSIONS)]
    for name, score in zip(DIMENSIONS, scores, strict=True):
        if not _SCORE.fullmatch(score):
            raise UnreadableReplyError(f"line {number}: {name!r} is {score[:40]!r}")
    answers: dict[str, int | str] = dict(zip(DIMENSIONS, map(int, scores), strict=True))
    return Reading(
        {**answers, **_label("relationship", fields[-2]), **_label("interaction_type", fields[-1])}
    )


def _stretch(number: int, item: Any) -> Stretch:
    where = f"stretch {number}"
    if not isinstance(item, dict):
        raise UnreadableReplyError(f"{where} is no object")
    missing = {"start", "end", "speaker", "text"} - item.keys()
    if missing:
        raise UnreadableReplyError(f"{where} has no {', '.join(sorted(missing))}")
    start, end, speaker, text = (item[name] for name in ("start", "end", "speaker", "text"))
    if not all(type(time) in (int, float) for time in (start, end)) or not 0 <= start <= end:
        raise UnreadableReplyError(f"{where}: start and end are not seconds in order")
    if type(speaker) not in (int, str) or not isinstance(text, str):
        raise UnreadableReplyError(f"{where}: speaker or text has the wrong type")
    return Stretch(float(start), float(end), str(speaker), text)
