"""Rules that the release's forms share: speakers inside a line, times, style.

Facts: the release's own readers, `utils/make_json.py` and `utils/make_data.py` of
jessyjinzy/MM-Dia at cc8a4e0. Non-verbal marks (`<sigh>`) stay in the text: metrics strip them,
other readers may want them. A turn of marks alone stays a turn; it has no words to score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mmdia_eval.categories import interaction_type_name, relationship_name
from mmdia_eval.importers.report import Tally
from mmdia_eval.types import Dialogue, Segment, Style, Turn

BACKGROUND_MUSIC = "background music"
SHORTEST_SEGMENT = 0.2
"""Seconds. Lines that last no longer are dropped, as in `make_data.py`."""

_TIMESTAMP = re.compile(r"(\d+):(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)", re.ASCII)
_TAG = re.compile(r"\[(\d{1,4})\]", re.ASCII)
_CLIP_ID = re.compile(r"(?P<film>.+)_clip_\d+", re.ASCII)
_EPISODE = re.compile(r"_?S\d{1,3}E\d{1,4}", re.ASCII | re.IGNORECASE)

Part = tuple[str, str]
"""A speaker and what it says."""


@dataclass(frozen=True)
class Draft:
    """A dialogue as read, with the paths at which the source says its media are."""

    dialogue: Dialogue
    audio: str | None = None
    video: str | None = None


class FormError(Exception):
    """A dialogue cannot be read; the message is the reason, the same for all of its kind."""


class Loose(BaseModel):
    """Base of the authors' records: keys that we have no use for are passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


def form_problem(error: ValidationError) -> str:
    """One reason for a record of the wrong shape; indices left out, so that cases add up."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join("*" if isinstance(part, int) else part for part in first["loc"])
    return f"not of the expected form: {field}: {first['msg']}"


def group_of(dialogue_id: str) -> str | None:
    """The film or series that an id of the release names; None for an id of another form.

    >>> group_of("tt0111161_clip_4"), group_of("friends_S02E11_The_One_clip_12"), group_of("d1")
    ('tt0111161', 'friends', None)
    """
    match = _CLIP_ID.fullmatch(dialogue_id)
    return (_EPISODE.split(match["film"])[0] or None) if match else None


def parse_seconds(value: str | float | None) -> float | None:
    """Seconds from `"00:00:01,200"`, `"1.2"` or a number; times before 0 become 0.

    >>> parse_seconds("01:00:01,250")
    3601.25

    Raises:
        ValueError: neither form.
    """
    if value is None:
        return None
    if isinstance(value, str):
        match = _TIMESTAMP.fullmatch(value.strip())
        if match is None:
            return max(0.0, float(value))
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    return max(0.0, float(value))


def split_names(text: str, speakers: Sequence[str]) -> list[Part]:
    """A line that begins with a known name, cut before every known name and colon.

    >>> split_names("Sizwe: Definitely. Noni: Right?", ["Sizwe", "Noni"])
    [('Sizwe', 'Definitely.'), ('Noni', 'Right?')]
    """
    names = "|".join(re.escape(name) for name in sorted(speakers, key=len, reverse=True))
    pieces = re.split(rf"(?<!\w)({names})\s*:", text)
    return [(name, words.strip()) for name, words in zip(pieces[1::2], pieces[2::2], strict=True)]


def split_tags(text: str, speakers: Sequence[str]) -> tuple[str, list[Part]]:
    """What stands before the first `[k]`, and the parts; `k` is an index into `speakers`.

    >>> split_tags("[1]Hold on.[0]What?", ["Ross", "Rachel"])
    ('', [('Rachel', 'Hold on.'), ('Ross', 'What?')])

    Raises:
        FormError: an index past the speakers.
    """
    pieces = _TAG.split(text)
    parts = []
    for index, words in zip(pieces[1::2], pieces[2::2], strict=True):
        if int(index) >= len(speakers):
            raise FormError("a speaker index in the text is past the list of speakers")
        parts.append((speakers[int(index)], words))
    return pieces[0], parts


def make_turns(
    parts: Sequence[Part],
    start: str | float | None,
    end: str | float | None,
    where: str,
    tally: Tally,
) -> list[Turn]:
    """The turns of one line; several speakers share its time in proportion to their characters."""
    try:
        first, last = parse_seconds(start), parse_seconds(end)
    except ValueError:
        tally.skip("lines whose times cannot be read", where)
        return []
    line = None if first is None or last is None else Segment(first, last)
    if line is not None and line.duration <= SHORTEST_SEGMENT:
        tally.skip(f"lines of {SHORTEST_SEGMENT} s or less", where)
        return []
    tidy = [(speaker.strip(), " ".join(words.split())) for speaker, words in parts]
    total = sum(len(words) for _, words in tidy)
    turns = []
    done = 0
    for speaker, words in tidy:
        before, done = done, done + len(words)
        if speaker.casefold() == BACKGROUND_MUSIC:
            tally.skip("background music", where)
        elif not words:
            tally.skip("lines without text", where)
        else:
            segment = None if line is None else _share(line, before / total, done / total)
            turns.append(Turn(speaker, words, segment))
    if len(turns) > 1 and line is not None:
        tally.note("lines of several speakers, their times divided by length of text", where)
    return turns


def _share(line: Segment, begin: float, end: float) -> Segment:
    return Segment(
        line.start + begin * line.duration,
        line.end if end == 1 else line.start + end * line.duration,
    )


def make_style(
    *,
    tags: Any,
    summary: Any,
    relationship: str | None,
    interaction_type: str | None,
    where: str,
    tally: Tally,
) -> Style:
    """Description from the summary, the triplet from the three free tags, categories by name.

    The first two free tags are not the categories, so they never stand in for them. A category
    without a name in the paper's tables becomes None, and is noted.
    """
    words = [_text(tag) for tag in tags] if isinstance(tags, list) else []
    relationship_tag, interaction_type_tag, tone = [*words, None, None, None][:3]
    names = {}
    for field, value, known in (
        ("relationship", relationship, relationship_name),
        ("interaction type", interaction_type, interaction_type_name),
    ):
        names[field] = known(value) if value else None
        if value and names[field] is None:
            tally.note(f"unknown {field} {value!r}, left empty", where)
    return Style(
        description=_text(summary),
        relationship=names["relationship"],
        interaction_type=names["interaction type"],
        emotional_tone=tone,
        relationship_tag=relationship_tag,
        interaction_type_tag=interaction_type_tag,
    )


def _text(value: Any) -> str | None:
    return (value.strip() or None) if isinstance(value, str) else None
