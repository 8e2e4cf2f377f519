"""The demo end to end: each example system's defect shows in the metric that ought to see it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from mmdia_eval import display
from mmdia_eval.compare import compare
from mmdia_eval.demo import run_demo
from mmdia_eval.results import MetricResult, Results
from mmdia_eval.results_files import read_rows

Scores = Mapping[str, Results]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def by_name(found: list[Results], task: int) -> Scores:
    return {results.system.name: results for results in found if results.task == task}


@pytest.fixture(scope="module")
def found(folder: Path) -> list[Results]:
    return run_demo(folder)


@pytest.fixture(scope="module")
def scores(found: list[Results]) -> Scores:
    return by_name(found, task=1)


@pytest.fixture(scope="module")
def videos(found: list[Results]) -> Scores:
    return by_name(found, task=3)


def metric(scores: Scores, system: str, name: str) -> MetricResult:
    return next(m for m in scores[system].metrics if m.name == name)


def value(scores: Scores, system: str, name: str) -> float:
    found = metric(scores, system, name).value
    assert found is not None
    return found


def component(scores: Scores, system: str, name: str, figure: str) -> float:
    return metric(scores, system, name).components[figure]


def test_every_system_is_scored_completely(scores: Scores) -> None:
    assert list(scores) == [
        "reference",
        "noisy",
        "one-voice",
        "word-salad",
        "swapped-turns",
        "truncated",
        "partial",
    ]
    assert {results.status for results in scores.values()} == {"complete"}


def test_the_reference_is_nearly_perfect(scores: Scores) -> None:
    assert value(scores, "reference", "wer") < 0.02
    assert value(scores, "reference", "cpwer") < 0.05
    assert value(scores, "reference", "turn_order_accuracy") > 0.95
    assert value(scores, "reference", "speaker_count_error") < 0.2
    assert value(scores, "reference", "sim_ref") > 0.98
    assert component(scores, "reference", "sasim", "margin") > 0.2


def test_noise_shows_in_quality_and_words(scores: Scores) -> None:
    assert value(scores, "noisy", "dnsmos") < value(scores, "reference", "dnsmos") - 0.4
    assert value(scores, "noisy", "wer") > 0.15
    assert value(scores, "noisy", "duration_ratio") == pytest.approx(1, abs=0.01)


def test_one_voice_shows_in_speakers_and_not_in_words(scores: Scores) -> None:
    assert value(scores, "one-voice", "wer") < 0.02
    assert value(scores, "one-voice", "cpwer") > 0.5
    assert value(scores, "one-voice", "speaker_count_error") > 0.9
    assert value(scores, "one-voice", "turn_order_accuracy") < 0.2
    assert component(scores, "one-voice", "sasim", "margin") < 0.05
    assert value(scores, "one-voice", "sasim") > 0.8, "self-similarity alone is blind to it"
    shown = display.companion(metric(scores, "one-voice", "sasim"))
    assert shown is not None
    assert abs(float(shown)) < 0.05
    assert value(scores, "one-voice", "sim_ref") < value(scores, "reference", "sim_ref") - 0.1


def test_wrong_words_show_in_wer_and_not_in_voices(scores: Scores) -> None:
    assert value(scores, "word-salad", "wer") == pytest.approx(0.3, abs=0.06)
    assert value(scores, "word-salad", "speaker_count_error") < 0.2
    gap = component(scores, "word-salad", "cpwer", "attribution_gap")
    assert gap < 0.05


def test_swapped_turns_show_in_attribution_alone(scores: Scores) -> None:
    assert value(scores, "swapped-turns", "wer") < 0.02
    assert component(scores, "swapped-turns", "cpwer", "attribution_gap") > 0.2
    assert value(scores, "swapped-turns", "sasim") < value(scores, "reference", "sasim") - 0.1
    assert value(scores, "swapped-turns", "turn_order_accuracy") < 0.8
    assert value(scores, "swapped-turns", "speaker_count_error") < 0.2


def test_a_cut_shows_in_duration_and_deletions(scores: Scores) -> None:
    assert value(scores, "truncated", "duration_ratio") == pytest.approx(0.75, abs=0.01)
    assert component(scores, "truncated", "wer", "deletion_share") > 0.15
    assert value(scores, "truncated", "turn_order_accuracy") < 0.8
    assert component(scores, "truncated", "sasim", "words_aligned") < 0.85
    assert component(scores, "truncated", "sasim", "alignments_failed") == 1
    assert value(scores, "truncated", "sasim") > 0.8, "the voices that are there keep"


def test_missing_files_show_in_coverage_and_cost_the_worst(folder: Path, scores: Scores) -> None:
    for found in scores["partial"].metrics:
        assert (found.coverage.scored, found.coverage.missing) == (5, 3), found.name
    path = folder / "results" / "partial" / "task1.test.json"
    rows = [row for row in read_rows(path) if row.metric == "wer" and row.status == "missing"]
    reasons = sorted(str(row.reason).split(":")[0] for row in rows)
    assert reasons == ["no output file", "no output file", "unreadable"]
    assert {row.value for row in rows} == {1.0}


def test_the_comparison_finds_what_differs(folder: Path, scores: Scores) -> None:
    path = folder / "results"
    found = compare(path / "reference/task1.test.json", path / "swapped-turns/task1.test.json")
    better = {m.name: m.better if m.significant else None for m in found.metrics}
    assert better["cpwer"] == better["turn_order_accuracy"] == better["sasim"] == "a"
    assert better["wer"] is None


def test_the_page_and_the_files_are_where_the_readme_says(folder: Path, scores: Scores) -> None:
    page = (folder / "leaderboard" / "index.html").read_text(encoding="utf-8")
    for system in scores:
        assert system in page
        assert f"margin {display.companion(metric(scores, system, 'sasim'))}" in page
        results = json.loads((folder / "results" / system / "task1.test.json").read_text())
        assert results["protocol"]["comparable"] is False


def test_every_video_system_is_scored_completely(videos: Scores) -> None:
    assert list(videos) == [
        "reference",
        "lagged",
        "swapped-mouths",
        "frozen",
        "blurred",
        "silent-mouths",
        "missing-face",
    ]
    assert {results.status for results in videos.values()} == {"complete"}


def test_the_reference_clips_are_in_sync_and_move(videos: Scores) -> None:
    assert value(videos, "reference", "av_sync") > 0.95
    assert value(videos, "reference", "av_lag") == 0
    assert value(videos, "reference", "av_binding") == 1
    assert value(videos, "reference", "frozen_share") < 0.01


def test_late_mouths_show_as_their_lag(videos: Scores) -> None:
    assert value(videos, "lagged", "av_sync") < 0
    assert value(videos, "lagged", "av_lag") == pytest.approx(200, abs=10)
    assert component(videos, "lagged", "av_lag", "mean_lag_ms") == pytest.approx(200, abs=10)
    assert component(videos, "lagged", "av_sync", "best_correlation") > 0.95
    assert value(videos, "lagged", "av_binding") == 1


def test_the_listeners_mouth_shows_in_binding(videos: Scores) -> None:
    assert value(videos, "swapped-mouths", "av_binding") < 0.05
    assert abs(value(videos, "swapped-mouths", "av_sync")) < 0.2


def test_one_picture_shows_as_frozen(videos: Scores) -> None:
    assert value(videos, "frozen", "frozen_share") > 0.99
    assert value(videos, "frozen", "flicker") < 0.1 * value(videos, "reference", "flicker")
    assert abs(value(videos, "frozen", "av_sync")) < 0.1


def test_a_blur_shows_in_sharpness_and_hardly_in_sync(videos: Scores) -> None:
    assert component(videos, "reference", "sharpness", "ratio") == 1
    assert component(videos, "blurred", "sharpness", "ratio") < 0.1
    assert value(videos, "blurred", "av_sync") > 0.85


def test_closed_mouths_show_in_sync_alone(videos: Scores) -> None:
    assert abs(value(videos, "silent-mouths", "av_sync")) < 0.1
    assert value(videos, "silent-mouths", "frozen_share") < 0.01
    ratio = component(videos, "silent-mouths", "sharpness", "ratio")
    assert ratio == pytest.approx(1, abs=0.1)


def test_no_face_is_missing_at_the_worst_and_never_zero(videos: Scores) -> None:
    hidden = metric(videos, "missing-face", "av_sync")
    assert (hidden.coverage.scored, hidden.coverage.missing) == (0, 12)
    assert hidden.components["coverage"] == 0
    assert hidden.value == -1
    assert metric(videos, "missing-face", "frozen_share").coverage.scored == 12


def test_judges_are_not_run_and_say_why(found: list[Results]) -> None:
    for results in found:
        judged = [left for left in results.not_run if left.metric == "judge_score"]
        assert len(judged) == 6
        assert all("no judge was chosen" in left.reason for left in judged)


def test_running_it_again_draws_nothing_and_computes_no_engine(
    folder: Path, found: list[Results]
) -> None:
    kept = [folder / "cache" / "artifacts", folder / "outputs" / "task3"]
    written = {path: path.stat().st_mtime_ns for each in kept for path in each.rglob("*.*")}
    begin = time.monotonic()
    again = run_demo(folder)
    assert time.monotonic() - begin < 60
    assert {p: p.stat().st_mtime_ns for each in kept for p in each.rglob("*.*")} == written
    assert [r.metrics for r in again] == [r.metrics for r in found]
