from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from example_results import (
    SHA,
    empty_row,
    interval,
    make_results,
    metric_result,
    missing_row,
    word_rows,
    write_system,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.results import Coverage, Interval, Results, Row, SystemRecord
from mmdia_eval.results_files import (
    canonical_json,
    read_results,
    read_rows,
    results_schema,
    write_results,
)

SCHEMA = Path(__file__).parent.parent / "docs" / "results.schema.json"
ROWS = [*word_rows({"d1": 3, "d2": 5}), missing_row("d3"), empty_row("d4", "not_applicable")]


def edit(path: Path, change: Any) -> None:
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), "utf-8")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    results = make_results(metrics=[metric_result("wer", ROWS)], warnings=["ein Ärger"])
    written = write_results(tmp_path / "new" / "task1.test.json", results, reversed(ROWS))
    path = tmp_path / "new" / "task1.test.json"
    assert written.rows_file == "task1.test.rows.jsonl"
    assert read_results(path) == written
    assert read_rows(path) == ROWS
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "task1.test.json",
        "task1.test.rows.jsonl",
    ]


def test_equal_results_are_equal_bytes(tmp_path: Path) -> None:
    for name, rows in (("a", ROWS), ("b", list(reversed(ROWS)))):
        write_system(tmp_path / name / "r.json", rows)
    for file in ("r.json", "r.rows.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_writing_again_what_was_read_changes_nothing(tmp_path: Path) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    before = path.read_bytes()
    write_results(path, read_results(path), read_rows(path))
    assert path.read_bytes() == before


def test_a_written_file_fits_the_published_schema(tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    written = json.loads(write_system(tmp_path / "r.json", ROWS).read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(written)
    assert not validator.is_valid({**written, "extra": 1})


def test_the_published_schema_is_up_to_date() -> None:
    assert SCHEMA.read_bytes() == canonical_json(results_schema()), (
        'run: python -c "from pathlib import Path; from mmdia_eval.results_files import *; '
        "Path('docs/results.schema.json').write_bytes(canonical_json(results_schema()))\""
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(extra=1), "extra: unknown key"),
        (lambda r: r.pop("protocol"), "protocol: missing"),
        (lambda r: r.update(task="1"), "task"),
        (lambda r: r.update(schema_version="2.0"), "schema_version"),
        (lambda r: r["metrics"][0].update(value="0.1"), "metrics.0.value"),
        (lambda r: r["metrics"][0].update(value=True), "metrics.0.value"),
        (lambda r: r["metrics"][0].update(value=None), "an interval without a value"),
        (lambda r: r["metrics"][0]["coverage"].update(scored=7), "add up to 9"),
        (lambda r: r["metrics"].append(r["metrics"][0]), "named twice"),
        (lambda r: r.update(rows_sha256=None), "go together"),
        (lambda r: r.update(rows_file="../rows.jsonl"), "rows_file"),
        (lambda r: r["system"].update(url="javascript:alert(1)"), "system.url"),
        (lambda r: r["system"].update(name="a\u202eb"), "system.name"),
        (lambda r: r["provenance"].update(created="2026-01-01T00:00:00+01:00"), "UTC"),
        (lambda r: r["provenance"].update(created="2026-01-01T00:00:00"), "created"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_field(
    tmp_path: Path, change: Any, said: str
) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    edit(path, change)
    with pytest.raises(UserError, match=r"r\.json: ") as error:
        read_results(path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"value": NaN}', '{"task": 1, "task": 2}', '{"task": 1e999}']
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"r\.json"):
        read_results(path)


def test_a_duplicate_key_in_a_good_file_is_refused(tmp_path: Path) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    text = path.read_text("utf-8").replace('"split": "test"', '"split": "hard", "split": "test"')
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="'split' is given twice"):
        read_results(path)


def test_rows_that_were_edited_are_refused(tmp_path: Path) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    rows = tmp_path / "r.rows.jsonl"
    rows.write_text(rows.read_text("utf-8").replace("0.075", "0.0"), "utf-8")
    with pytest.raises(UserError, match=r"r\.rows\.jsonl: .*sha256"):
        read_rows(path)
    rows.unlink()
    with pytest.raises(UserError, match=r"r\.rows\.jsonl: no such file"):
        read_rows(path)


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    rows = tmp_path / "r.rows.jsonl"
    first, *others = rows.read_text("utf-8").splitlines()
    bad = others[0].replace('"scored"', '"skipped"')
    rows.write_text("\n".join([first, bad, *others[1:]]), "utf-8")
    digest = sha256(rows.read_bytes()).hexdigest()
    edit(path, lambda r: r.update(rows_sha256=digest))
    with pytest.raises(UserError, match=r"r\.rows\.jsonl:2: not a row: status"):
        read_rows(path)


def test_results_without_rows_say_so(tmp_path: Path) -> None:
    path = tmp_path / "paper.json"
    path.write_bytes(canonical_json(make_results().model_dump(mode="json")))
    with pytest.raises(UserError, match="has no rows file"):
        read_rows(path)


def test_a_failed_write_leaves_the_old_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    before = path.read_bytes()

    def full_disk(file: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(UserError, match="No space"):
        write_system(path, word_rows({"d1": 9}))
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {"r.json", "r.rows.jsonl"}
    assert read_rows(path) == ROWS


@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    st.integers(0, 5000),
)
def test_coverage_adds_up(parts: list[int], expected: int) -> None:
    fields = dict(zip(("scored", "missing", "not_applicable", "failed"), parts, strict=True))
    if sum(parts) == expected:
        assert Coverage(expected=expected, **fields)
    else:
        with pytest.raises(ValidationError, match="add up"):
            Coverage(expected=expected, **fields)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "0.5", True])
