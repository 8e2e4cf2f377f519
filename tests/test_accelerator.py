"""Stages on accelerators, with toy models on the CPU: order, batches, faults."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_bench import Bench

from mmdia_eval import devices
from mmdia_eval.accelerator import Accelerators
from mmdia_eval.background import Background
from mmdia_eval.batches import Batches
from mmdia_eval.run import survey
from mmdia_eval.types import Dialogue, Turn
from mmdia_eval.workers import Done, Job, Pool, Source, StageSpec


def job(number: int, seconds: float) -> Job:
    source = Source("output", Dialogue(f"d{number}", (Turn("A", "ok"),)), Path(), f"{number:064}")
    return Job(source, f"{number:064}", (), seconds)


lengths = st.lists(st.floats(0, 700), max_size=40)


@given(lengths, st.floats(0, 2000))
def test_batches_hold_every_job_once_longest_first_and_keep_the_bound(
    seconds: list[float], limit: float
) -> None:
    jobs = [job(i, length) for i, length in enumerate(seconds)]
    batches = Batches(jobs, limit)
    taken: list[Job] = []
    while batch := batches.take():
        taken += batch
        if len(batch) > 1:
            assert len(batch) * max(j.duration for j in batch) <= limit * (1 + 1e-9)
    assert sorted(j.key for j in taken) == [j.key for j in jobs]
    assert [j.duration for j in taken] == sorted(seconds, reverse=True)


@given(lengths, st.floats(0, 2000), st.data())
def test_batches_that_fail_come_back_until_each_job_is_done_once(
    seconds: list[float], limit: float, data: st.DataObject
) -> None:
    """Whatever goes wrong with batches of several, it ends, and nothing is lost or doubled."""
    jobs = [job(i, length) for i, length in enumerate(seconds)]
    batches = Batches(jobs, limit)
    done: list[Job] = []
    while batch := batches.take():
        how = data.draw(st.sampled_from(("well", "full", "broken"))) if len(batch) > 1 else "well"
        before = batches.limit
        if how == "well":
            done += batch
        elif how == "full":
            batches.halve(batch)
            assert batches.limit < before
        else:
            batches.separate(batch)
            assert [len(batches.take()) for _ in batch] == [1] * len(batch)
            done += batch
    assert sorted(j.key for j in done) == [j.key for j in jobs]


def bench(tmp_path: Path, texts: list[str], seconds: list[float], name: str) -> Bench:
    return Bench(tmp_path, texts, seconds, peak={"extractor": name})


def test_files_go_longest_first_in_batches_by_their_padded_sound(tmp_path: Path) -> None:
    seconds = [1.0, 6.0, 2.5, 3.0, 12.0, 2.0]
    toy = bench(tmp_path, ["ok"] * 6, seconds, "toy_batched")
    result = toy.run(jobs=2)
    assert set(toy.statuses(result).values()) == {"scored"}
    # 12 s is more than the 10 s of a batch, and 2 x 6 too; 3 x 3 are not.
    assert toy.lines("batch") == ["batch d4", "batch d1", "batch d3 d2 d5", "batch d0"]
    assert [line.split()[1] for line in toy.lines("load")].count("toy_batched") == 1
    (device,) = toy.lines("device")
    assert device == "device cpu threads 2"
    (used,) = result.accelerators
    assert (used["device"], used["threads"]) == ("cpu", 2)


def test_a_batch_that_does_not_fit_is_halved_and_the_size_is_remembered(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 8, [1.9] * 8, "toy_large")
    result = toy.run()
    assert set(toy.statuses(result).values()) == {"scored"}
    assert [len(line.split()) - 1 for line in toy.lines("full")] == [5]
    assert [len(line.split()) - 1 for line in toy.lines("batch")] == [2, 2, 2, 2]


def test_a_file_that_does_not_fit_alone_fails_alone_and_says_why(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 3, [1.5, 5.0, 1.4], "toy_large")
    result = toy.run()
    assert toy.statuses(result) == {"d0": "scored", "d1": "failed", "d2": "scored"}
    assert result.outcomes[1].reason == (
        "peak: cpu has too little memory for this file of 5 s alone; use a device with more "
        "(OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB)"
    )


def test_faults_in_a_batch_cost_their_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception, a death, a hang, and a CUDA error, after which the process is of no use."""
    monkeypatch.setattr("mmdia_eval.accelerator.patience", lambda batch: 1.0 if batch else 9.0)
    texts = ["ok", "raise", "die", "hang", "cuda", "ok"]
    toy = bench(tmp_path, texts, [1.4, 1.35, 1.3, 1.25, 1.2, 1.1], "toy_batched")
    result = toy.run()
    assert {o.dialogue: o.reason for o in result.outcomes} == {
        "d0": None,
        "d1": "peak: RuntimeError: the engine is out of order",
        "d2": "peak: the worker process died (signal 9)",
        "d3": "peak: the worker gave no answer in time and was stopped",
        "d4": "peak: RuntimeError: CUDA error: device-side assert triggered",
        "d5": None,
    }
    assert toy.lines("batch") == ["batch d0 d1 d2 d3 d4 d5", *(f"batch d{i}" for i in range(6))]


