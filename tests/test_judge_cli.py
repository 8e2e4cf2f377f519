"""Judges from end to end: the real command line, the real clients, a service on this machine."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback_judge import MODEL_VERSION, Act, LoopbackJudge, Refuse, Say
from scripted_judge import scores
from test_cli import Invoke, invoke  # noqa: F401 - a fixture

import mmdia_eval
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.judges import rubric
from mmdia_eval.judges.probes import IDS
from mmdia_eval.judges.replay import read_replies
from mmdia_eval.judges.rubric_judge import RubricJudge, RubricSettings
from mmdia_eval.results import Results, unreliable_judges
from mmdia_eval.results_files import read_results

KEY = "canary-key-of-the-command-line-0003"
OTHER_KEY = "canary-key-of-the-command-line-0004"
DIALOGUES = load_benchmark(resolve_benchmark("mini")).split("test")[:4]
"""Those that the system answers; the others are missing and cost nothing."""
CONTROLS = 7 * len(IDS)
CALLS = 2 * len(DIALOGUES) + CONTROLS
PROTOCOL = """
name = "judged"
version = "1"
summary = "The judge's columns alone, of few draws."
comparable = false
tasks = [1]

[extractors.verdict]
extractor = "rubric_judge"
settings = {{ draws = {draws} }}

[extractors.labels]
extractor = "label_judge"
settings = {{ draws = {draws} }}

[[metrics]]
name = "judge_quality"
metric = "judge_score"
settings = {{ dimension = "quality" }}

[[metrics]]
name = "label_recall"
metric = "label_recall"
inputs = {{ verdict = "labels" }}