def test_only_finite_numbers_are_values(bad: Any) -> None:
    counts = {"substitutions": bad, "deletions": 0.0, "insertions": 0.0, "words": 1.0}
    with pytest.raises(ValidationError):
        Row(dialogue="d", metric="wer", status="scored", counts=counts, value=0.5)
    with pytest.raises(ValidationError):
        metric_result("wer", ROWS, value=bad)
    with pytest.raises(ValidationError):
        metric_result("wer", ROWS, settings={"a": {"b": [float("nan")]}})


def test_an_interval_is_ordered() -> None:
    with pytest.raises(ValidationError, match="above"):
        interval(0.3, 0.2)
    with pytest.raises(ValidationError, match="level"):
        Interval(lower=0, upper=1, level=95, method="x", resamples=1, seed=1)


def test_a_row_fits_its_status() -> None:
    with pytest.raises(ValidationError, match="neither counts nor a value"):
        Row(dialogue="d", metric="m", status="failed", counts={"n": 1.0}, value=None, reason="x")
    with pytest.raises(ValidationError, match="a reason is given"):
        Row(dialogue="d", metric="m", status="missing", counts={"n": 1.0}, value=1.0)
    with pytest.raises(ValidationError, match="a reason is given"):
        Row(dialogue="d", metric="m", status="scored", counts={}, value=1.0, reason="x")


def test_failed_dialogues_make_a_result_provisional() -> None:
    metric = metric_result("wer", [*ROWS, empty_row("d5", "failed")])
    assert make_results(metrics=[metric]).status == "provisional"
    with pytest.raises(ValidationError, match="status is complete"):
        make_results(metrics=[metric], status="complete")


def test_times_are_utc() -> None:
    provenance = make_results().provenance.model_dump()
    elsewhere = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    with pytest.raises(ValidationError, match="UTC"):
        make_results(provenance={**provenance, "created": elsewhere})


def test_models_are_frozen() -> None:
    system = SystemRecord(name="a")
    with pytest.raises(ValidationError):
        system.name = "b"  # type: ignore[misc]


def test_unknown_fields_are_refused_in_python_too() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Results.model_validate({**dict(make_results()), "sha": SHA})
