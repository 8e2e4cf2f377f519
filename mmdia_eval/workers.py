"""Worker processes on the CPU: decode a file, or run one stage's engine over it.

A worker holds one engine at a time. One that dies or hangs costs the file it was at: the pool
starts another and goes on.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal

from mmdia_eval import models, sandbox
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Artifact, Artifacts, VideoInfo
from mmdia_eval.errors import UserError
from mmdia_eval.store import Store
from mmdia_eval.types import Audio, Dialogue, Frames, SandboxMode

logger = logging.getLogger(__name__)

Side = Literal["output", "reference"]

PATIENCE = 120.0
"""Seconds a worker may take for one file, beside `PATIENCE_PER_SECOND` for each second of it."""
PATIENCE_PER_SECOND = 60.0
DECODING = 2.0 * sandbox.LONGEST
"""Seconds more for decoding a file's sound and pictures, which have limits of their own."""


@dataclass(frozen=True)
class Source:
    """A file to look at: a system's output, or a reference recording.

    Its sound is its own, or that of the benchmark's `driving` recording; `sha256` is of the content
    of both. `reference` is the content of the reference's file, where
    its frames are wanted beside this one's. `sandbox` is how `path` is opened.
    """

    side: Side
    dialogue: Dialogue
    path: Path
    sha256: str
    driving: Path | None = None
    has_frames: bool = False
    reference: str | None = None
    sandbox: SandboxMode = "off"

    @property
    def sound(self) -> Path:
        return self.driving or self.path

    @property
    def sound_sandbox(self) -> SandboxMode:
        """How `sound` is opened: the driving recording is the benchmark's."""
        return "off" if self.driving else self.sandbox


@dataclass(frozen=True)
class Job:
    """Make the artifact `key` of a source, from artifacts already in the store.

    `frames`: its pictures are wanted too; `reference_frames`: and the reference's.
    """

    source: Source
    key: str
    inputs: tuple[tuple[type[Artifact], str], ...]
    duration: float
    frames: bool = False
    reference_frames: bool = False


@dataclass(frozen=True)
class StageSpec:
    """What a worker needs to build a stage's extractor for itself."""

    extractor: type[Extractor[Any]]
    settings: Any


@dataclass(frozen=True)
class Done:
    """How a job ended: `problem` is None when its artifact is in the store.

    `seconds` are those of the worker: of its processor, or by the clock where a GPU did the work.
    """

    job: Job
    problem: str | None
    seconds: float = 0.0


class _Process(SpawnProcess):
    """A spawned process that does not run the user's script again.

    `spawn` imports the main module first: a script without `if __name__ == "__main__"` would start
    scoring once more in each worker. Workers need nothing of it.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing's name
        with _spawning:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process_obj)  # noqa: SLF001
            finally:
                sys.modules["__main__"] = main


_spawning = threading.Lock()


class _Context(SpawnContext):
    Process = _Process


def process_pool(workers: int, initializer: Callable[..., None], *arguments: Any) -> Any:
    """A pool of `workers` spawned processes, each made ready by `initializer(*arguments)`."""
    from pebble import ProcessPool  # noqa: PLC0415

    return ProcessPool(
        max_workers=workers, initializer=initializer, initargs=arguments, context=_Context()
    )


class Pool:
    """Worker processes, started when first needed and stopped on leaving the context."""

    def __init__(self, jobs: int, store: Store, scripts: Sequence[str]) -> None:
        self.jobs = jobs
        self._arguments = (store.root, tuple(scripts))
        self._pool: Any = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    def probe(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Decode each source and keep its `MediaInfo`; yields in the order they end."""
        return self._map(_probe, jobs, DECODING)

    def extract(self, spec: StageSpec, jobs: Sequence[Job]) -> Iterator[Done]:
        """Run a stage over each source, longest first; yields in the order they end."""
        ordered = sorted(jobs, key=lambda job: -job.duration)
        return self._map(_extract, ordered, 0.0, spec)

    def decode(self, job: Job) -> Future[None]:
        """Put the job's sound into the store, ahead of who needs it elsewhere."""
        future: Future[None] = self._started().schedule(
            _decode, args=[job], timeout=patience([job]) + DECODING
        )
        return future

    def _map(
        self, function: Callable[..., float], jobs: Sequence[Job], more: float, *arguments: Any
    ) -> Iterator[Done]:
        pool = self._started()
        futures = {
            pool.schedule(function, args=[*arguments, job], timeout=patience([job]) + more): job
            for job in jobs
        }
        for future in as_completed(futures):
            yield _outcome(futures[future], future)

    def _started(self) -> Any:
        if self._pool is None:
            self._pool = process_pool(self.jobs, _start, *self._arguments)
        return self._pool