[[metrics]]
name = "duration_ratio"
metric = "duration_ratio"
"""
LABELS = json.dumps({"relationship": "Friends", "interaction_type": "Conflict"})
SCORE = ("score", "system", "--protocol", "judged.toml")
RESULTS = Path("results", "system", "task1.test.json")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of outputs; keys are in the environment."""
    folder = tmp_path / "system"
    folder.mkdir()
    for dialogue in DIALOGUES:
        assert dialogue.audio is not None
        shutil.copy(dialogue.audio, folder / f"{dialogue.id}.opus")
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", OTHER_KEY)
    monkeypatch.setenv("MMDIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(mmdia_eval.__file__).parents[1]))
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    write_protocol(tmp_path, draws=1)
    return folder


def write_protocol(folder: Path, draws: int) -> None:
    (folder / "judged.toml").write_text(PROTOCOL.format(draws=draws))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`mmdia-eval` in a process of its own, in that folder."""
    words = [sys.executable, "-m", "mmdia_eval", *arguments]
    loud = {**os.environ, "OPENAI_LOG": "debug"}
    return subprocess.run(words, cwd=folder, env=loud, capture_output=True, text=True, check=False)


def is_label_question(text: str) -> bool:
    return text.startswith(rubric.text("labels_speech"))


def answer(text: str) -> Say:
    """A deaf judge: the same for everything, so that the controls fail."""
    if "six dimensions" in text:
        return Say(scores(4))
    return Say(LABELS if is_label_question(text) else '{"better": "first"}')


def deaf(text: str, _: int) -> Act:
    return answer(text)


def of(results: Results, name: str) -> float | None:
    return next(metric.value for metric in results.metrics if metric.name == name)


def test_a_judge_that_fails_its_controls_is_marked_everywhere(
    invoke: Invoke,  # noqa: F811
    system: Path,
) -> None:
    with LoopbackJudge(deaf) as service:
        asked = [*SCORE, "--judge", "gemini", "--judge-url", service.url]
        ended = invoke(*asked)
        assert ended.code == 0, ended.err
        first = read_results(RESULTS)
        calls = len(service.seen)
        assert calls == CALLS
        assert invoke(*asked).code == 0
        assert len(service.seen) == calls, "a verdict is paid for once"
    assert read_results(RESULTS).metrics == first.metrics
    assert all("/gemini-3.8-flash:generateContent" in seen.url for seen in service.seen)

    verdict, labels = first.provenance.judges
    assert (verdict.role, verdict.metrics) == ("verdict", ["judge_quality"])
    assert (labels.role, labels.metrics) == ("labels", ["label_recall"])
    assert verdict.judge == "gemini:gemini-3.8-flash"
    assert verdict.returned_models == [MODEL_VERSION]
    settings = RubricSettings(judge=verdict.judge)
    assert verdict.prompt_sha256 == RubricJudge(settings, ()).prompt_sha256
    assert (verdict.calls, verdict.draws, verdict.draws_unread) == (4, 4, 0)
    assert (verdict.input_tokens, verdict.output_tokens) == (4000, 200)
    assert verdict.cost == pytest.approx((4000 * 1.5 + 200 * 7.5) / 1e6)
    assert verdict.controls == labels.controls
    assert verdict.controls is not None
    assert verdict.controls.calls == CONTROLS
    assert (verdict.reliable, labels.reliable) == (False, False)
    assert set(unreliable_judges(first)) == {"judge_quality", "label_recall"}
    assert "silence 4.00, at most 2.00" in unreliable_judges(first)["judge_quality"]
    assert any("gemini-3.8-flash was asked for" in warning for warning in first.warnings)
    assert len(re.findall("^  unreliable judge", ended.out, re.MULTILINE)) == 2
    assert "UNRELIABLE: controls failed: silence 4.00" in ended.out

    assert invoke("leaderboard", "build", "results", "--out", "site").code == 0
    data = json.loads(Path("site", "leaderboard.json").read_text())
    (row,) = data["tables"][0]["results"]
    assert [judge["reliable"] for judge in row["judges"]] == [False, False]
    page = Path("site", "index.html").read_text()
    assert page.count("unreliable judge</small>") == 2
    assert MODEL_VERSION in page


def test_replies_are_exported_and_give_the_same_values_again(
    invoke: Invoke,  # noqa: F811
    system: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_protocol(system.parent, draws=2)
    draw = random.Random(4)

    def script(text: str, _: int) -> Act:
        return Say("no") if draw.random() < 0.4 else answer(text)

    with LoopbackJudge(script) as service:
        asked = [*SCORE, "--judge", "gemini", "--judge-url", service.url]
        while invoke(*asked).code:
            """Again, for dialogues none of whose draws could be read."""
    first = read_results(RESULTS)
    assert first.replies_file == "task1.test.judge.jsonl"
    replies = RESULTS.with_name(first.replies_file)
    assert len(read_replies(replies)) > 2 * len(DIALOGUES) * 2
    monkeypatch.delenv("GEMINI_API_KEY")
    again = invoke(*SCORE, "--judge", f"replay:{replies}", "--out", "again.json")
    assert again.code == 0, again.err
    assert "recorded replies are not put through controls" in again.out
    second = read_results(Path("again.json"))
    for one, other in zip(first.metrics, second.metrics, strict=True):
        assert one.value == other.value
        assert one.interval == other.interval
        assert one.components == other.components
    verdict, record = first.provenance.judges[0], second.provenance.judges[0]
    assert (record.reliable, record.controls) == (None, None)
    assert record.voice == verdict.voice
    assert verdict.draws_unread > 0
    for name in ("calls", "input_tokens", "audio_tokens", "output_tokens", "draws_unread"):
        assert getattr(record, name) == getattr(verdict, name)
    assert Path("again.judge.jsonl").read_bytes() == replies.read_bytes()


def test_one_budget_holds_for_all_stages_and_the_controls(
    invoke: Invoke,  # noqa: F811
    system: Path,
) -> None:
    price = (1000 * 1.5 + 50 * 7.5) / 1e6
    with LoopbackJudge(deaf) as service:
        ended = invoke(
            *(*SCORE, "--judge", "gemini", "--judge-url", service.url),
            *("--max-judge-cost", str(12.5 * price)),
        )
    assert ended.code == 1, ended.err
    assert len(service.seen) == 12
    assert "--max-judge-cost: $" in ended.out


class Quota:
    """A judge whose quota is spent for some questions, until it `is_raised`."""

    def __init__(self, spent: Callable[[str], bool]) -> None:
        self.spent, self.is_raised, self.answered = spent, False, 0

    def __call__(self, text: str, _: int) -> Act:
        if not self.is_raised and self.spent(text):
            return Refuse(429, "quota")
        self.answered += 1
        return answer(text)


def test_a_spent_quota_stops_keeps_and_goes_on_with_the_printed_command(
    system: Path, tmp_path: Path
) -> None:
    script = Quota(lambda text: script.answered >= 5 and is_label_question(text))
    with LoopbackJudge(script) as service:
        asked = [*SCORE, "--judge", "openai:gpt-audio", "--judge-url", service.url]
        ended = run(tmp_path, *asked)
        assert ended.returncode == 1, ended.stderr
        results = read_results(tmp_path / RESULTS)
        failed = {m.name: m.coverage.failed for m in results.metrics}
        assert (failed["duration_ratio"], failed["judge_quality"]) == (0, 0)
        assert failed["label_recall"] > 0
        assert results.status == "provisional"
        assert "the quota of this account" in ended.stdout
        *_, last = ended.stdout.splitlines()
        assert last.startswith("to go on with what failed: mmdia-eval score system")
        script.is_raised = True
        paid, seen = script.answered, len(service.seen)
        done = run(tmp_path, *shlex.split(last.partition("mmdia-eval ")[2]))
    assert done.returncode == 0, done.stderr
    assert script.answered - paid == len(service.seen) - seen == CALLS - paid
    assert read_results(tmp_path / RESULTS).status == "complete"


def test_controls_that_could_not_be_asked_are_asked_again(
    invoke: Invoke,  # noqa: F811
    system: Path,
) -> None:
    """The system does not answer the last dialogue of the controls, which tells them apart."""
    (last,) = (d for d in load_benchmark(resolve_benchmark("mini")).split("test") if d.id == IDS[2])
    script = Quota(lambda text: last.turns[0].text in text)
    with LoopbackJudge(script) as service:
        asked = [*SCORE, "--judge", "openai:gpt-audio", "--judge-url", service.url]
        ended = invoke(*asked)
        assert ended.code == 1, ended.err
        assert "reliability not known: controls could not be asked: the quota" in ended.out
        assert "to go on with what failed: mmdia-eval score system" in ended.out
        results = read_results(RESULTS)
        assert results.status == "complete"
        assert [judge.reliable for judge in results.provenance.judges] == [None, None]
        script.is_raised = True
        assert invoke(*asked).code == 0
    assert script.answered == CALLS
    assert all(j.reliable is False for j in read_results(RESULTS).provenance.judges)


@pytest.mark.parametrize("judge", ["gemini", "openai:gpt-audio"])
def test_a_key_that_the_service_echoes_is_nowhere(system: Path, tmp_path: Path, judge: str) -> None:
    faults = [Refuse(500, echo=True), Refuse(429, "rate", (("Retry-After", "0.01"),), echo=True)]

    def script(text: str, _: int) -> Act:
        if is_label_question(text):
            return Refuse(401, "key", echo=True)
        return faults.pop() if faults else answer(text)

    with LoopbackJudge(script) as service:
        ended = run(tmp_path, "-v", *SCORE, "--judge", judge, "--judge-url", service.url)
    assert ended.returncode == 1, ended.stderr
    assert "refused the key" in ended.stdout
    assert "an attempt failed" in ended.stderr, "the log is at DEBUG"
    sent = {str(seen.headers) for seen in service.seen}
    assert all(KEY in headers or OTHER_KEY in headers for headers in sent)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"task1.test.json", "task1.test.judge.jsonl"}
    assert any("artifacts" in path.parts for path in files)
    written = b"".join(path.read_bytes() for path in files)
    for text in (ended.stdout.encode(), ended.stderr.encode(), written):
        assert b"canary" not in text


def test_a_dry_run_needs_neither_key_nor_outputs(
    invoke: Invoke,  # noqa: F811
    system: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    ended = invoke("score", "--judge", "gemini", "--dry-run")
    assert ended.code == 0, ended.err
    assert "the references, for want of outputs" in ended.err
    assert "verdict: 24 calls of gemini:gemini-3.8-flash, about " in ended.out
    assert "labels: 24 calls of " in ended.out
    assert "judge controls: 63 calls of " in ended.out
    assert "in all about $" in ended.out
    assert "set GEMINI_API_KEY" in ended.out
    assert invoke("score").code == 2
    unnamed = invoke("score", "--judge", "openai", "--dry-run")
    assert unnamed.code == 2
    assert "models with a listed price: gpt-audio, gpt-audio-1.5" in unnamed.err
