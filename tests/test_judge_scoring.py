"""Judges in a whole run: what is asked, what is kept, and what a failure leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from scripted_judge import CONTROLS, Answer, ScriptedJudge, honest, is_control, scores

import mmdia_eval
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.errors import StageStoppedError
from mmdia_eval.judges.client import Question
from mmdia_eval.judges.rubric import DIMENSIONS
from mmdia_eval.results import Results

PROTOCOL = """
name = "judged"
version = "1"
summary = "The judge's columns alone."
comparable = false
tasks = [1]

[extractors.verdict]
extractor = "rubric_judge"
settings = {{ mode = "{mode}", condition = "{condition}" }}

[extractors.label_verdict]
extractor = "label_judge"

[[metrics]]
name = "judge_quality"
metric = "judge_score"
settings = {{ dimension = "quality", condition = "{condition}" }}

[[metrics]]
name = "label_recall"
metric = "label_recall"
inputs = {{ verdict = "{labels}" }}
"""
IDS = [d.id for d in load_benchmark(resolve_benchmark("mini")).split("test")]
LABELS = json.dumps({"relationship": "Friends", "interaction_type": "Banter"})


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    for dialogue in load_benchmark(resolve_benchmark("mini")).split("test"):
        assert dialogue.audio is not None
        shutil.copy(dialogue.audio, folder / f"{dialogue.id}.opus")
    return folder


def score(
    outputs: Path,
    mode: str = "strict",
    condition: str = "description",
    labels: str = "label_verdict",
) -> Results:
    path = outputs.parent / "protocol.toml"
    path.write_text(PROTOCOL.format(mode=mode, condition=condition, labels=labels))
    return mmdia_eval.score(
        outputs,
        protocol=str(path),
        benchmark="mini",
        cache=outputs.parent / "cache",
        judge="openai:scripted",
        jobs=1,
    )


def good(question: Question) -> Answer:
    if is_control(question.name):
        return honest(question)
    return LABELS if question.name.startswith("labels") else scores(4)


def test_a_dialogue_that_could_not_be_read_failed_and_alone_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    def answer(question: Question) -> Answer:
        return "no" if question.name.startswith(f"strict.description/{IDS[2]}") else good(question)

    ScriptedJudge(answer).install(monkeypatch)
    first = score(outputs)
    assert first.status == "provisional"
    assert (first.metrics[0].coverage.scored, first.metrics[0].coverage.failed) == (7, 1)
    assert first.metrics[0].value == 4
    client = ScriptedJudge(good).install(monkeypatch)
    second = score(outputs)
    assert second.status == "complete"
    assert client.names_of_outputs == [
        f"strict.description/{IDS[2]}/{number}" for number in (6, 7, 8)
    ]
    assert second.metrics[0].components["replies_unread"] == 6 / (7 * 3 + 9)
    assert second.metrics[1].value == pytest.approx(1 / 8)
    assert second.metrics[1].components["confusion.relationship.Family.Friends"] == 1
    client = ScriptedJudge([]).install(monkeypatch)
    assert score(outputs).metrics == second.metrics
    assert not client.asked


def test_a_spent_quota_keeps_every_reply_that_was_paid(
    monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    paid: list[str] = []

    def answer(question: Question) -> Answer:
        if is_control(question.name):
            return honest(question)
        if len(paid) == 20:
            return StageStoppedError("quota spent")
        paid.append(question.name)
        return good(question)

    ScriptedJudge(answer).install(monkeypatch)
    assert score(outputs).status == "provisional"
    client = ScriptedJudge(good).install(monkeypatch)
    assert score(outputs).status == "complete"
    assert not set(client.names) & set(paid)
    assert len(client.names_of_outputs) + len(paid) == 2 * 3 * len(IDS)


def test_release_asks_in_the_splits_order_and_reads_labels_from_the_same_reply(
    monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    def answer(question: Question) -> Answer:
        if question.name.startswith("pairwise"):
            return honest(question)
        if is_control(question.name):
            line = json.loads(CONTROLS[question.name.split("/")[1]])
            return ",".join(str(line[name]) for name in DIMENSIONS) + ",Friends,Social Banter"
        ids = question.name.split("/")[1].split("+")
        return "\n".join(f"4,4,4,4,{1 + IDS.index(id_) % 5},4,Friends,Social Banter" for id_ in ids)

    client = ScriptedJudge(answer).install(monkeypatch)
    found = score(outputs, "release", "triplet", labels="verdict")
    assert sorted(client.names_of_outputs) == [
        f"release.triplet/{'+'.join(IDS[:5])}/0",
        f"release.triplet/{'+'.join(IDS[5:])}/0",
    ]
    assert found.metrics[0].value == pytest.approx((1 + 2 + 3 + 4 + 5 + 1 + 2 + 3) / 8)
    assert found.metrics[1].components["relationship_accuracy"] == 1 / 8
    assert found.status == "complete"
