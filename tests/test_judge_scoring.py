"""Judges in a whole run: what is asked, what is kept, and what a failure leaves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import CONTROLS, Answer, ScriptedJudge, honest, is_control, scores

import mmdia_eval
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark, write_benchmark
from mmdia_eval.errors import StageStoppedError
from mmdia_eval.judges.client import Question
from mmdia_eval.judges.label_judge import LabelSettings
from mmdia_eval.judges.replay import read_replies
from mmdia_eval.judges.rubric import DIMENSIONS
from mmdia_eval.judges.rubric_judge import RubricSettings
from mmdia_eval.metrics.judge_score import JudgeScoreSettings
from mmdia_eval.protocol import load_protocol
from mmdia_eval.report import judge_lines
from mmdia_eval.results import Results, judge_of, unreliable_judges
from mmdia_eval.results_files import read_rows
from mmdia_eval.types import Style

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
MINI = load_benchmark(resolve_benchmark("mini")).split("test")
IDS = [d.id for d in MINI]
LABELS = json.dumps({"relationship": "Friends", "interaction_type": "Banter"})


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    for dialogue in MINI:
        assert dialogue.audio is not None
        shutil.copy(dialogue.audio, folder / f"{dialogue.id}.opus")
    return folder


def score(
    outputs: Path,
    mode: str = "strict",
    condition: str = "description",
    labels: str = "label_verdict",
    **more: Any,
) -> Results:
    path = outputs.parent / "protocol.toml"
    path.write_text(PROTOCOL.format(mode=mode, condition=condition, labels=labels))
    return mmdia_eval.score(
        outputs,
        protocol=str(path),
        **{
            "cache": outputs.parent / "cache",
            "judge": "openai:scripted",
            "benchmark": "mini",
            "jobs": 1,
            **more,
        },
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


def test_a_judge_that_passes_its_controls_is_reliable_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, outputs: Path
) -> None:
    client = ScriptedJudge(good).install(monkeypatch)
    found = score(outputs)
    verdict, labels = found.provenance.judges
    assert (verdict.reliable, verdict.reason) == (True, None)
    assert (labels.reliable, labels.controls) == (True, verdict.controls)
    assert verdict.controls is not None
    assert (verdict.controls.mode, verdict.controls.condition) == ("strict", "description")
    assert {control.passed for control in verdict.controls.controls} == {True}
    controls = [name for name in client.names if is_control(name)]
    assert len(controls) == len(set(controls)) == verdict.controls.calls == 63
    assert not unreliable_judges(found)
    assert judge_of(found, "judge_quality") == verdict
    lines = list(judge_lines([verdict, labels]))
    assert len(lines) == 4
    assert lines[2] == "verdict and label_verdict: reliable"
    assert "silence 1.00 (at most 2.00) passed" in lines[3]


def test_who_has_no_labels_is_not_asked_about_them(
    monkeypatch: pytest.MonkeyPatch, outputs: Path, tmp_path: Path
) -> None:
    mini = [replace(d, audio=None) for d in MINI]
    bare = [replace(d, style=Style(description=d.style.description)) for d in mini[:2]]
    bench = tmp_path / "bench"
    splits = {"test": [*bare, *mini[2:]]}
    write_benchmark(bench, name="bare", version="1", license="", splits=splits)
    client = ScriptedJudge(good).install(monkeypatch)
    found = score(outputs, benchmark=bench)
    assert found.metrics[1].coverage.not_applicable == 2
    asked = {name.split("/")[1] for name in client.names if name.startswith("labels")}
    assert asked == {d.id for d in mini[2:]}


def test_nothing_to_judge_asks_no_controls(
    monkeypatch: pytest.MonkeyPatch, outputs: Path, tmp_path: Path
) -> None:
    splits = {"test": [replace(d, style=Style(), audio=None) for d in MINI]}
    write_benchmark(tmp_path / "bench", name="bare", version="1", license="", splits=splits)
    client = ScriptedJudge([]).install(monkeypatch)
    found = score(outputs, benchmark=tmp_path / "bench")
    assert not client.asked
    assert "nothing to judge" in str(found.provenance.judges[0].reason)
    assert (found.metrics[0].value, found.status) == (None, "complete")


def test_a_release_recording_is_laid_out_clip_by_clip_whatever_the_groups(
    monkeypatch: pytest.MonkeyPatch, outputs: Path, tmp_path: Path
) -> None:
    def answer(question: Question) -> Answer:
        if is_control(question.name):
            return "no"
        ids = question.name.split("/")[1].split("+")
        return "\n".join(f"4,4,4,4,{1 + IDS.index(id_) % 5},4,Friends,Social Banter" for id_ in ids)

    ScriptedJudge(answer).install(monkeypatch)
    first = score(outputs, "release", "triplet", labels="verdict", out=tmp_path / "r.json")
    monkeypatch.undo()
    # Other groups of five than were asked: the first file is gone.
    (outputs / f"{IDS[0]}.opus").unlink()
    replies = tmp_path / "r.judge.jsonl"
    again = score(
        outputs, "release", "triplet", labels="verdict", judge=f"replay:{replies}", out=replies
    )
    assert again.status == "complete"
    values = {(row.dialogue, row.metric): row.value for row in read_rows(tmp_path / "r.json")}
    for row in read_rows(replies):
        assert row.status == ("missing" if row.dialogue == IDS[0] else "scored")
        if row.dialogue != IDS[0]:
            assert row.value == values[row.dialogue, row.metric]
    (judge,) = again.provenance.judges
    assert judge.prompt_sha256 == first.provenance.judges[0].prompt_sha256
    assert (judge.calls, judge.draws) == (2, 7)


def test_two_stages_that_ask_alike_but_for_their_draws_export_one(
    monkeypatch: pytest.MonkeyPatch, outputs: Path, tmp_path: Path
) -> None:
    text = PROTOCOL.format(mode="strict", condition="description", labels="label_verdict")
    text = text.replace(
        'extractor = "label_judge"', 'extractor = "rubric_judge"\nsettings = { draws = 2 }'
    )
    text = text.replace('metric = "label_recall"', 'metric = "judge_score"')
    (tmp_path / "protocol.toml").write_text(text)
    ScriptedJudge(good).install(monkeypatch)
    found = mmdia_eval.score(
        outputs,
        protocol=str(tmp_path / "protocol.toml"),
        benchmark="mini",
        cache=tmp_path / "cache",
        judge="openai:scripted",
        out=tmp_path / "r.json",
    )
    assert any("label_verdict: its replies are not exported" in w for w in found.warnings)
    assert len(read_replies(tmp_path / "r.judge.jsonl")) == 3 * len(IDS)


@pytest.mark.parametrize("name", ["embedded", "strict", "paper", "release"])
def test_what_a_judge_is_told_is_what_its_metrics_take_it_for(name: str) -> None:
    told = {(2, None): "keyframes", (2, "triplet"): "keyframes", (3, None): "reference"}
    told |= {(1, None): "description", (1, "description"): "description", (1, "triplet"): "triplet"}
    whole = load_protocol(name)
    for (task, style), condition in told.items():
        if task not in whole.tasks or (name == "release" and task != 1):
            continue  # The release's judge knows nothing but speech by a style.
        protocol = whole.of(task, style)
        settings = RubricSettings(judge="x:y", **protocol.extractors["verdict"].settings)
        assert settings.condition == condition
        scores_ = [entry for entry in protocol.metrics if entry.metric == "judge_score"]
        assert len(scores_) == 6
        for entry in scores_:
            assert JudgeScoreSettings(**entry.settings).condition == condition
        if "labels" in protocol.extractors:
            labels = LabelSettings(judge="x:y", **protocol.extractors["labels"].settings)
            assert labels.medium == ("video" if task == 3 else "speech")


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
