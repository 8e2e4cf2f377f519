from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loopback_judge import LoopbackJudge, Say
from scripted_judge import Answer, ScriptedJudge, honest, scores
from typer.testing import CliRunner

from mmdia_eval.cli import app
from mmdia_eval.errors import StageStoppedError
from mmdia_eval.judges.client import JudgeError, Question
from mmdia_eval.judges.controls import RULES, Audit, audit
from mmdia_eval.judges.probes import IDS, MARK, probes
from mmdia_eval.judges.rubric_judge import RubricSettings
from mmdia_eval.store import Store


def given(**settings: Any) -> RubricSettings:
    return RubricSettings.model_validate({"judge": "openai:scripted", "draws": 1, **settings})


def of(found: Audit, name: str) -> Any:
    return next(control for control in found.controls if control.name == name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_a_judge_that_hears_is_reliable(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    client = ScriptedJudge(honest).install(monkeypatch)
    found = audit(given(), store)
    assert found.reliable is True
    assert {control.name for control in found.controls} == {
        *(rule.name for rule in RULES if rule.name != "on_screen_instruction"),
        "metadata_instruction",
        "order",
    }
    assert of(found, "reference").figure == 3
    assert of(found, "swapped_style").figure == 2
    assert of(found, "spoken_instruction").figure == 0
    assert (of(found, "order").figure, of(found, "metadata_instruction").figure) == (1, 0)
    assert found.scores["silence"] == 1
    assert found.calls == len(client.asked) == 5 * len(IDS) + 2 * len(IDS)
    assert len(set(client.names)) == len(client.asked)
    assert found.input_tokens == 1000 * len(client.asked)
    json.dumps(found.record(), allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "said", "fails"),
    [
        ("silence", scores(3), {"silence"}),
        ("reference", scores(1), {"reference", "other_audio", "swapped_style"}),
        ("swapped_style", scores(4), {"swapped_style"}),
        ("mismatch", scores(4), {"other_audio"}),
        ("spoken_instruction", scores(5), {"spoken_instruction"}),
    ],
)
def test_each_defect_fails_its_control(
    monkeypatch: pytest.MonkeyPatch, store: Store, kind: str, said: str, fails: set[str]
) -> None:
    def answer(question: Question) -> Answer:
        return said if question.name.split("/")[1] == kind else honest(question)

    ScriptedJudge(answer).install(monkeypatch)
    found = audit(given(), store)
    assert {control.name for control in found.controls if control.passed is False} == fails
    assert found.reliable is False


def test_one_that_likes_what_comes_first_fails_order_and_stays_reliable(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    ScriptedJudge(
        lambda q: '{"better": "first"}' if q.name.startswith("pairwise") else honest(q)
    ).install(monkeypatch)
    found = audit(given(), store)
    assert (of(found, "order").figure, of(found, "order").passed) == (0, False)
    assert found.reliable is True


def test_verdicts_are_kept_and_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    ScriptedJudge(honest).install(monkeypatch)
    first = audit(given(), store)
    client = ScriptedJudge(honest).install(monkeypatch)
    assert audit(given(max_cost=1.0), store) == first
    assert not client.asked
    audit(given(mode="paper"), store)
    assert client.asked


def test_a_stage_that_stops_leaves_controls_open_and_what_was_paid(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    def until_silence(question: Question) -> Answer:
        if question.name.startswith("strict.description/silence"):
            return StageStoppedError("quota spent; run the same command again")
        return honest(question)

    first = ScriptedJudge(until_silence).install(monkeypatch)
    found = audit(given(), store)
    assert found.reliable is None
    assert of(found, "silence").passed is None
    assert "quota spent" in of(found, "silence").problem
    second = ScriptedJudge(honest).install(monkeypatch)
    assert audit(given(), store).reliable is True
    assert len(second.asked) == len(IDS)
    assert len(first.asked) == 7 * len(IDS)


def test_a_failure_is_no_pass(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    ScriptedJudge(lambda q: JudgeError("502") if "reference" in q.name else honest(q)).install(
        monkeypatch
    )
    found = audit(given(), store)
    assert found.reliable is None
    assert of(found, "reference").problem == "502"


def test_keyframes_and_videos_have_the_instruction_on_screen(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    ScriptedJudge(honest).install(monkeypatch)
    seen = audit(given(condition="keyframes"), store)
    assert {"on_screen_instruction", "spoken_instruction"} <= {c.name for c in seen.controls}
    assert "order" not in {c.name for c in seen.controls}
    shown = audit(given(condition="reference"), store)
    assert [c.name for c in shown.controls] == ["on_screen_instruction", "metadata_instruction"]
    assert shown.reliable is True
    ScriptedJudge(lambda q: scores(5) if "on_screen" in q.name else honest(q)).install(monkeypatch)
    assert audit(given(condition="reference", mode="paper"), store).reliable is False


def test_mismatches_are_mismatches() -> None:
    asked = probes("description")
    for fits, other, silent, spoken in zip(
        asked["reference"],
        asked["mismatch"],
        asked["silence"],
        asked["spoken_instruction"],
        strict=True,
    ):
        assert fits.dialogue.turns == other.dialogue.turns
        assert len(fits.audio.samples) == len(silent.audio.samples)
        assert not silent.audio.samples.any()
        assert 4 < spoken.audio.duration - other.audio.duration < 8
        assert fits.audio.samples.shape != other.audio.samples.shape
    styles = {i.dialogue.style.relationship for i in asked["reference"]}
    assert len(styles) == len(IDS)
    swapped = zip(asked["reference"], asked["swapped_style"], strict=True)
    assert all(a.dialogue.style != b.dialogue.style for a, b in swapped)


def test_the_audits_own_files_are_small_and_carry_the_tag() -> None:
    folder = Path(__file__).parent.parent / "judges" / "audit_media"
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert len(sizes) == 5
    assert sum(sizes) < 60_000
    assert all(MARK.encode() in p.read_bytes() for p in folder.glob("*.[mp][pn][4g]"))


def by_text(text: str, _: int) -> Say:
    """A deaf judge: full marks for everything."""
    return Say(scores(5) if "six dimensions" in text else '{"better": "first"}')


def test_the_command_end_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "canary-key-of-this-test-0002")
    out = tmp_path / "audit.json"
    with LoopbackJudge(by_text) as service:
        arguments = ["judge", "audit", "--judge", "gemini:gemini-2.5-pro"]
        arguments += ["--mode", "paper", "--judge-url", service.url]
        arguments += ["--cache", str(tmp_path / "cache"), "--json", str(out)]
        ended = CliRunner().invoke(app, arguments)
        asked = len(service.seen)
        again = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 1, ended.output
    assert again.output == ended.output
    assert asked == len(service.seen) == 7 * len(IDS)
    assert ended.output.splitlines()[-1] == "unreliable"
    found = json.loads(out.read_text())
    assert found["reliable"] is False
    assert {c["name"] for c in found["controls"] if c["passed"] is False} == {
        "silence",
        "reference",
        "other_audio",
        "swapped_style",
        "order",
    }
    assert "canary" not in out.read_text() + ended.output


def test_the_command_names_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    plan = ["judge", "audit", "--judge", "gemini:gemini-2.5-pro", "--dry-run"]
    assert "63 calls of gemini:gemini-2.5-pro, about " in CliRunner().invoke(app, plan).output
    for wrong in (["--mode", "lenient"], []):
        ended = CliRunner().invoke(app, [*plan[:-1], *wrong, "--cache", str(tmp_path)])
        assert ended.exit_code != 0
        assert "mode" in str(ended.exception) if wrong else "GEMINI_API_KEY" in str(ended.exception)