def patience(jobs: Sequence[Job]) -> float:
    """The seconds after which a worker is taken to hang."""
    return PATIENCE + PATIENCE_PER_SECOND * sum(job.duration for job in jobs)


def _outcome(job: Job, future: Any) -> Done:
    try:
        return Done(job, None, future.result())
    except Exception as error:
        logger.debug("%s of %s failed", job.source.side, job.source.path, exc_info=error)
        return Done(job, reason(error))


def reason(error: Exception) -> str:
    """What befell a worker, in a line for the results."""
    from pebble import ProcessExpired  # noqa: PLC0415

    if isinstance(error, ProcessExpired):
        how = f"signal {-error.exitcode}" if error.exitcode < 0 else f"exit code {error.exitcode}"
        return f"the worker process died ({how})"
    if isinstance(error, TimeoutError):
        return "the worker gave no answer in time and was stopped"
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


@dataclass
class _Worker:
    store: Store
    scripts: tuple[str, ...]
    spec: StageSpec | None = None
    extractor: Extractor[Any] | None = None


_worker: _Worker | None = None


def _start(root: Path, scripts: tuple[str, ...]) -> None:
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    global _worker  # noqa: PLW0603 - a worker process has one state, set up once
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    models.keep_libraries_offline()
    _worker = _Worker(Store(root), scripts)


def _state() -> _Worker:
    if _worker is None:
        raise RuntimeError("called outside a worker process")
    return _worker


def _probe(job: Job) -> float:
    begin = time.process_time()
    source, store = job.source, _state().store
    info, audio = sandbox.decode(source.sound, source.sound_sandbox)
    if audio is not None:
        store.write_audio(source.sha256, audio)
    elif source.driving:
        raise UserError(f"driving recording {source.sound}: {info.problem}")
    if source.has_frames:
        pictures = _decode_frames(store, source)
        store.write(job.key, pictures)
        info = replace(info, problem=pictures.problem or info.problem)
    store.write(job.key, info)
    return time.process_time() - begin


def _decode_frames(store: Store, source: Source) -> VideoInfo:
    return store.write_frames(
        source.sha256, lambda out: sandbox.decode_frames(source.path, out, source.sandbox)
    )


def _decode(job: Job) -> None:
    _audio(_state().store, job.source)


def _extract(spec: StageSpec, job: Job) -> float:
    worker = _state()
    if worker.extractor is None or worker.spec != spec:
        worker.extractor = None
        worker.extractor = spec.extractor(spec.settings, worker.scripts)
        worker.extractor.load()
        worker.spec = spec
    begin = time.process_time()
    (artifact,) = worker.extractor.extract([read_inputs(worker.store, job)])
    worker.store.write(job.key, artifact)
    return time.process_time() - begin


def read_inputs(store: Store, job: Job) -> Inputs:
    """What the job's extractor sees; its sound is mapped, so nothing is read of it yet."""
    found: dict[type[Artifact], Artifact] = {}
    for kind, key in job.inputs:
        artifact = store.read(kind, key)
        if artifact is None:
            raise RuntimeError(
                f"the {kind.kind} of {job.source.path} left the cache during the run"
            )
        found[kind] = artifact
    source = job.source
    return Inputs(
        _audio(store, source),
        source.dialogue,
        Artifacts(found),
        source.path,
        _frames(store, source) if job.frames else None,
        _reference_frames(store, source) if job.reference_frames else None,
        sandbox=source.sandbox,
    )


def _audio(store: Store, source: Source) -> Audio:
    found = store.read_audio(source.sha256)
    if found is not None:
        return found
    info, audio = sandbox.decode(source.sound, source.sound_sandbox)
    if audio is None:
        raise RuntimeError(f"{source.sound} changed while it was scored: {info.problem}")
    store.write_audio(source.sha256, audio)
    return audio


def _frames(store: Store, source: Source) -> Frames:
    found = store.read_frames(source.sha256)
    if found is None:
        info = _decode_frames(store, source)
        found = store.read_frames(source.sha256)
        if found is None:
            raise RuntimeError(f"{source.path} changed while it was scored: {info.problem}")
    return found


def _reference_frames(store: Store, source: Source) -> Frames | None:
    """Those of the reference, decoded here where no stage of this run had to; None without one."""
    path = source.dialogue.video
    if source.reference is None or path is None:
        return None
    reference = replace(source, side="reference", path=path, sha256=source.reference, sandbox="off")
    return _frames(store, reference)


def default_jobs() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