def test_a_model_that_cannot_be_loaded_is_tried_once_and_fails_its_stage(tmp_path: Path) -> None:
    (tmp_path / "unloadable").touch()
    toy = bench(tmp_path, ["ok"] * 3, [1.3, 1.2, 1.1], "toy_batched")
    result = toy.run()
    assert {o.reason for o in result.outcomes} == {
        "peak: its model could not be loaded on cpu: OSError: no such weights"
    }
    assert len(toy.lines("load")) == 1


def test_sounds_that_are_not_decoded_yet_are_decoded_by_other_workers(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 3, [1.3, 1.2, 1.1], "toy_peak")
    toy.run()
    toy.changes = {"peak": {"extractor": "toy_batched"}}
    assert not list((toy.store.root / "audio").iterdir())
    result = toy.run()
    assert set(toy.statuses(result).values()) == {"scored"}
    assert toy.lines("batch") == ["batch d0 d1 d2"]


def test_each_device_has_a_worker_and_they_share_the_work(tmp_path: Path) -> None:
    """Two names of devices on the CPU, as torch would have two GPUs."""
    toy = bench(tmp_path, ["slow"] * 6, [1.0] * 6, "toy_batched")
    plan = toy.plan()
    (stage,) = (stage for stage in plan.stages if stage.role == "peak")
    jobs = []
    ends: list[Done] = []
    for i, sample in enumerate(toy.samples):
        assert sample.output is not None
        source = Source("output", sample.dialogue, sample.output, f"{i:064}")
        jobs.append(Job(source, f"{i:064}", (), 6.0))
    spec = StageSpec(type(stage.extractor), stage.extractor.settings)
    with (
        Pool(1, toy.store, ()) as pool,
        Accelerators(["cpu", "cpu"], 2, toy.store, (), pool) as accelerators,
        Background() as background,
    ):
        background.start(accelerators.extract(spec, jobs, ends.append)).result(60)
    assert Counter(end.job.key for end in ends) == Counter(j.key for j in jobs)
    assert {end.problem for end in ends} == {None}
    assert len({line.split()[-1] for line in toy.lines("load")}) == 2
    assert {line.split()[-1] for line in toy.lines("device")} == {"1"}


def test_a_dry_run_estimates_a_stage_by_what_the_device_took(tmp_path: Path) -> None:
    toy = bench(tmp_path, ["ok"] * 2, [1.0, 1.0], "toy_batched")
    works = {work.role: work for work in survey(toy.plan(), toy.store, 2)}
    assert works["peak"].seconds == pytest.approx(0.5 * 2 / 2)


def test_scoring_on_the_cpu_never_imports_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom mmdia_eval.plan import make_plan\n"
        "from mmdia_eval.protocol import load_protocol\nimport mmdia_eval.scoring\n"
        "make_plan(load_protocol('embedded'), 1, (), ('one',))\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("error", "memory", "broken"),
    [
        (MemoryError(), True, False),
        (RuntimeError("CUDA failed with error out of memory"), True, False),
        (RuntimeError("cuBLAS failed: CUBLAS_STATUS_ALLOC_FAILED when"), True, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True, False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (ValueError("ran out of memory lanes"), False, False),
    ],
    ids=str,
)
def test_errors_of_memory_and_of_devices_are_told_apart(
    error: Exception, memory: bool, broken: bool
) -> None:
    assert (devices.is_out_of_memory(error), devices.is_broken(error)) == (memory, broken)


def test_torchs_own_errors_are_known() -> None:
    torch: Any = pytest.importorskip("torch")
    assert devices.is_out_of_memory(torch.cuda.OutOfMemoryError("x"))
    assert devices.is_broken(torch.AcceleratorError("x"))
    assert not devices.is_out_of_memory(torch.AcceleratorError("x"))


def test_a_worker_sets_torch_to_repeat_itself() -> None:
    torch: Any = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        devices.set_up("cpu", 1)
        assert torch.get_num_threads() == 1
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic
    finally:
        torch.set_num_threads(threads)
