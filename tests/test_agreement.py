from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from scripted_judge import Answer, ScriptedJudge, honest, is_control, scores

import mmdia_eval
from mmdia_eval.agreement import agreement, compare_scores, human_means
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.judges.client import Question
from mmdia_eval.ratings import DIMENSIONS, Rating

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


def test_a_judges_real_results_are_paired_with_ratings_by_dimension(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mini = load_benchmark(resolve_benchmark("mini")).split("test")
    people = {d.id: 1 + index % 5 for index, d in enumerate(mini)}

    def answer(question: Question) -> Answer:
        if is_control(question.name):
            return honest(question)
        said = people[question.name.split("/")[1]]
        return scores(said, quality=6 - said)

    ScriptedJudge(answer).install(monkeypatch)
    paths = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "submission.toml").write_text(f'name = "{name}"\n')
        for dialogue in mini:
            assert dialogue.audio is not None
            shutil.copy(dialogue.audio, folder / f"{dialogue.id}.opus")
        paths.append(tmp_path / f"{name}.json")
        mmdia_eval.score(
            folder,
            benchmark="mini",
            metrics=["judge_quality", "judge_coherence"],
            cache=tmp_path / "cache",
            judge="openai:scripted",
            out=paths[-1],
            jobs=1,
        )
    ratings = [
        Rating("ann", dialogue, system, dimension, value)
        for dialogue, value in people.items()
        for system in ("one", "other")
        for dimension in DIMENSIONS
    ]
    found = {line.dimension: line for line in agreement(ratings, paths)}
    assert set(found) == {"quality", "coherence"}, "those that were judged"
    assert found["coherence"].spearman.value == pytest.approx(1)
    assert found["quality"].spearman.value == pytest.approx(-1)
    assert found["quality"].items == 16
    assert found["quality"].judge.startswith("scripted-1, prompt #")
    assert found["quality"].judge.endswith("protocol embedded 1, against description")
