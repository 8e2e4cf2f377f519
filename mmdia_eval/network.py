"""Stages whose engine is a service: many questions under way at once, each answer kept at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmdia_eval.ahead import Ahead
from mmdia_eval.api import RemoteExtractor
from mmdia_eval.errors import StageStoppedError, UserError
from mmdia_eval.store import Store
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
        waiting = iter(jobs)
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

    async def work(self, waiting: Iterator[Job]) -> None:
        """One of the questioners: take the next job until none is left."""
        for job in waiting:
            self._report(Done(job, self.stopped or await self._problem(job)))

    async def _problem(self, job: Job) -> str | None:
        """Why the job has no artifact, or None."""
        if (problem := await self._ahead.ready(job)) is not None:
            return problem
        if self.stopped is not None:
            return self.stopped
        try:
            artifact = await self._extractor.ask(read_inputs(self._store, job))
            self._store.write(job.key, artifact)
        except Exception as error:  # noqa: BLE001 - one file's fault, or all others' too
            if isinstance(error, StageStoppedError):
                self.stopped = self.stopped or str(error)
            return _in_words(error)
        return None


def _in_words(error: Exception) -> str:
    """Never with a traceback: it may show what was sent, and with it a key."""
    ours = isinstance(error, StageStoppedError | UserError)
    return str(error) if ours else f"{type(error).__name__}: {error}"
