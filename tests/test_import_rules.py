"""The rules that the release's forms share: names, tags, times."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdia_eval.importers.common import make_turns, parse_seconds, split_names, split_tags
from mmdia_eval.importers.report import Tally


def test_names_inside_words_do_not_cut() -> None:
    assert split_names("Ann: Joann: said Ann-Marie: hi.", ["Ann", "Ann-Marie"]) == [
        ("Ann", "Joann: said"),
        ("Ann-Marie", "hi."),
    ]


def test_times() -> None:
    assert parse_seconds("00:01:02,500") == 62.5
    assert parse_seconds("00:01:02.500") == 62.5
    assert (parse_seconds("1.25"), parse_seconds(3), parse_seconds(None)) == (1.25, 3.0, None)
    assert parse_seconds(-0.04) == 0.0
    with pytest.raises(ValueError, match="soon"):
        parse_seconds("soon")


words = st.text("abc <>()", min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), words), min_size=1, max_size=5), st.floats(0.3, 60))
def test_the_shares_of_a_line_fill_its_time(parts: list[tuple[int, str]], duration: float) -> None:
    speakers = ["A", "B", "C"]
    text = "".join(f"[{speaker}]{said}" for speaker, said in parts)
    before, found = split_tags(text, speakers)
    assert before == ""
    turns = make_turns(found, 1.0, 1.0 + duration, "x", Tally())
    assert [(turn.speaker, turn.text) for turn in turns] == [
        (speakers[speaker], " ".join(said.split())) for speaker, said in parts
    ]
    segments = [turn.segment for turn in turns if turn.segment is not None]
    assert len(segments) == len(turns)
    assert (segments[0].start, segments[-1].end) == (1.0, 1.0 + duration)
    for one, following in pairwise(segments):
        assert one.end == pytest.approx(following.start)
        assert one.duration > 0
