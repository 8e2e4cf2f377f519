from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import scores

from mmdia_eval.categories import ALIASES, INTERACTION_TYPES, RELATIONSHIPS
from mmdia_eval.judges.replies import (
    UnreadableReplyError,
    read_better,
    read_labels,
    read_lines,
    read_scores,
    read_stretches,
)
from mmdia_eval.judges.rubric import DIMENSIONS, options, text

LEVEL = st.integers(1, 5)
PROSE = st.text(st.characters(exclude_characters="{}[]", exclude_categories=["Cs"]))


@given(values=st.lists(LEVEL, min_size=6, max_size=6), before=PROSE, after=PROSE)
def test_scores_are_read_whatever_prose_stands_around(
    values: list[int], before: str, after: str
) -> None:
    given_scores = dict(zip(DIMENSIONS, values, strict=True))
    assert read_scores(f"{before}{json.dumps(given_scores)}{after}").answers == given_scores


def test_the_reason_is_kept() -> None:
    assert read_scores(scores()).rationale == "as scripted"
    assert read_scores(scores(rationale=7)).rationale is None


@pytest.mark.parametrize("wrong", [0, 6, 11, -1, 4.0, 4.5, True, "4", None, [4], 10**30])
def test_only_whole_numbers_from_1_to_5_are_scores(wrong: object) -> None:
    with pytest.raises(UnreadableReplyError):
        read_scores(scores(quality=wrong))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("", "no JSON"),
        ("I would give it a four.", "no JSON"),
        (scores()[:-20], "not valid JSON|no JSON"),
        (f"{scores(5)} or rather {scores(1)}", "not valid JSON"),
        ("[1, 2, 3]", "no JSON"),
        ('{"quality": 4}', "'spontaneity' is missing"),
        (scores()[:-1] + ', "quality": 5}', "twice"),
        (scores(quality="NaN").replace('"NaN"', "NaN"), "NaN"),
        ("{" * 100_000 + "}" * 100_000, "not valid JSON|nested"),
    ],
)
def test_what_is_no_verdict_is_refused(broken: str, says: str) -> None:
    with pytest.raises(UnreadableReplyError, match=says):
        read_scores(broken)


@pytest.mark.parametrize("said", [*INTERACTION_TYPES, *ALIASES, "dynamic_cross-talk", " banter "])
def test_labels_are_read_by_any_of_their_names(said: str) -> None:
    answers = read_labels(json.dumps({"relationship": "family", "interaction_type": said})).answers
    assert answers["relationship"] == "Family"
    assert answers["interaction_type"] in INTERACTION_TYPES


def test_a_label_that_is_no_option_is_refused() -> None:
    with pytest.raises(UnreadableReplyError, match="none of the options"):
        read_labels('{"relationship": "Colleagues", "interaction_type": "Banter"}')


LINE = "4, 5, 4, 3, 4, 5, Family, Storytelling"


def test_lines_belong_to_the_clips_in_their_order() -> None:
    readings = read_lines(f"{LINE}\n\n 1,1,1,1,1,2,Social,Banter \n", 2)
    assert [r.answers["instruction_following"] for r in readings] == [5, 2]
    assert readings[0].answers["interaction_type"] == "Narration"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([LINE], "1 lines for 2 clips"),
        ([LINE] * 3, "3 lines for 2 clips"),
        (["Here are the scores:", LINE], "line 1 has 1 fields"),
        ([LINE, LINE.replace("3", "7")], "line 2: 'similarity'"),
        ([LINE, LINE.replace("3", "3.5")], "line 2: 'similarity'"),
        ([LINE, LINE.replace("3", "٣")], "line 2: 'similarity'"),
        ([LINE, LINE.replace("Family", "Kin")], "none of the options"),
        ([LINE, LINE + ", 5"], "line 2 has 9 fields"),
    ],
)
def test_lines_that_could_be_another_clips_are_refused(lines: list[str], says: str) -> None:
    with pytest.raises(UnreadableReplyError, match=says):
        read_lines("\n".join(lines), 2)


def test_stretches() -> None:
    said = '```json\n[{"start": 0, "end": 1.5, "speaker": 0, "text": "a b"}]\n```'
    (stretch,) = read_stretches(said)
    assert stretch == (0.0, 1.5, "0", "a b")
    assert read_stretches("[]") == []


@pytest.mark.parametrize(
    "item",
    [
        {"start": 0, "end": 1, "speaker": 0},
        {"start": 2, "end": 1, "speaker": 0, "text": ""},
        {"start": "0:01", "end": "0:02", "speaker": 0, "text": ""},
        {"start": 0, "end": 1, "speaker": None, "text": ""},
        {"start": 0, "end": 1, "speaker": 0, "text": 5},
        "a stretch",
    ],
)
def test_stretches_of_another_form_are_refused(item: object) -> None:
    with pytest.raises(UnreadableReplyError, match="stretch 0"):
        read_stretches(json.dumps([item]))


def test_the_better_one_is_first_or_second() -> None:
    assert read_better('{"better": "Second"}').answers == {"better": "second"}
    with pytest.raises(UnreadableReplyError):
        read_better('{"better": "both"}')


@pytest.mark.parametrize("name", ["speech", "keyframes", "video"])
def test_every_rubric_has_each_dimension_with_five_anchors(name: str) -> None:
    blocks = text(name).split("\n\n")
    anchored = {block.partition(":")[0]: block.splitlines()[1:] for block in blocks[2:]}
    assert tuple(anchored) == DIMENSIONS
    for anchors in anchored.values():
        assert [line[:2] for line in anchors] == ["1 ", "2 ", "3 ", "4 ", "5 "]


def test_options_are_the_papers() -> None:
    named = [line.removeprefix("- ").partition(":")[0] for line in options("relationships")]
    assert tuple(named) == RELATIONSHIPS
    named = [line.removeprefix("- ").partition(":")[0] for line in options("interaction_types")]
    assert tuple(named) == INTERACTION_TYPES
