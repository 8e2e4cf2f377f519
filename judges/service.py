"""The calling layer that clients of paid services share: pace, retries, cost, accounting."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from mmdia_eval.api import Requirement
from mmdia_eval.errors import StageStoppedError, UserError
from mmdia_eval.judges.account import Account, Budget, price_of
from mmdia_eval.judges.client import JudgeError, Question, Reply
from mmdia_eval.judges.faults import RateLimitError, TransportError
from mmdia_eval.judges.pace import Pace
from mmdia_eval.keys import holds_key, read_key

if TYPE_CHECKING:
    from tenacity import RetryCallState

logger = logging.getLogger(__name__)

INSTALL = "pip install 'mmdia-eval[judges]'"


class Service(ABC):
    """A judge behind a network. A backend implements `open`, `send`, `explain` and `close`.

    `requires`: the package of the service's client. `key_names`: the environment variables that may
    hold its key; `key` is None without one.
    `timeout`: seconds for one attempt, uploads and a dripping answer counted. `attempts`: how often
    a question goes out when the transport fails. `patience`: seconds after which a question that
    the service keeps refusing with 429 is given up. `first_delay`, `longest_delay`: seconds of the
    jittered exponential wait between attempts, where the service names none. `most`: questions
    under way at once.
    """

    name: ClassVar[str]
    default_model: ClassVar[str | None] = None
    requires: ClassVar[Requirement]
    key_names: ClassVar[tuple[str, ...]]
    timeout: ClassVar[float] = 300.0
    attempts: ClassVar[int] = 6
    patience: ClassVar[float] = 1800.0
    first_delay: ClassVar[float] = 1.0
    longest_delay: ClassVar[float] = 60.0
    most: ClassVar[int] = 32

    def __init__(self, model: str, *, base_url: str | None, max_cost: Budget | None) -> None:
        self.model = model
        self.base_url = base_url
        self.key = read_key(*self.key_names)
        self.account = Account()
        self._price = price_of(model)
        self._budget = max_cost
        self._stopped: str | None = None
        self._pace = Pace(self.most)
        if not _is_installed(self.requires.module):
            raise UserError(
                f"judge {self.name}:{model}: the package {self.requires.module} is not installed; "
                f"run: {self.requires.install}"
            )
        if max_cost is not None and self._price is None:
            raise UserError(
                f"--max-judge-cost: the price of {model!r} is not in the price table "
                "(judges/prices.toml), so that its cost cannot be followed; leave the option out, "
                "or choose a model that is listed"
            )

    @abstractmethod
    def open(self) -> None:
        """Import the service's client and make one, unless there is one. Not timed."""

    @abstractmethod
    async def send(self, question: Question) -> Reply:
        """One attempt, with no retry of its own; `retries` of the reply is 0."""

    @abstractmethod
    def explain(self, error: Exception) -> Exception:
        """What an exception of `send` means.

        A RateLimitError or another TransportError is tried again; a StageStoppedError stops all,
        any other JudgeError fails the question. Nothing of the service's text may be in it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let connections go."""

    async def ask(self, question: Question) -> Reply:
        """As `JudgeClient` says."""
        from tenacity import AsyncRetrying, retry_if_exception_type  # noqa: PLC0415

        self.open()
        patience = _Patience(self)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransportError),
            stop=patience.is_over,
            wait=patience.wait,
            reraise=True,
        )
        try:
            reply: Reply = await retrying(self._take_turn, question, patience)
        except StageStoppedError as error:
            self._stopped = str(error)
            raise
        except JudgeError:
            self.account.failed += 1
            self.account.lost_faults += patience.failures
            raise
        if holds_key("\n".join((reply.text, reply.model, reply.refusal or ""))):
            raise JudgeError("the reply repeats the key it was asked with, and is not kept")
        return reply

    async def _take_turn(self, question: Question, patience: _Patience) -> Reply:
        async with self._pace.turn() as began:
            if self._stopped is not None:
                raise StageStoppedError(self._stopped)
            async with self._budget.place() if self._budget else nullcontext():
                reply = await self._attempt(question, began)
                return self._count(replace(reply, retries=patience.failures))

    async def _attempt(self, question: Question, began: float) -> Reply:
        try:
            async with asyncio.timeout(self.timeout):
                reply = await self.send(question)
        except (JudgeError, StageStoppedError) as error:
            fault: Exception = error
        except TimeoutError:
            fault = TransportError(f"the service gave no full answer in {self.timeout:g} s")
        except Exception as error:
            logger.debug("%s: an attempt failed", question.name, exc_info=error)
            fault = self.explain(error)
        else:
            self._pace.succeed()
            return reply
        if isinstance(fault, RateLimitError):
            self._pace.push_back(began, fault.seconds or 0.0)
        # Out here, so that the service's own exception is not its context.
        raise fault

    def _count(self, reply: Reply) -> Reply:
        cost = self.account.add(reply, price_of(reply.model) or self._price)
        if self._budget is not None:
            self._budget.spend(cost or 0.0)
        return reply


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


class _Patience:
    """How one question is tried again: rate limits by time, other faults by number."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._faults = 0
        self.failures = 0

    def is_over(self, state: RetryCallState) -> bool:
        if isinstance(_error(state), RateLimitError):
            return (state.seconds_since_start or 0.0) > self._service.patience
        self._faults += 1
        return self._faults >= self._service.attempts

    def wait(self, state: RetryCallState) -> float:
        self.failures += 1
        error = _error(state)
        asked = error.seconds if isinstance(error, RateLimitError) else None
        longest = self._service.first_delay * 2.0 ** min(self.failures - 1, 16)
        # Full jitter: the attempts of many questions spread over the whole wait.
        own = random.uniform(0.0, min(self._service.longest_delay, longest))  # noqa: S311
        return own if asked is None else asked


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
