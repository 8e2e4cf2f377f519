"""The release's annotations as delivered: `json/<batch>/<movie>.json`, one file a film."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.importers.common import (
    BACKGROUND_MUSIC,
    Draft,
    FormError,
    Loose,
    form_problem,
    make_style,
    make_turns,
    parse_seconds,
    split_names,
)
from mmdia_eval.importers.report import Tally
from mmdia_eval.strict_json import read_json
from mmdia_eval.types import Dialogue, Turn

OPENING = 30.0
"""Seconds. Clips whose first line starts earlier in the film are skipped, as in `make_json.py`."""

MCEIU = "mceiu"
"""Batches with this in their name give speaker and text apart, and media by clip number."""


_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


class _TextOnly(Loose):
    text: str = ""


class _Line(Loose):
    character_annotation: str | _TextOnly | None = None
    speaker: str | None = None
    text: str | None = None
    relative_start: float | str | None = None
    relative_end: float | str | None = None
    abs_start_time: float | str | None = None
    start_time: float | str | None = None


class _Clip(Loose):
    speakers: list[str] | None = None
    speaker: list[str] | None = None
    style_annotation: Any = None
    relationship: str | None = None
    interaction_type: str | None = None
    srt: list[_Line]


def read_movies(files: Sequence[Path], tally: Tally) -> Iterator[Draft]:
    """The dialogues of annotation files; a file that cannot be read is counted and passed over."""
    for file in files:
        try:
            value = read_json(file)
        except UserError as error:
            tally.drop("files that cannot be read", str(error))
            continue
        clips = value.get("clips") if isinstance(value, dict) else None
        if not isinstance(clips, list):
            tally.drop("files without a list of clips", str(file))
            continue
        for number, clip in enumerate(clips):
            tally.read += 1
            draft = _read_clip(clip, file, number, tally)
            if draft is not None:
                yield draft


def _read_clip(value: Any, file: Path, number: int, tally: Tally) -> Draft | None:
    clip_id = str(value.get("clip_id")) if isinstance(value, dict) else ""
    if not _NUMBER.fullmatch(clip_id):
        tally.drop("clips without a numeric clip_id", f"{file}, clip {number}")
        return None
    clip_number = int(clip_id)
    batch = file.parent.name
    movie = file.stem if file.stem.startswith("tt") else f"{batch}_{file.stem}"
    dialogue_id = f"{movie.replace(' ', '_')}_clip_{clip_number}"
    try:
        clip = _Clip.model_validate(value)
        turns = _clip_turns(clip, MCEIU in batch, dialogue_id, tally)
    except ValidationError as error:
        tally.drop(form_problem(error), dialogue_id)
        return None
    except FormError as error:
        tally.drop(str(error), dialogue_id)
        return None
    style = clip.style_annotation if isinstance(clip.style_annotation, dict) else {}
    name = f"clip_{clip_number:03d}"
    folder = f"{batch}/{file.stem}"
    return Draft(
        Dialogue(
            id=dialogue_id,
            turns=tuple(turns),
            style=make_style(
                tags=style.get("Tags"),
                summary=style.get("Summary"),
                relationship=clip.relationship,
                interaction_type=clip.interaction_type,
                where=dialogue_id,
                tally=tally,
            ),
        ),
        audio=f"{batch}/dia_{clip_number}.wav" if MCEIU in batch else f"{folder}/{name}/{name}.wav",
        video=f"{folder}/{name}.mp4",
    )


def _clip_turns(clip: _Clip, apart: bool, where: str, tally: Tally) -> list[Turn]:
    if clip.srt and _starts_in_opening(clip.srt[0]):
        raise FormError(f"first line starts before {OPENING:g} s of the film")
    speakers = [name.strip() for name in clip.speakers or clip.speaker or [] if name.strip()]
    turns = []
    for line in clip.srt:
        text = _line_text(line, apart)
        speaker = text.split(":")[0].strip()
        if speaker.casefold() == BACKGROUND_MUSIC:
            tally.skip("background music", where)
            continue
        if speaker not in speakers:
            raise FormError("a line's speaker is not among the clip's speakers")
        parts = split_names(text, [*speakers, BACKGROUND_MUSIC.capitalize()])
        turns += make_turns(parts, line.relative_start, line.relative_end, where, tally)
    return turns


def _starts_in_opening(line: _Line) -> bool:
    start = line.start_time if line.abs_start_time is None else line.abs_start_time
    try:
        seconds = parse_seconds(start)
    except ValueError:
        return False
    return seconds is not None and seconds < OPENING


def _line_text(line: _Line, apart: bool) -> str:
    if apart:
        return f"{line.speaker or ''}: {line.text or ''}"
    annotation = line.character_annotation
    return annotation.text if isinstance(annotation, _TextOnly) else annotation or ""
