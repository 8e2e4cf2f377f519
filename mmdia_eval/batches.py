"""Files in batches: longest first, each batch within a bound on its padded sound."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from mmdia_eval.workers import Job

SHORTEST = 0.01
"""Seconds that a file counts at least, so that a bound holds finitely many."""


class Batches:
    """The jobs of a stage that nobody has taken yet.

    `limit` bounds a batch's padded seconds: the number of files times the longest. A file longer
    than that is a batch alone; 0 makes all of them so.
    """

    def __init__(self, jobs: Iterable[Job], limit: float) -> None:
        self._jobs: deque[Job] = deque()
        self._alone: deque[Job] = deque()
        self.limit = limit
        self.put_back(jobs)

    def in_order(self) -> tuple[Job, ...]:
        """Those that are left, in the order in which they will be taken."""
        return (*self._alone, *self._jobs)

    def take(self) -> tuple[Job, ...]:
        """The next batch; empty when nothing is left."""
        if self._alone:
            return (self._alone.popleft(),)
        if not self._jobs:
            return ()
        most = max(1, int(self.limit / _padded(self._jobs[0])))
        return tuple(self._jobs.popleft() for _ in range(min(most, len(self._jobs))))

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Take these, too, to be still to do."""
        # The key makes the order, and so the batches, the same in every run.
        self._jobs = deque(sorted([*self._jobs, *jobs], key=lambda job: (-job.duration, job.key)))

    def halve(self, batch: Sequence[Job]) -> None:
        """Put back a batch that was too large, and bound this and what follows at half of it."""
        self.limit = min(self.limit, len(batch) // 2 * max(map(_padded, batch)))
        self.put_back(batch)

    def separate(self, batch: Sequence[Job]) -> None:
        """Put back a batch that failed, to be done next and one by one."""
        self._alone.extend(batch)


def _padded(job: Job) -> float:
    return max(job.duration, SHORTEST)
