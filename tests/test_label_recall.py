from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_judge import a_dialogue
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, Draw, Verdict
from mmdia_eval.categories import ALIASES, INTERACTION_TYPES, RELATIONSHIPS
from mmdia_eval.metrics.label_recall import LabelRecall, LabelRecallSettings
from mmdia_eval.types import Dialogue, Style

Pair = tuple[str, str]
PAIRS = st.tuples(st.sampled_from(RELATIONSHIPS), st.sampled_from(INTERACTION_TYPES))


def metric(label: str = "both") -> LabelRecall:
    return LabelRecall(LabelRecallSettings.model_validate({"label": label}))


def dialogue(relationship: str | None, interaction_type: str | None) -> Dialogue:
    style = Style(relationship=relationship, interaction_type=interaction_type)
    return replace(a_dialogue(), style=style)


def verdict(*said: Pair | None) -> Artifacts:
    draws = []
    for pair in said:
        answers = dict(zip(("relationship", "interaction_type"), pair or (), strict=False))
        problem = None if pair else "refused"
        draws.append(Draw("", answers, None, "judge-1", 0, 0, 0, problem))
    return Artifacts({Verdict: Verdict(tuple(draws), "0" * 64)})


def value(one: LabelRecall, rows: list[Counts]) -> float:
    return float(one.reduce({f: np.float64(sum(row[f] for row in rows)) for f in one.fields}))


@given(st.lists(st.tuples(PAIRS, PAIRS), min_size=1, max_size=40))
def test_accuracies_recalls_and_confusions_are_those_of_sklearn(
    judged: list[tuple[Pair, Pair]],
) -> None:
    one = metric()
    rows = [one.measure(dialogue(*true), verdict(said)) for true, said in judged]
    figures = one.components(rows)
    recalls, accuracies = [], []
    for place, (kind, names) in enumerate(
        [("relationship", RELATIONSHIPS), ("interaction_type", INTERACTION_TYPES)]
    ):
        true = [pair[0][place] for pair in judged]
        said = [pair[1][place] for pair in judged]
        accuracies.append(accuracy_score(true, said))
        occurring = sorted(set(true))
        recalls.append(recall_score(true, said, labels=occurring, average="macro"))
        cells = confusion_matrix(true, said, labels=names)
        for i, j in np.ndindex(*cells.shape):
            found = figures.get(f"confusion.{kind}.{names[i]}.{names[j]}", 0.0)
            assert found == cells[i, j]
        assert figures[f"{kind}_accuracy"] == pytest.approx(accuracies[-1])
    assert value(one, rows) == pytest.approx(np.mean(accuracies))
    assert figures["macro_recall"] == pytest.approx(np.mean(recalls))
    assert figures["both_correct"] == pytest.approx(np.mean([t == s for t, s in judged]))


def test_guessing_gets_9_6_percent() -> None:
    one = metric()
    rows = [one.measure(dialogue("Social", "Banter"), verdict(("Social", "Banter")))]
    assert one.components(rows)["chance"] == pytest.approx(0.0958, abs=1e-4)
    assert metric("relationship").components(rows)["chance"] == 1 / 8


def test_the_majority_baseline_is_what_the_commonest_label_gets() -> None:
    one = metric()
    true = [("Social", "Banter")] * 3 + [("Family", "Conflict")]
    rows = [one.measure(dialogue(*pair), verdict(("Friends", "Banter"))) for pair in true]
    assert one.components(rows)["majority"] == 0.75
    always = [one.measure(dialogue(*pair), verdict(("Social", "Banter"))) for pair in true]
    assert value(one, always) == 0.75


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_are_read_on_either_side(alias: str, name: str) -> None:
    counts = metric().measure(dialogue("friends", alias), verdict(("Friends", name)))
    assert (counts["relationship_correct"], counts["interaction_type_correct"]) == (1, 1)


def test_most_draws_decide_the_earliest_where_they_tie() -> None:
    said = [("Social", "Banter"), ("Family", "Conflict"), ("Family", "Banter")]
    counts = metric().measure(dialogue("Family", "Banter"), verdict(*said))
    assert counts["both_correct"] == 1
    counts = metric().measure(dialogue("Social", "Banter"), verdict(None, *said[:2]))
    assert counts["both_correct"] == 1


def test_one_label_alone_is_scored_alone() -> None:
    one = metric()
    assert one.not_applicable(dialogue("Family", None)) is None
    rows = [one.measure(dialogue("Family", None), verdict(("Family", "Banter")))]
    rows.append(one.measure(dialogue("Family", "Conflict"), verdict(("Family", "Banter"))))
    assert value(one, rows) == 0.5
    assert one.components(rows)["relationship_accuracy"] == 1
    assert metric("interaction_type").not_applicable(dialogue("Family", None))
    assert value(metric("relationship"), rows) == 1


def test_dialogues_without_a_known_label_are_not_applicable() -> None:
    assert metric().not_applicable(dialogue(None, None))
    assert metric().not_applicable(dialogue("coworkers", "a chat"))


def test_a_missing_output_is_wrong_twice() -> None:
    one = metric()
    counts = one.worst(dialogue("Family", "Banter"))
    assert value(one, [counts]) == 0
    assert one.components([counts])["confusion.relationship.Family.-"] == 1


def test_a_verdict_without_labels_is_no_wrong_answer() -> None:
    with pytest.raises(ValueError, match="not asked for labels"):
        metric().measure(dialogue("Family", "Banter"), verdict(("Family",)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no draw"):
        metric().measure(dialogue("Family", "Banter"), verdict(None))
