"""What a judge's calls came to, and what they cost by the price table."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, InstanceOf

from mmdia_eval.errors import StageStoppedError
from mmdia_eval.judges.client import GO_ON, Reply

MILLION = 1_000_000
_VERSION = re.compile(r"-(\d{3}|\d{4}-\d{2}-\d{2})$")


class Price(BaseModel):
    """US dollars per million tokens of a model of `backend`, as read at `source` on `date`.

    `audio` is for input tokens of sound where they cost otherwise. A prompt of more than
    `long_from` tokens is charged at `long_input` and `long_output` as a whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str
    input: float
    output: float
    audio: float | None = None
    long_from: int | None = None
    long_input: float | None = None
    long_output: float | None = None
    source: str
    date: str
    note: str | None = None

    def of(self, input_tokens: int, output_tokens: int, audio_tokens: int = 0) -> float:
        """US dollars for one call; no discount for cached input is counted."""
        into, out = self.input, self.output
        if self.long_from is not None and input_tokens > self.long_from:
            into, out = self.long_input or into, self.long_output or out
        sound = into if self.audio is None else self.audio
        other = input_tokens - audio_tokens
        return (other * into + audio_tokens * sound + output_tokens * out) / MILLION


class MediaTokens(BaseModel):
    """Input tokens a service makes of a second of sound, a second of video, an image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    audio_second: float
    video_second: float | None = None
    image: float | None = None
    source: str


@cache
def _table() -> tuple[dict[str, Price], dict[str, MediaTokens]]:
    text = files("mmdia_eval.judges").joinpath("prices.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    prices = {name: Price.model_validate(price) for name, price in table["price"].items()}
    tokens = {name: MediaTokens.model_validate(item) for name, item in table["tokens"].items()}
    return prices, tokens


def price_of(model: str) -> Price | None:
    """The price of a model or of a dated version of it ("gpt-audio-2025-08-28"); None: unknown."""
    prices, _ = _table()
    name = model.removeprefix("models/")
    return prices.get(name) or prices.get(_VERSION.sub("", name))


def priced_models(backend: str) -> list[str]:
    """A backend's models whose price is listed."""
    return sorted(name for name, price in _table()[0].items() if price.backend == backend)


def media_tokens(backend: str) -> MediaTokens | None:
    """What a backend's service makes of media, for estimates; None: unknown."""
    return _table()[1].get(backend)


@dataclass
class Usage:
    """Sums over the calls that one model version answered. `cost` is None if its price is unknown.

    `retries` are transport faults that a later attempt made good.
    """

    calls: int = 0
    input_tokens: int = 0
    audio_tokens: int = 0
    output_tokens: int = 0
    retries: int = 0
    cost: float | None = 0.0


@dataclass
class Account:
    """Calls by the model version that answered; `failed` questions have no reply.

    `lost_faults` are the transport faults that those met.
    """

    models: dict[str, Usage] = field(default_factory=dict)
    failed: int = 0
    lost_faults: int = 0

    def add(self, reply: Reply, price: Price | None) -> float | None:
        """Count a reply; its cost in US dollars."""
        cost = (
            price.of(reply.input_tokens, reply.output_tokens, reply.audio_tokens) if price else None
        )
        usage = self.models.setdefault(reply.model, Usage())
        usage.calls += 1
        usage.input_tokens += reply.input_tokens
        usage.audio_tokens += reply.audio_tokens
        usage.output_tokens += reply.output_tokens
        usage.retries += reply.retries
        usage.cost = None if usage.cost is None or cost is None else usage.cost + cost
        return cost

    @property
    def calls(self) -> int:
        return sum(usage.calls for usage in self.models.values())

    @property
    def cost(self) -> float | None:
        """US dollars in all; None if one model's price is unknown."""
        costs = [usage.cost for usage in self.models.values()]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


@dataclass(eq=False)
class Budget:
    """A limit in US dollars on what several clients spend together; `spent` so far in `calls`."""

    limit: float
    spent: float = 0.0
    calls: int = 0
    under_way: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition, repr=False)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For as long as one question is under way; waits while those under way might use it up.

        They, and this one, are taken to cost what the answered ones did.

        Raises:
            StageStoppedError: another question might pass the limit.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room() or self.under_way == 0)
            if not self._has_room():
                raise StageStoppedError(
                    f"--max-judge-cost: ${self.spent:.4f} of ${self.limit:g} is spent on "
                    f"{self.calls} calls, and another might pass it. {GO_ON} The limit then "
                    "counts from zero."
                )
            self.under_way += 1
        try:
            yield
        finally:
            async with self._changed:
                self.under_way -= 1
                self._changed.notify_all()

    def _has_room(self) -> bool:
        mean = self.spent / max(1, self.calls)
        return self.spent < self.limit and self.spent + mean * (self.under_way + 1) <= self.limit

    def spend(self, dollars: float) -> None:
        """Count a call that was answered."""
        self.spent += dollars
        self.calls += 1


def _as_budget(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return given
    if given < 0:
        raise ValueError("a budget of less than nothing")
    return Budget(float(given))


MaxCost = Annotated[InstanceOf[Budget], BeforeValidator(_as_budget)]
"""A setting that takes a `Budget`, or a number of US dollars, which becomes one of its own."""
