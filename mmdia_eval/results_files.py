"""Results and their rows as files, whole or not at all; what `mmdia_eval.results` describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.files import write_together
from mmdia_eval.manifest import problems_of
from mmdia_eval.results import Results, Row
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes

MAX_RESULTS_BYTES = 16 * 1024 * 1024


_ROWS = TypeAdapter(list[Row])


def write_results(
    path: Path,
    results: Results,
    rows: Iterable[Row],
    replies: bytes | None = None,
    details: bytes | None = None,
) -> Results:
    """Write `results` to `path` and `rows` to `<stem>.rows.jsonl`, neither before both are ready.

    `replies` are the lines of `<stem>.judge.jsonl`, None where no judge had a part; `details` those
    of `<stem>.details.jsonl`. Equal input gives equal bytes: rows are sorted by dialogue and
    metric, keys by name. Returns the results as written, with the names and hashes of the files
    beside them.
    """
    ordered = sorted(rows, key=lambda row: (row.dialogue, row.metric))
    lines = "".join(f"{_row_json(row)}\n" for row in ordered).encode()
    beside = {"rows": (path.with_name(f"{path.stem}.rows.jsonl"), lines)}
    if replies is not None:
        beside["replies"] = (path.with_name(f"{path.stem}.judge.jsonl"), replies)
    if details is not None:
        beside["details"] = (path.with_name(f"{path.stem}.details.jsonl"), details)
    named: dict[str, str] = {}
    for what, (file, content) in beside.items():
        named[f"{what}_file"] = file.name
        named[f"{what}_sha256"] = hashlib.sha256(content).hexdigest()
    written = Results.model_validate({**dict(results), **named})
    itself = canonical_json(written.model_dump(mode="json"))
    write_together({**dict(beside.values()), path: itself})
    return written


def _row_json(row: Row) -> str:
    return row.model_dump_json(exclude={"group"} if row.group is None else None)


def canonical_json(value: Any) -> bytes:
    """`value` as indented UTF-8 JSON with sorted keys; NaN and infinity raise ValueError."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def results_schema() -> dict[str, Any]:
    """The JSON Schema of a results file; a copy of it is docs/results.schema.json."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **Results.model_json_schema()}


def read_results(path: Path) -> Results:
    """The results in a file.

    Raises:
        UserError: no such file, or its contents are not a results file; the message names the
            file and the field.
    """
    data = read_bytes(path, MAX_RESULTS_BYTES)
    parse_json(data, str(path))
    try:
        return Results.model_validate_json(data)
    except ValidationError as error:
        raise UserError(f"{path}: not a results file: {problems_of(error)[0]}") from None


def read_rows(results_path: Path) -> list[Row]:
    """The rows that belong to a results file, by dialogue and metric.

    Raises:
        UserError: there are none, or they are not those that the results were computed from.
    """
    results = read_results(results_path)
    if results.rows_file is None:
        raise UserError(f"{results_path}: has no rows file; score the system again to get one")
    path = results_path.with_name(results.rows_file)
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != results.rows_sha256:
        raise UserError(
            f"{path}: not the rows that {results_path.name} was made from (sha256 differs); "
            "restore the file or score again"
        )
    rows = _rows_as_written(data)
    if rows is None:
        rows = [_row(f"{path}:{number}", line) for number, line in json_lines(data)]
    return rows


def _rows_as_written(data: bytes) -> list[Row] | None:
    """All rows at once, which is quick; None for rows in another spelling than ours.

    What is written back as it stands holds none of the traps that `parse_json` looks for.
    """
    lines = data.splitlines()
    array = b"[%b]" % b",".join(lines)
    try:
        rows = _ROWS.validate_json(array)
    except ValidationError:
        return None
    without = None if any(row.group is not None for row in rows) else {"__all__": {"group"}}
    same = len(rows) == len(lines) and _ROWS.dump_json(rows, exclude=without) == array
    return rows if same else None


def _row(where: str, line: bytes) -> Row:
    try:
        return Row.model_validate(parse_json(line, where))
    except ValidationError as error:
        raise UserError(f"{where}: not a row: {problems_of(error)[0]}") from None
