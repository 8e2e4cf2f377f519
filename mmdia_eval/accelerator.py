"""Stages on accelerators: one worker process a GPU, fed with batches; on the CPU one for all cores.

A batch that does not fit into memory is halved, one that fails otherwise is done again file by
file, so that what is at fault alone is lost. A worker that dies is started again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmdia_eval import devices
from mmdia_eval.ahead import Ahead
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.batches import Batches
from mmdia_eval.store import Store
from mmdia_eval.types import Audio
from mmdia_eval.workers import (
    Done,
    Job,
    Pool,
    StageSpec,
    patience,
    process_pool,
    read_inputs,
    reason,
)

logger = logging.getLogger(__name__)

LOAD_PATIENCE = 1800.0
"""Seconds that loading a model may take: some gigabytes from a slow disk."""

Report = Callable[[Done], None]


@dataclass(frozen=True)
class _End:
    """How a batch ended in the worker; `problem` None when all its artifacts are in the store."""

    seconds: float = 0.0
    problem: str | None = None
    out_of_memory: bool = False
    broken: bool = False


class Accelerators:
    """A worker for each of `devices`; they start when first needed, and stop on leaving.

    `jobs` threads are shared among them. `used` describes each device that a stage ran on.
    """

    def __init__(
        self, devices: Sequence[str], jobs: int, store: Store, scripts: Sequence[str], pool: Pool
    ) -> None:
        threads = max(1, jobs // len(devices))
        self._store, self._pool = store, pool
        self._lanes = [_Lane(device, threads, store.root, tuple(scripts)) for device in devices]
        self.used: dict[str, Mapping[str, Any]] = {}

    def __enter__(self) -> Accelerators:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for lane in self._lanes:
            lane.stop()

    async def extract(self, spec: StageSpec, jobs: Sequence[Job], report: Report) -> None:
        """Run a stage over each source, longest first, and report each job once, as it ends."""
        stage = _Stage(Batches(jobs, spec.extractor.batch_seconds), spec, report)
        ahead = Ahead(stage.batches.in_order(), self._store, self._pool)
        problems = await asyncio.gather(*(self._serve(lane, stage, ahead) for lane in self._lanes))
        why = next((problem for problem in problems if problem), None)
        for job in stage.batches.in_order():
            report(Done(job, why))

    async def _serve(self, lane: _Lane, stage: _Stage, ahead: Ahead) -> str | None:
        """Do batches until none is left; the reason when the model cannot be loaded there."""
        batch: Sequence[Job] = stage.batches.take()
        upcoming: Sequence[Job] = ()
        try:
            while batch:
                await lane.load(stage.spec)
                self.used[lane.device] = lane.description
                upcoming = stage.batches.take()
                whole = await self._decoded(batch, stage, ahead)
                end = await lane.run(whole, upcoming if ahead.is_ready(upcoming) else ())
                if not (end.problem and len(whole) > 1):
                    stage.end(whole, end)
                elif end.out_of_memory:
                    logger.info("%d files are too many for %s", len(whole), lane.device)
                    stage.batches.halve(whole)
                    stage.batches.put_back(upcoming)
                    upcoming = ()
                else:
                    self._separate(whole, stage)
                    stage.batches.put_back(upcoming)
                    upcoming = ()
                batch, upcoming = upcoming or stage.batches.take(), ()
        except _UnloadableError as error:
            stage.batches.put_back([*batch, *upcoming])
            return str(error)
        return None

    def _separate(self, batch: Sequence[Job], stage: _Stage) -> None:
        """What was kept before the batch broke is done; the others are to be done one by one."""
        kept = {job.key for job in batch if self._store.has(stage.spec.extractor.makes, job.key)}
        stage.end([job for job in batch if job.key in kept], _End())
        stage.batches.separate([job for job in batch if job.key not in kept])

    async def _decoded(self, batch: Sequence[Job], stage: _Stage, ahead: Ahead) -> tuple[Job, ...]:
        """Those whose sound is there; the others are reported."""
        problems = [await ahead.ready(job) for job in batch]
        for job, problem in zip(batch, problems, strict=True):
            if problem:
                stage.report(Done(job, problem))
        return tuple(job for job, why in zip(batch, problems, strict=True) if why is None)


class _UnloadableError(Exception):
    """A model cannot be loaded on a device; the message says why."""


@dataclass
class _Stage:
    batches: Batches
    spec: StageSpec
    report: Report

    def end(self, batch: Sequence[Job], end: _End) -> None:
        for job in batch:
            self.report(Done(job, end.problem, end.seconds / len(batch)))


class _Lane:
    """One device's worker process. What it runs, it runs one at a time."""

    def __init__(self, device: str, threads: int, root: Path, scripts: tuple[str, ...]) -> None:
        self.device = device
        self.description: Mapping[str, Any] = {}
        self._arguments = (root, scripts, device, threads)
        self._loaded: StageSpec | None = None
        self._pool: Any = None

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    async def load(self, spec: StageSpec) -> None:
        """Make the stage's model ready, unless it is. Raises _UnloadableError."""
        if self._loaded == spec:
            return
        try:
            self.description = await self._call(_load, spec, timeout=LOAD_PATIENCE)
        except Exception as error:
            logger.debug("loading on %s failed", self.device, exc_info=error)
            raise _UnloadableError(
                f"its model could not be loaded on {self.device}: {reason(error)}"
            ) from None
        self._loaded = spec

    async def run(self, batch: Sequence[Job], upcoming: Sequence[Job]) -> _End:
        """Extract and keep a batch; `upcoming` is read meanwhile. Never raises for a bad file."""
        if not batch:
            return _End()
        try:
            end: _End = await self._call(_run, batch, upcoming, timeout=patience(batch))
        except Exception as error:
            logger.debug("a batch on %s failed", self.device, exc_info=error)
            self._loaded = None
            return _End(problem=reason(error))
        if end.broken:
            await self._leave()
        if end.out_of_memory and len(batch) == 1:
            return replace(end, problem=_too_small(self.device, batch[0], end.problem))
        return end

    async def _call(self, function: Callable[..., Any], *arguments: Any, timeout: float) -> Any:
        """The function's result in the worker; raises what it raised, or how the worker ended."""
        if self._pool is None or not self._pool.active:
            self._pool = process_pool(1, _start, *self._arguments)
        try:
            return await asyncio.wrap_future(
                self._pool.schedule(function, args=arguments, timeout=timeout)
            )
        except BrokenProcessPool:
            # It died between two calls, which the pool takes for the end of everything.
            self._pool.stop()
            self._pool = None
            raise RuntimeError("the worker process died") from None

    async def _leave(self) -> None:
        """End a worker whose device answers no more; the next load starts another."""
        self._loaded = None
        with suppress(OSError, RuntimeError):
            await self._call(_exit, timeout=patience(()))


