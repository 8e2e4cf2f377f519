"""Sound decoded ahead of who needs it: by CPU workers, never in the process that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mmdia_eval.store import Store
from mmdia_eval.workers import Job, Pool, reason

AHEAD = 64
"""Files decoded ahead of the one that is needed next."""


class Ahead:
    """Decodes the sounds of `jobs` that the run's store lacks, in order, some files ahead.

    Belongs to one event loop.
    """

    def __init__(self, jobs: Sequence[Job], store: Store, pool: Pool) -> None:
        self._jobs, self._store, self._pool = jobs, store, pool
        self._places = {job.key: place for place, job in enumerate(jobs)}
        self._started = 0
        self._decoding: dict[str, asyncio.Future[None]] = {}

    async def ready(self, job: Job) -> str | None:
        """Wait until the job's sound is in the store; why it cannot be, or None."""
        self._start(self._places[job.key] + 1 + AHEAD)
        decoding = self._decoding.get(job.source.sha256)
        if decoding is None:
            return None
        try:
            await asyncio.shield(decoding)
        except Exception as error:  # noqa: BLE001 - whatever befell the decoder, in words
            return reason(error)
        return None

    def is_ready(self, jobs: Sequence[Job]) -> bool:
        """Whether all their sounds are in the store by now."""
        return all(
            self._places[job.key] < self._started
            and ((found := self._decoding.get(job.source.sha256)) is None or found.done())
            for job in jobs
        )

    def _start(self, end: int) -> None:
        for job in self._jobs[self._started : end]:
            sha256 = job.source.sha256
            if sha256 not in self._decoding and not self._store.audio_path(sha256).exists():
                self._decoding[sha256] = asyncio.wrap_future(self._pool.decode(job))
        self._started = max(self._started, min(end, len(self._jobs)))
