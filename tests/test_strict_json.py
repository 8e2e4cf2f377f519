"""JSON traps: each is refused with its place; plain JSON is read as the standard library does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdia_eval.errors import UserError
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes, read_json

text = st.text(st.characters(codec="utf-8"), max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(values, st.booleans())
def test_what_json_writes_is_read_back(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    assert parse_json(text.encode("utf-8"), "x") == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice"),
        (b'[{"a": {"k": 1, "k": 1}}]', "the key 'k' is given twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"[1e999]", "the number 1e999 is too large"),
        (b"[12345678901234567890]", "the integer 12345678901234567890 is too large"),
        (b"[" + b"9" * 5000 + b"]", "is too large"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b'["a\xffb"]', "not UTF-8: byte 0xff at offset 3"),
        (b"\xef\xbb\xbf{}", "not valid JSON: Unexpected UTF-8 BOM"),
        (b'{"a": 1,\n "b" 2}', "not valid JSON: Expecting ':' delimiter at line 2, column 6"),
        (b"{'a': 1}", "not valid JSON: .* at column 2"),
        (b"", "not valid JSON"),
    ],
)
def test_traps(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_json(data, "file.jsonl:7")
    assert str(caught.value).startswith("file.jsonl:7: ")
    assert len(str(caught.value)) < 200


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert parse_json(b'"\\ud83d\\ude00"', "x") == "\U0001f600"


def test_size_limit_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[1, 2]")
    assert read_json(path) == [1, 2]
    with pytest.raises(UserError, match=r"a\.json: 6 bytes, more than the 5 allowed"):
        read_bytes(path, max_bytes=5)
    with pytest.raises(UserError, match="no such file"):
        read_bytes(tmp_path)


def test_lines_keep_their_numbers() -> None:
    assert list(json_lines(b"1\r\n\n  \n2")) == [(1, b"1\r"), (4, b"2")]
