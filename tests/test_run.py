"""The run: one outcome a dialogue, nothing computed twice, nothing lost when it is stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_bench import Bench
from toy_plugins import Peak

from mmdia_eval.run import survey
from mmdia_eval.types import Sample


def test_every_dialogue_has_one_outcome_and_trouble_costs_only_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "die", "raise", "odd", "nothing", "ok", "ok", "ok"])
    bench.samples[5] = Sample(bench.samples[5].dialogue, None)
    corrupt = bench.samples[6].output
    assert corrupt is not None
    corrupt.write_bytes(b"RIFF no")
    result = bench.run(jobs=2)
    assert bench.statuses(result) == {
        "d0": "scored",
        "d1": "failed",
        "d2": "failed",
        "d3": "not_applicable",
        "d4": "missing",
        "d5": "missing",
        "d6": "missing",
        "d7": "scored",
    }
    reasons = {outcome.dialogue: outcome.reason for outcome in result.outcomes}
    assert reasons["d1"] == "peak: the worker process died (signal 9)"
    assert reasons["d2"] == "peak: RuntimeError: the engine is out of order"
    assert reasons["d4"] == "nothing to hear"
    assert reasons["d5"] == "no output file"
    assert (reasons["d6"] or "").startswith("unreadable: ")
    counts = {outcome.dialogue: outcome.counts for outcome in result.outcomes}
    assert counts["d0"]["sum"] == pytest.approx(0.1, abs=1e-3)
    assert counts["d5"] == counts["d6"] == {"sum": 0.0, "n": 1}


def test_a_file_that_cannot_be_opened_is_missing_and_may_come_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "ok"])
    path = bench.samples[0].output
    assert path is not None
    away = path.rename(tmp_path / "away")
    (outcome, _) = bench.run().outcomes
    assert (outcome.status, outcome.reason) == ("missing", "unreadable: No such file or directory")
    away.rename(path)
    assert bench.statuses(bench.run()) == {"d0": "scored", "d1": "scored"}


def test_scoring_again_computes_nothing_but_what_failed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "raise", "ok"])
    first = bench.run()
    before = bench.calls()
    second = bench.run()
    assert second.outcomes == first.outcomes
    assert bench.calls() - before == Counter({"peak d1": 1})


def test_equal_files_of_equal_dialogues_are_heard_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "raise"])
    for sample in list(bench.samples):
        copy = replace(sample.dialogue, id=f"{sample.dialogue.id}-again")
        bench.samples.append(Sample(copy, sample.output))
    result = bench.run()
    assert bench.calls() == Counter({"peak d0": 1, "peak d1": 1, "doubled d0": 1})
    statuses = bench.statuses(result)
    assert (statuses["d0"], statuses["d0-again"]) == ("scored", "scored")
    assert (statuses["d1"], statuses["d1-again"]) == ("failed", "failed")


def test_a_model_is_loaded_once_a_worker_and_stages_do_not_mix(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok"] * 4)
    bench.run()
    kinds = [line.split()[:2] for line in bench.log.read_text(encoding="utf-8").splitlines()]
    assert [k[0] for k in kinds] == ["load", *["peak"] * 4, "load", *["doubled"] * 4]


def test_a_changed_file_is_measured_again_and_a_renamed_one_is_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "ok"])
    bench.run()
    old, changed = (sample.output for sample in bench.samples)
    assert old is not None
    assert changed is not None
    renamed = old.rename(tmp_path / "d0.wav")
    bench.samples[0] = Sample(bench.samples[0].dialogue, renamed)
    soundfile.write(changed, np.sin(np.arange(8000)) * 0.9, 16_000, subtype="FLOAT")
    before = bench.calls()
    result = bench.run()
    assert bench.calls() - before == Counter({"peak d1": 1, "doubled d1": 1})
    assert result.outcomes[1].counts["sum"] == pytest.approx(1.8, abs=0.01)


def test_a_damaged_artifact_is_found_thrown_away_and_made_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "ok", "ok"])
    first = bench.run()
    edited, truncated, _ = bench.artifacts()
    edited.write_text(edited.read_text(encoding="utf-8").replace("0.", "1."), encoding="utf-8")
    truncated.write_bytes(truncated.read_bytes()[:40])
    before = bench.calls()
    again = Bench.run(bench)
    assert again.outcomes == first.outcomes
    assert again.discarded == 2
    assert sum((bench.calls() - before).values()) == 2
    assert len(bench.artifacts()) == 3


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    results = []
    for jobs in (1, 3):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        results.append(Bench(folder, ["ok"] * 5).run(jobs).outcomes)
    assert results[0] == results[1]


def test_survey_counts_what_is_left_and_runs_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok", "ok"])
    works = {work.role: work for work in survey(bench.plan(), bench.store)}
    assert (works["peak"].todo, works["peak"].cached) == (2, 0)
    assert works["peak"].audio_seconds == pytest.approx(2.00625)
    assert works["peak"].seconds == pytest.approx(0.5 * 2.00625)
    assert not bench.log.exists()
    bench.run()
    works = {work.role: work for work in survey(bench.plan(), bench.store)}
    assert [(work.todo, work.cached) for work in works.values()] == [(0, 2)] * 3


def test_decoded_sound_is_dropped_after_the_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["ok"])
    bench.run()
    assert not list((bench.store.root / "audio").iterdir())


def test_kill_minus_nine_loses_nothing_already_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["slow"] * 10)
    process = multiprocessing.get_context("fork").Process(target=_run_in_own_group, args=(bench,))
    process.start()
    deadline = time.monotonic() + 30
    while len(bench.artifacts()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    time.sleep(1)  # the worker notices that its parent is gone
    done, before = len(bench.artifacts()), bench.calls()
    assert 3 <= done < 10
    result = bench.run()
    assert set(bench.statuses(result).values()) == {"scored"}
    assert sum(n for call, n in (bench.calls() - before).items() if "peak" in call) == 10 - done
    assert bench.store.read(Peak, bench.artifacts()[0].stem) is not None


def _run_in_own_group(bench: Bench) -> None:
    os.setpgrp()
    bench.run()
