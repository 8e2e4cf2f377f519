from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import a_dialogue

from mmdia_eval.artifacts import Artifacts, Draw, Verdict
from mmdia_eval.judges.rubric import DIMENSIONS
from mmdia_eval.metrics.judge_score import JudgeScore, JudgeScoreSettings
from mmdia_eval.types import Style

LEVELS = st.lists(st.integers(1, 5), min_size=1, max_size=7)


def metric(**settings: str) -> JudgeScore:
    return JudgeScore(JudgeScoreSettings.model_validate(settings))


def draw(score: int | None) -> Draw:
    answers = {} if score is None else {**dict.fromkeys(DIMENSIONS, 1), "quality": score}
    problem = None if score is not None else "unreadable"
    return Draw("", answers, None, "judge-1", 1000, 100, 0, problem)


def artifacts(*scores: int | None) -> Artifacts:
    return Artifacts({Verdict: Verdict(tuple(map(draw, scores)), "0" * 64)})


def value(one: JudgeScore, rows: Sequence[dict[str, float]]) -> float:
    return float(one.reduce({f: np.float64(sum(row[f] for row in rows)) for f in one.fields}))


@given(LEVELS)
def test_a_dialogue_has_the_median_of_its_draws(scores: list[int]) -> None:
    counts = metric(dimension="quality").measure(a_dialogue(), artifacts(*scores))
    median = float(np.median(scores))
    assert counts["score"] in scores
    assert counts["score"] == median or (len(scores) % 2 == 0 and counts["score"] < median)
    assert counts[f"at_{counts['score']:.0f}"] == 1
    assert sum(counts[f"at_{n}"] for n in range(1, 6)) == counts["dialogues"] == 1
    if len(scores) > 1:
        pairs = [abs(a - b) for a, b in combinations(scores, 2)]
        assert counts["spread"] == pytest.approx(fmean(pairs))


def test_unread_draws_are_counted_and_left_out() -> None:
    one = metric(dimension="quality")
    counts = one.measure(a_dialogue(), artifacts(None, 5, None, 4, 5))
    assert (counts["score"], counts["unread"], counts["replies"]) == (5, 2, 5)
    assert counts["input_tokens"] == 5000
    assert one.components([counts])["replies_unread"] == 0.4


def test_a_verdict_that_cannot_be_read_is_our_failure_not_the_systems() -> None:
    with pytest.raises(ValueError, match="no draw that could be read"):
        metric().measure(a_dialogue(), artifacts(None, None))


@pytest.mark.parametrize("wrong", [0, 6])
def test_scores_off_the_scale_are_refused_whoever_made_the_verdict(wrong: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        metric(dimension="quality").measure(a_dialogue(), artifacts(wrong))


def test_the_value_is_the_mean_over_dialogues_and_a_missing_output_has_1() -> None:
    one = metric(dimension="quality")
    rows = [dict(one.measure(a_dialogue(), artifacts(*s))) for s in ((5, 5, 4), (3, 4, 4))]
    rows.append(dict(one.worst(a_dialogue())))
    assert value(one, rows) == pytest.approx((5 + 4 + 1) / 3)
    figures = one.components(rows)
    assert figures["share_at_5"] == pytest.approx(1 / 3)
    assert figures["share_at_1"] == pytest.approx(1 / 3)
    assert figures["draw_spread"] == pytest.approx(2 / 3)


def test_one_draw_has_no_spread() -> None:
    one = metric()
    assert "draw_spread" not in one.components([one.measure(a_dialogue(), artifacts(3))])


def test_dialogues_without_the_condition_are_not_applicable() -> None:
    bare = replace(a_dialogue(), style=Style(relationship="Friends"))
    assert metric().not_applicable(bare) == "the dialogue has no description to judge against"
    assert metric(condition="triplet").not_applicable(bare) is None
    assert metric(condition="keyframes").not_applicable(bare)
    assert metric(condition="reference").not_applicable(bare)
