from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from mmdia_eval.agreement import compare_scores, human_means
from mmdia_eval.ratings import Rating

Scores = dict[tuple[str, str], float]


def items(values: list[list[float]]) -> Scores:
    """One list a dialogue, one place a system."""
    return {
        (f"d{d}", f"s{s}"): value for d, row in enumerate(values) for s, value in enumerate(row)
    }


def test_figures_are_those_of_scipy() -> None:
    draw = np.random.default_rng(1)
    people = draw.uniform(1, 5, (12, 4))
    judge = np.clip(np.round(people + draw.normal(0, 1, people.shape)), 1, 5)
    found = compare_scores("quality", "j", items(people.tolist()), items(judge.tolist()))
    assert found.spearman.value == pytest.approx(spearmanr(people.ravel(), judge.ravel()).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(people.ravel(), judge.ravel()).statistic)
    assert (found.items, found.dialogues, found.pairs) == (48, 12, 12 * 6)
    for figure in (found.spearman, found.kendall, found.pairwise):
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval.lower < figure.value < figure.interval.upper


def test_a_judge_who_orders_alike_agrees_wholly_and_one_who_reverses_not_at_all() -> None:
    people = items([[1, 2, 3], [5, 4, 2]])
    alike = compare_scores("quality", "j", people, {k: v / 2 for k, v in people.items()})
    against = compare_scores("quality", "j", people, {k: 6 - v for k, v in people.items()})
    assert alike.pairwise.value == 1
    assert against.pairwise.value == 0
    assert against.spearman.value == pytest.approx(-1)


def test_a_judge_without_opinion_is_at_chance_and_has_no_correlation() -> None:
    people = items([[1, 2, 3], [5, 4, 2]])
    found = compare_scores("quality", "j", people, dict.fromkeys(people, 4.0))
    assert found.pairwise.value == 0.5
    assert found.spearman.value is None


def test_pairs_are_of_one_dialogue_and_ties_of_people_are_left_out() -> None:
    found = compare_scores("quality", "j", items([[2, 2], [3, 5]]), items([[1, 5], [2, 4]]))
    assert (found.pairs, found.pairwise.value) == (1, 1.0)


def test_people_are_averaged_over_raters() -> None:
    ratings = [Rating(rater, "d", "s", "quality", value) for rater, value in (("a", 2), ("b", 5))]
    assert human_means(ratings) == {"quality": {("d", "s"): 3.5}}
