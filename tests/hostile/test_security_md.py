"""SECURITY.md lists what the suite tries, no more and no less."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from hostile.lab import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([a-z][a-z ._]*) \| (\d+) \| \S.* \|$", re.MULTILINE)


def test_the_table_has_each_class_with_its_count(request: pytest.FixtureRequest) -> None:
    collected = {item.path for item in request.session.items}
    of_suite = {ROOT / "tests" / "test_sandbox.py", *Path(__file__).parent.glob("test_*.py")}
    if not of_suite <= collected:
        pytest.skip("only a part of the hostile suite is run")
    marks = [item.get_closest_marker("hostile_case") for item in request.session.items]
    counts = Counter(str(mark.args[0]) for mark in marks if mark is not None)
    table = {name: int(count) for name, count in ROW.findall(PAGE)}
    assert table == dict(counts)
    assert f"**{counts.total()} cases**" in PAGE
