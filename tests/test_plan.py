"""The plan finds every problem before any model loads, and orders stages by what they need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toy_plugins import PeakExtractor, toy_protocol

from mmdia_eval.api import Requirement
from mmdia_eval.artifact_keys import artifact_key
from mmdia_eval.choices import Choices
from mmdia_eval.errors import ProblemsError
from mmdia_eval.plan import Plan, make_plan
from mmdia_eval.protocol import Protocol, load_protocol
from mmdia_eval.types import Dialogue, Sample, Segment, Turn

DIALOGUE = Dialogue("d", (Turn("A", "one"), Turn("B", "two")))
SAMPLES = (Sample(DIALOGUE, None),)


def problems(protocol: Protocol, *metrics: str) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        make_plan(protocol, 1, SAMPLES, (), metrics)
    return list(caught.value.problems)


def test_stages_come_after_what_they_need(tmp_path: Path) -> None:
    plan = make_plan(toy_protocol(tmp_path), 1, SAMPLES, ())
    assert [stage.role for stage in plan.stages] == ["peak", "doubled"]


def test_only_the_stages_of_the_metrics_asked_for_are_planned() -> None:
    plan = make_plan(load_protocol("embedded"), 1, SAMPLES, ("one",), ["wer"])
    assert [stage.role for stage in plan.stages] == ["transcript"]


def test_a_setting_adds_what_its_column_reads() -> None:
    turns = (Turn("A", "one", Segment(0.0, 2.0)),)
    samples = (Sample(Dialogue("d", turns), None),)
    for name, diarized in (("sa_lse_c", False), ("sa_lse_c_diarized", True)):
        choices = Choices(unavailable="listed", sandbox="off")
        plan = make_plan(load_protocol("syncnet-clean"), 3, samples, (), [name], choices)
        known = {stage.role for stage in plan.stages} | set(plan.lacking)
        assert "lip_sync_embeddings" in known
        assert ("diarization" in known) == diarized


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    found = problems(toy_protocol(tmp_path, peak={"settings": {"log": "x", "loud": 1}}))
    assert found == ["extractor 'peak': setting 'loud': Extra inputs are not permitted"]


def test_an_unknown_extractor_and_a_missing_role_are_named(tmp_path: Path) -> None:
    assert (
        "unknown extractor 'nobody'"
        in problems(toy_protocol(tmp_path, peak={"extractor": "nobody"}))[0]
    )
    found = problems(toy_protocol(tmp_path, doubled={"inputs": {"peak": "summit"}}))
    assert found == ["protocol 'toy' names no extractor for the role 'summit'"]


def test_extractors_that_need_each_other_are_named(tmp_path: Path) -> None:
    found = problems(toy_protocol(tmp_path, doubled={"inputs": {"peak": "doubled"}}))
    assert found == ["extractors need each other: doubled -> doubled"]


def test_an_engine_that_is_not_installed_comes_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = Requirement("no_such_engine", "pip install no-such-engine")
    monkeypatch.setattr(PeakExtractor, "requires", (needed,))
    assert problems(toy_protocol(tmp_path)) == [
        "extractor 'toy_peak' needs the package 'no_such_engine': pip install no-such-engine"
    ]


def test_an_extractor_of_the_main_script_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PeakExtractor, "__module__", "__main__")
    (found,) = problems(toy_protocol(tmp_path))
    assert "'toy_peak' is defined in the main script" in found


def test_a_metric_asked_for_that_applies_to_nothing_is_a_problem() -> None:
    (found,) = problems(load_protocol("embedded"), "sim_ref")
    assert found.startswith("metric 'sim_ref' has nothing to score in this split: ")
    assert make_plan(load_protocol("embedded"), 1, SAMPLES, ("one",)).metrics


def key(plan: Plan, role: str, dialogue: Dialogue) -> str:
    stage = next(stage for stage in plan.stages if stage.role == role)
    return artifact_key(stage, "0" * 64, dialogue, {})


def test_a_metric_asked_for_of_another_task_is_named_with_its_own() -> None:
    embedded = load_protocol("embedded")
    with pytest.raises(ProblemsError, match=r"'av_lag' is not for task 1; .* has it for task 3"):
        make_plan(embedded, 1, (), (), ["wer", "av_lag"])
    assert [job.name for job in make_plan(embedded, 3, (), (), ["av_lag"]).metrics] == ["av_lag"]


def test_an_artifact_depends_on_what_its_extractor_reads_and_on_nothing_else() -> None:
    plan = make_plan(load_protocol("embedded"), 1, SAMPLES, ("one", "two"))
    renamed = replace(DIALOGUE, id="other")
    reworded = replace(DIALOGUE, turns=(Turn("A", "one"), Turn("B", "three")))
    timed = replace(
        DIALOGUE, turns=tuple(replace(t, segment=Segment(0, 1)) for t in DIALOGUE.turns)
    )
    for role in ("transcript", "diarization", "alignment"):
        assert key(plan, role, renamed) == key(plan, role, timed) == key(plan, role, DIALOGUE)
    assert key(plan, "alignment", reworded) != key(plan, "alignment", DIALOGUE)
    assert key(plan, "transcript", reworded) == key(plan, "transcript", DIALOGUE)


def test_the_script_set_behind_a_language_model_is_part_of_the_key() -> None:
    one, other = (
        make_plan(load_protocol("embedded"), 1, SAMPLES, scripts)
        for scripts in (("one", "two"), ("one", "two", "three"))
    )
    assert key(one, "transcript", DIALOGUE) != key(other, "transcript", DIALOGUE)
    assert key(one, "diarization", DIALOGUE) == key(other, "diarization", DIALOGUE)
