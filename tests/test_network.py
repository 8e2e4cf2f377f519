"""Stages whose engine is a service, here one in this process: nothing lost, nothing asked twice."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_bench import Bench
from toy_plugins import Doubled, ServiceExtractor

from mmdia_eval.api import Estimate, Inputs
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.choices import Choices
from mmdia_eval.run import run, survey
from mmdia_eval.types import Audio, Sample

FILES = 1000
FAULTY = 20
"""Every so many files the service has a fault: 5 %."""


def bench(root: Path, texts: list[str], name: str = "toy_service", **settings: Any) -> Bench:
    toy = Bench(
        root,
        texts,
        [0.2 + i / 16_000 for i in range(len(texts))],
        doubled={"extractor": name, "settings": {"log": str(root / "log"), **settings}},
    )
    toy.choices = Choices(judge="toy:one", sandbox="off")
    return toy


def asked(toy: Bench) -> list[str]:
    return [line.split()[1] for line in toy.lines("ask")]


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    texts = ["raise" if i % FAULTY == 7 else "ok" for i in range(FILES)]
    return bench(tmp_path_factory.mktemp("thousand"), texts)


def test_a_thousand_files_with_faults_are_all_accounted_for_and_asked_once(
    thousand: Bench,
) -> None:
    result = thousand.run(jobs=2)
    statuses = thousand.statuses(result)
    assert len(statuses) == FILES
    failed = {id_ for id_, status in statuses.items() if status == "failed"}
    assert failed == {f"d{i}" for i in range(FILES) if i % FAULTY == 7}
    assert {o.reason for o in result.outcomes if o.status == "failed"} == {
        "doubled: RuntimeError: status 500"
    }
    assert sorted(asked(thousand)) == sorted(statuses)
    under_way = [int(line.split()[2]) for line in thousand.lines("ask")]
    assert max(under_way) == ServiceExtractor.concurrency
    assert (len(thousand.lines("open")), len(thousand.lines("close"))) == (1, 1)


def test_scoring_again_asks_only_what_failed(thousand: Bench) -> None:
    before = len(asked(thousand))
    thousand.run(jobs=2)
    assert len(asked(thousand)) - before == FILES // FAULTY


def test_a_spent_quota_stops_the_stage_and_keeps_what_is_done(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 40, stop_after=12)
    result = toy.run()
    why = "the quota is spent: buy more, then give the command again"
    assert result.stopped == {"doubled": why}
    assert len(asked(toy)) == 12
    found = [outcome.status for outcome in result.outcomes]
    assert (found.count("scored"), found.count("failed")) == (12, 28)
    assert {o.reason for o in result.outcomes if o.status == "failed"} == {f"doubled: {why}"}


def test_going_on_after_a_stop_asks_only_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = bench(tmp_path, ["ok"] * 20)
    spent = ServiceExtractor.ask

    async def ask(self: ServiceExtractor, inputs: Inputs) -> Doubled:
        object.__setattr__(self, "settings", self.settings.model_copy(update={"stop_after": 5}))
        return await spent(self, inputs)

    with monkeypatch.context() as patched:
        patched.setattr(ServiceExtractor, "ask", ask)
        toy.run()
    first = asked(toy)
    assert len(first) == 5
    result = toy.run()
    assert set(toy.statuses(result).values()) == {"scored"}
    assert sorted(asked(toy)) == sorted(f"d{i}" for i in range(20))
    assert not result.stopped


def test_equal_files_and_equal_roles_are_asked_once(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok", "ok"], seconds=0.2)
    first = toy.samples[0]
    toy.samples.append(Sample(replace(first.dialogue, id="copy"), first.output))
    plan = toy.twice_measured(toy.changes["doubled"])
    result = run(plan, toy.store, 1)
    assert [outcome.status for outcome in result.outcomes] == ["scored"] * 6
    assert sorted(asked(toy)) == ["d0", "d1"]


def test_a_service_is_asked_while_a_local_stage_works(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["slow"] * 8, seconds=0.1)
    plan = toy.twice_measured({"extractor": "toy_doubled", "settings": {"log": str(toy.log)}})
    result = run(plan, toy.store, 1)
    assert {outcome.status for outcome in result.outcomes} == {"scored"}
    words = [line.split()[0] for line in toy.lines("ask", "peak")]
    # The service needs nothing of the local stage, whose eight files take 1.6 s.
    assert words.index("ask") < 8
    assert words[-1] == "peak"


def test_a_service_that_wants_a_local_artifact_waits_for_it(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok", "raise", "ok"], name="toy_late_service")
    result = toy.run()
    assert [line.split()[0] for line in toy.lines("ask", "peak")] == ["peak"] * 3 + ["ask"] * 2
    assert toy.statuses(result) == {"d0": "scored", "d1": "failed", "d2": "scored"}
    assert (result.outcomes[1].reason or "").startswith("peak: RuntimeError")


def test_a_service_that_cannot_be_reached_fails_its_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: ServiceExtractor) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(ServiceExtractor, "open", refuse)
    toy = bench(tmp_path, ["ok", "ok"])
    result = toy.run()
    assert {o.reason for o in result.outcomes} == {"doubled: ConnectionError: no route to host"}
    assert result.stopped == {"doubled": "ConnectionError: no route to host"}
    assert len(toy.lines("close")) == 1


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_promptly_and_keeps_what_is_done(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 30, seconds=0.3)

    def press() -> None:
        deadline = time.monotonic() + 30
        while len(toy.lines("ask")) < 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        toy.run()
    presser.join()
    assert time.monotonic() - begin < 20
    kept = len(list((toy.store.root / "artifacts" / "doubled").rglob("*.jsonl")))
    assert 1 <= kept < 30
    assert len(toy.lines("close")) == 1
    before = len(asked(toy))
    assert set(toy.statuses(toy.run()).values()) == {"scored"}
    assert len(asked(toy)) - before == 30 - kept


def test_it_works_inside_a_running_loop(tmp_path: Path) -> None:
    """As in a notebook, whose cells run in an event loop."""
    toy = bench(tmp_path, ["ok"])

    async def cell() -> set[str]:
        return set(toy.statuses(toy.run()).values())

    assert asyncio.run(cell()) == {"scored"}


def test_a_dry_run_says_what_asking_takes(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 3)
    (work,) = (work for work in survey(toy.plan(), toy.store) if work.role == "doubled")
    assert (work.todo, work.estimate) == (3, Estimate("3 calls"))


def test_a_service_is_used_without_the_harness_too(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"])
    (stage,) = (stage for stage in toy.plan().stages if stage.role == "doubled")
    audio = Audio(np.full(160, 0.25, np.float32))
    dialogue = toy.samples[0].dialogue
    (found,) = stage.extractor.extract([Inputs(audio, dialogue, Artifacts({}))])
    assert found == Doubled(0.5)
