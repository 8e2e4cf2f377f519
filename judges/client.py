"""What every judge client is: a question with media goes out, a reply comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from mmdia_eval import registry
from mmdia_eval.errors import UserError

if TYPE_CHECKING:
    from mmdia_eval.judges.account import Account, Budget

GO_ON = "What was judged is kept: give the same command again to go on."
"""Ends the message of every StageStoppedError of a judge."""


@dataclass(frozen=True)
class Media:
    """A file for the judge to see or hear, with its type, such as "audio/wav"."""

    data: bytes
    mime_type: str


@dataclass(frozen=True)
class Question:
    """One call of a judge.

    `name` is stable ("<kind of question>/<dialogue id>/<draw>"), for logs and replay; it is never
    sent.
    `parts` go out in order. `schema` is the reply's JSON Schema, None for free text. A None
    `temperature` or `seed` is left to the service.
    """

    name: str
    parts: tuple[str | Media, ...]
    schema: Mapping[str, Any] | None
    temperature: float | None
    seed: int | None
    max_output_tokens: int


@dataclass(frozen=True)
class Reply:
    """What came back: `text` as it came, unparsed.

    `model` is the version that the service says answered. `input_tokens` counts everything sent,
    `audio_tokens` those of them that are sound where the service tells; `output_tokens` counts
    everything billed as output, thoughts too. `retries` counts the transport faults before this
    reply. `refusal` says why there is no text (safety block, no candidate), else None.
    """

    text: str
    model: str
    input_tokens: int
    output_tokens: int
    retries: int
    refusal: str | None
    audio_tokens: int = 0


class JudgeClient(Protocol):
    """A service that judges, registered as a backend: `@registry.judge("gemini")`.

    It belongs to the event loop of the first `ask`. `account` is what its calls came to so far.
    `default_model` is asked when the user names the backend alone; None: a model must be named.
    """

    default_model: ClassVar[str | None]
    account: Account

    def __init__(self, model: str, *, base_url: str | None, max_cost: Budget | None) -> None:
        """As `connect` says; cheap, and sends nothing."""

    async def ask(self, question: Question) -> Reply:
        """The reply to one question. Any number may be under way at once.

        Raises:
            StageStoppedError: no further question can succeed (quota spent, key refused, unknown
                model, cost limit reached); the message says how to go on.
            JudgeError: this question has no reply, transport faults outlasting the retries.
        """

    async def close(self) -> None:
        """Let connections go."""


class JudgeError(Exception):
    """A question got no reply, which fails that file alone.

    The message is ours: the service's own text might hold a key.
    """


def full_name(judge: str) -> str:
    """A judge's name with its model: "gemini" becomes "gemini:" and the backend's default model.

    Raises:
        UserError: the name is that of a backend without a default, or of none.
    """
    from mmdia_eval.judges.account import priced_models  # noqa: PLC0415 - it imports this module

    backend, colon, model = judge.partition(":")
    if colon and model:
        return judge
    default = registry.judge.get(backend).default_model
    if default is None:
        priced = ", ".join(priced_models(backend))
        listed = f"; models with a listed price: {priced}" if priced else ""
        raise UserError(f"judge {judge!r} names no model: write {backend}:…{listed}")
    return f"{backend}:{default}"


def connect(
    judge: str, *, base_url: str | None = None, max_cost: float | Budget | None = None
) -> JudgeClient:
    """The client of a judge named "gemini:MODEL", "openai:MODEL" or "replay:PATH".

    Nothing is sent and no service's package is imported before the first question, so that this
    serves as a check at planning. `base_url` is the service's address where it is not the usual
    one. `max_cost` is in US dollars; clients that are to keep to one limit together are given
    one `Budget`.

    Raises:
        UserError: no such backend, no key in the environment, a package that is not installed, or
            `max_cost` for a model whose price is unknown.
    """
    from mmdia_eval.judges.account import Budget  # noqa: PLC0415 - it imports this module

    backend, colon, model = judge.partition(":")
    if not colon or not model:
        known = ", ".join(f"{name}:…" for name in registry.judge)
        raise UserError(f"judge {judge!r} names no model; a judge is one of {known}")
    budget = Budget(max_cost) if isinstance(max_cost, int | float) else max_cost
    return registry.judge.get(backend)(model, base_url=base_url, max_cost=budget)