def _too_small(device: str, job: Job, problem: str | None) -> str:
    advice = "" if device == devices.CPU else ", or score with --device cpu"
    return (
        f"{device} has too little memory for this file of {job.duration:.0f} s alone; use a device "
        f"with more{advice} ({problem})"
    )


@dataclass
class _Worker:
    """The state of a worker process: a device, the model on it, and what is read ahead."""

    store: Store
    scripts: tuple[str, ...]
    device: str
    threads: int
    spec: StageSpec | None = None
    extractor: Extractor[Any] | None = None
    reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    reading: dict[str, Future[Inputs]] = field(default_factory=dict)


_worker: _Worker | None = None


def _start(root: Path, scripts: tuple[str, ...], device: str, threads: int) -> None:
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    global _worker  # noqa: PLW0603 - a worker process has one state, set up once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for libraries that are loaded later
    threadpool_limits(threads)
    _worker = _Worker(Store(root), scripts, device, threads)


def _state() -> _Worker:
    if _worker is None:
        raise RuntimeError("called outside a worker process")
    return _worker


def _load(spec: StageSpec) -> Mapping[str, Any]:
    """Make the stage's model ready, the last one's memory freed; says what device it is on."""
    worker = _state()
    if worker.spec != spec:
        worker.spec = worker.extractor = None
        devices.free_memory(worker.device)
        if worker.device != devices.CPU:
            devices.set_up(worker.device, worker.threads)
        extractor = spec.extractor(spec.settings, worker.scripts)
        extractor.torch_device = worker.device
        extractor.load()
        devices.set_up(worker.device, worker.threads)
        worker.spec, worker.extractor = spec, extractor
    return devices.describe(worker.device, worker.threads)


def _run(batch: Sequence[Job], upcoming: Sequence[Job]) -> _End:
    worker = _state()
    extractor = worker.extractor
    if extractor is None:
        raise RuntimeError("no model is loaded")
    read = [worker.reading.pop(job.key, None) for job in batch]
    worker.reading = {job.key: worker.reader.submit(_read, worker.store, job) for job in upcoming}
    begin = _clock(worker.device)
    try:
        inputs = [
            ahead.result() if ahead else _read(worker.store, job)
            for ahead, job in zip(read, batch, strict=True)
        ]
        artifacts = extractor.extract(inputs)
        for job, artifact in zip(batch, artifacts, strict=True):
            worker.store.write(job.key, artifact)
    except Exception as error:
        logger.debug("a batch of %d failed", len(batch), exc_info=error)
        end = _End(
            _clock(worker.device) - begin,
            reason(error),
            devices.is_out_of_memory(error),
            devices.is_broken(error),
        )
    else:
        return _End(_clock(worker.device) - begin)
    # Only here has the exception let go of what the batch held.
    if end.out_of_memory:
        devices.free_memory(worker.device)
    return end


def _read(store: Store, job: Job) -> Inputs:
    inputs = read_inputs(store, job)
    return replace(inputs, audio=Audio(np.array(inputs.audio.samples)))


def _clock(device: str) -> float:
    return time.process_time() if device == devices.CPU else time.perf_counter()


def _exit() -> None:
    os._exit(1)
