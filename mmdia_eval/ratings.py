"""Human ratings as they are written down: a CSV of opinion scores, one a line."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.spreadsheet import from_cell
from mmdia_eval.strict_json import read_bytes
from mmdia_eval.submission import printable

Dimension = Literal[
    "naturalness",
    "spontaneity",
    "coherence",
    "intelligibility",
    "similarity",
    "quality",
    "instruction_following",
]
"""What is rated. `naturalness` is the field's NMOS and `similarity` its SMOS."""
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

COLUMNS = ("rater", "dialogue", "system", "dimension", "rating")
LOWEST, HIGHEST = 1.0, 5.0
"""Ends of the opinion scale (absolute category rating, ITU-T P.800, annex B)."""

MAX_CSV_BYTES = 64 * 1024 * 1024
MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Rating:
    """One person's opinion of one dialogue of one system, `value` from 1 (bad) to 5 (excellent)."""

    rater: str
    dialogue: str
    system: str
    dimension: Dimension
    value: float


def read_ratings(paths: Sequence[Path], key: Path | None = None) -> list[Rating]:
    """The ratings of CSV files with the columns `COLUMNS`, in any order.

    With `key`, the file that `mos sheet` wrote, the ratings name a `clip` instead of dialogue and
    system.

    Raises:
        UserError: with every problem found, each with file and line: columns, unknown clips or
            dimensions, ratings that are no number from 1 to 5, one rater's item rated twice.
    """
    clips = None if key is None else _read_key(key)
    problems: list[str] = []
    found: list[Rating] = []
    places: dict[tuple[str, ...], str] = {}
    for path in paths:
        for where, line in _lines(path, ("rater", "clip", *COLUMNS[3:]) if clips else COLUMNS):
            try:
                rating = _rating(line, clips)
            except ValueError as error:
                problems.append(f"{where}: {error}")
                continue
            item = (rating.rater, rating.dialogue, rating.system, rating.dimension)
            if item in places:
                problems.append(
                    f"{where}: {printable(rating.rater)} rates {rating.dimension} of "
                    f"{printable(rating.dialogue)} by {printable(rating.system)} again, "
                    f"after {places[item]}"
                )
            places[item] = where
            found.append(rating)
    if problems:
        more = len(problems) - MAX_PROBLEMS
        rest = [f"and {more} more problems"] if more > 0 else []
        raise ProblemsError([*problems[:MAX_PROBLEMS], *rest])
    if not found:
        raise UserError(f"no ratings in {', '.join(map(str, paths))}")
    return found


def _lines(path: Path, columns: Sequence[str]) -> Iterable[tuple[str, Mapping[str, str]]]:
    text = _text(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise UserError(
            f"{path}: no column {', '.join(missing)}; a ratings file has {', '.join(columns)}"
        )
    try:
        for line in reader:
            yield f"{path}:{reader.line_num}", line
    except csv.Error as error:
        line_number = reader.line_num + 1
        raise UserError(f"{path}:{line_number}: not valid CSV: {error}") from None


def _text(path: Path) -> str:
    try:
        return read_bytes(path, MAX_CSV_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8: byte at offset {error.start}") from None


def _rating(line: Mapping[str, str], clips: Mapping[str, tuple[str, str]] | None) -> Rating:
    fields = {name: (value or "").strip() for name, value in line.items() if name}
    if clips is None:
        dialogue, system = fields["dialogue"], fields["system"]
    elif fields["clip"] in clips:
        dialogue, system = clips[fields["clip"]]
    else:
        raise ValueError(f"the key knows no clip {fields['clip']!r}")
    if not (fields["rater"] and dialogue and system):
        raise ValueError("rater, dialogue and system should not be empty")
    if not all(name.isprintable() for name in (fields["rater"], dialogue, system)):
        raise ValueError("rater, dialogue and system should have no control characters")
    dimension = next((name for name in DIMENSIONS if name == fields["dimension"]), None)
    if dimension is None:
        known = ", ".join(DIMENSIONS)
        raise ValueError(f"unknown dimension {fields['dimension']!r}; known: {known}")
    return Rating(fields["rater"], dialogue, system, dimension, _value(fields["rating"]))


def _value(text: str) -> float:
    # float() would also take other scripts' digits, underscores and "nan".
    value = float(text) if re.fullmatch(r"[0-9](\.[0-9]{1,6})?", text) else math.nan
    if not LOWEST <= value <= HIGHEST:
        raise ValueError(f"rating {text!r} is not a number from 1 to 5")
    return value


def _read_key(path: Path) -> dict[str, tuple[str, str]]:
    lines = _lines(path, ("clip", "dialogue", "system"))
    return {line["clip"]: (line["dialogue"], from_cell(line["system"])) for _, line in lines}
