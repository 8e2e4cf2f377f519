"""Stages whose engine is a service: many questions under way at once, each answer kept at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mmdia_eval.ahead import Ahead
from mmdia_eval.api import Inputs, RemoteExtractor
from mmdia_eval.errors import StageStoppedError, UnfinishedError, UserError
from mmdia_eval.store import Store, unfinished
from mmdia_eval.workers import Done, Job, Pool, read_inputs

logger = logging.getLogger(__name__)


async def ask_all(
    extractor: RemoteExtractor[Any],
    jobs: Sequence[Job],
    store: Store,
    pool: Pool,
    report: Callable[[Done], None],
) -> str | None:
    """Ask for each job, at most `extractor.concurrency` at a time, and report each once.

    Returns why the service stopped answering, or None; the jobs that were not asked have then that
    reason, and those under way are waited for, since they may be paid for.
    """
    stage = _Asking(extractor, Ahead(jobs, store, pool), store, report)
    try:
        await stage.open()
        size = extractor.group
        waiting = iter([jobs[i : i + size] for i in range(0, len(jobs), size)])
        workers = min(extractor.concurrency, len(jobs))
        await asyncio.gather(*(stage.work(waiting) for _ in range(workers)))
    finally:
        await stage.close()
    return stage.stopped


class _Asking:
    def __init__(
        self,
        extractor: RemoteExtractor[Any],
        ahead: Ahead,
        store: Store,
        report: Callable[[Done], None],
    ) -> None:
        self._extractor, self._ahead, self._store, self._report = extractor, ahead, store, report
        self.stopped: str | None = None

    async def open(self) -> None:
        try:
            await self._extractor.open()
        except Exception as error:  # noqa: BLE001 - then nothing can be asked
            self.stopped = _in_words(error)

    async def close(self) -> None:
        try:
            await self._extractor.close()
        except Exception as error:  # noqa: BLE001 - what was asked for is there
            logger.debug("closing %s: %s", self._extractor.name, type(error).__name__)

    async def work(self, waiting: Iterator[Sequence[Job]]) -> None:
        """One of the questioners: take the next jobs of one question until none is left."""
        for group in waiting:
            ready = [job for job in group if not await self._is_spoilt(job)]
            if ready and self.stopped is None:
                await self._ask(ready)
            else:
                for job in ready:
                    self._report(Done(job, self.stopped))

    async def _is_spoilt(self, job: Job) -> bool:
        """Whether the job's sound cannot be had; that is reported."""
        problem = self.stopped or await self._ahead.ready(job)
        if problem is not None:
            self._report(Done(job, problem))
        return problem is not None

    async def _ask(self, group: Sequence[Job]) -> None:
        try:
            answers = await self._extractor.ask_group([self._inputs(job) for job in group])
        except Exception as error:  # noqa: BLE001 - the question's fault, or all others' too
            answers = [error] * len(group)
        for job, answer in zip(group, answers, strict=True):
            self._report(Done(job, self._kept(job, answer)))

    def _inputs(self, job: Job) -> Inputs:
        earlier = self._store.read(self._extractor.makes, unfinished(job.key))
        return replace(read_inputs(self._store, job), earlier=earlier)

    def _kept(self, job: Job, answer: Any) -> str | None:
        """Why the job has no artifact, or None: then it is in the store."""
        try:
            if not isinstance(answer, Exception):
                self._store.write(job.key, answer)
                return None
            if isinstance(answer, StageStoppedError):
                self.stopped = self.stopped or str(answer)
            if isinstance(answer, StageStoppedError | UnfinishedError) and answer.earlier:
                self._store.write(unfinished(job.key), answer.earlier)
        except Exception as error:  # noqa: BLE001 - a full disk fails the file, not the run
            return _in_words(error)
        return _in_words(answer)


def _in_words(error: Exception) -> str:
    """Never with a traceback: it may show what was sent, and with it a key."""
    ours = isinstance(error, StageStoppedError | UnfinishedError | UserError)
    return str(error) if ours else f"{type(error).__name__}: {error}"
