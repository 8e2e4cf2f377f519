"""How many questions may be under way at a service, and when the next may go out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

FIRST = 4


class Pace:
    """A limit that follows what the service bears, as TCP's congestion window does (RFC 5681).

    It starts at `FIRST`, doubles with each round of successes until the service first pushes back,
    is halved at each push-back, and creeps up by one a round after that. A push-back also holds
    everything for as long as the service asks.
    """

    def __init__(self, most: int) -> None:
        self.limit = float(min(FIRST, most))
        self.under_way = 0
        self._most = most
        self._threshold = float(most)
        self._halved_at = 0.0
        self._resume_at = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a place, hold it; the value is when it began, for `push_back`."""
        await self._take()
        try:
            yield time.monotonic()
        finally:
            async with self._changed:
                self.under_way -= 1
                self._changed.notify(max(0, self._free()))

    def _free(self) -> int:
        return int(self.limit) - self.under_way

    async def _take(self) -> None:
        while True:
            await asyncio.sleep(self._resume_at - time.monotonic())
            async with self._changed:
                await self._changed.wait_for(lambda: self._free() > 0)
                if self._resume_at <= time.monotonic():
                    self.under_way += 1
                    return

    def succeed(self) -> None:
        """A question was answered."""
        step = 1.0 if self.limit < self._threshold else 1.0 / self.limit
        self.limit = min(self.limit + step, self._most)

    def push_back(self, began: float, seconds: float) -> None:
        """The service refused a question, begun at `began`, and asks to wait `seconds`.

        Questions that were already out when the limit was last halved do not halve it again.
        """
        now = time.monotonic()
        self._resume_at = max(self._resume_at, now + seconds)
        if began >= self._halved_at:
            self.limit = self._threshold = max(1.0, self.limit / 2)
            self._halved_at = now
