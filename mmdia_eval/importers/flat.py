"""The flat form, `mm-dia.jsonl`: one dialogue a line, speakers as `[k]` inside the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.importers.common import (
    Draft,
    FormError,
    Loose,
    form_problem,
    make_style,
    make_turns,
    split_tags,
)
from mmdia_eval.importers.report import Tally
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes
from mmdia_eval.types import Dialogue, Turn


class _Segment(Loose):
    text: str
    start: float | str | None = None
    end: float | str | None = None
    speaker: tuple[int, ...] = ()


class _Record(Loose):
    dialog_id: str
    path: str | None = None
    video_path: str | None = None
    speakers: list[str]
    annotation_tag: Any = None
    annotation_text: Any = None
    segments: list[_Segment]
    relationship: str | None = None
    interaction_type: str | None = None


def read_flat(file: Path, tally: Tally) -> Iterator[Draft]:
    """The dialogues of a `mm-dia.jsonl`; a line that cannot be read is counted and passed over."""
    for number, raw in json_lines(read_bytes(file)):
        tally.read += 1
        where = f"{file}:{number}"
        try:
            record = _Record.model_validate(parse_json(raw, where))
        except UserError as error:
            tally.drop("lines that cannot be read", str(error))
            continue
        except ValidationError as error:
            tally.drop(form_problem(error), where)
            continue
        try:
            turns = _turns(record, tally)
        except FormError as error:
            tally.drop(str(error), record.dialog_id)
            continue
        style = make_style(
            tags=record.annotation_tag,
            summary=record.annotation_text,
            relationship=record.relationship,
            interaction_type=record.interaction_type,
            where=record.dialog_id,
            tally=tally,
        )
        yield Draft(
            Dialogue(record.dialog_id, tuple(turns), style),
            audio=record.path or None,
            video=record.video_path or None,
        )


def _turns(record: _Record, tally: Tally) -> list[Turn]:
    speakers = [name.strip().removesuffix(":").strip() for name in record.speakers]
    turns = []
    for segment in record.segments:
        before, parts = split_tags(segment.text, speakers)
        if before.strip() and not parts and len(segment.speaker) == 1:
            _, parts = split_tags(f"[{segment.speaker[0]}]{before}", speakers)
        elif before.strip():
            tally.skip("words before the first speaker tag", record.dialog_id)
        elif not parts:
            tally.skip("lines without text", record.dialog_id)
        turns += make_turns(parts, segment.start, segment.end, record.dialog_id, tally)
    return turns
