"""What the judge extractors share: the connection, the draws, and keeping what was paid for."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from mmdia_eval import api
from mmdia_eval.api import Inputs, RemoteExtractor
from mmdia_eval.errors import StageStoppedError, UnfinishedError, UserError
from mmdia_eval.judges.client import JudgeClient, JudgeError, Media, Question, Reply, connect
from mmdia_eval.judges.replies import Reading, UnreadableReplyError
from mmdia_eval.types import Artifact, Draw, Verdict

TRIES = 2
"""Times one draw is asked for: a reply that cannot be read is asked for once more."""

MAX_OUTPUT_TOKENS = 8192
"""Room for a reply of a few hundred tokens behind the thoughts of a model that thinks."""

Parts = tuple[str | Media, ...]
Prompt = Callable[[str], Parts]
"""The parts of a question, from the nonce that marks data in it."""

A = TypeVar("A", bound=Artifact)


class JudgeSettings(api.Settings):
    """`judge`: "gemini:MODEL", "openai:MODEL" or "replay:PATH". `base_url`: the service's address
    where it is not the usual one. `max_cost`, US dollars, stops the stage and changes no verdict.
    """

    judge: str
    base_url: str | None = None
    max_cost: float | None = Field(default=None, ge=0, exclude=True)

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).username or urlsplit(url).query):
            raise ValueError("a URL with a user name or a query: keys come from the environment")
        return url


@dataclass(frozen=True)
class Call:
    """A reply and the nonce of its prompt."""

    reply: Reply
    nonce: str

    def draw(self, read: Callable[[str], Reading]) -> Draw:
        """The reply as a draw, read or with the problem that kept it from being read."""
        made = Draw(
            reply=self.reply.text,
            answers={},
            rationale=None,
            model=self.reply.model,
            input_tokens=self.reply.input_tokens,
            output_tokens=self.reply.output_tokens,
            retries=self.reply.retries,
            nonce=self.nonce,
            audio_tokens=self.reply.audio_tokens,
        )
        if self.reply.refusal is not None:
            return replace(made, problem=f"refused: {self.reply.refusal}")
        try:
            reading = read(self.reply.text)
        except UnreadableReplyError as error:
            return replace(made, problem=f"unreadable: {error}")
        return replace(made, answers=reading.answers, rationale=reading.rationale)

    @property
    def refused(self) -> bool:
        """A refusal is the judge's answer: asking again would only roll the dice once more."""
        return self.reply.refusal is not None


class JudgeExtractor(RemoteExtractor[A]):
    """A remote extractor that talks to the judge of its settings."""

    Settings: ClassVar[type[api.Settings]] = JudgeSettings

    def __init__(self, settings: Any, scripts: Sequence[str]) -> None:
        super().__init__(settings, scripts)
        self.client: JudgeClient | None = None

    def problems(self) -> list[str]:
        try:
            self._connected()
        except UserError as error:
            return [str(error)]
        return []

    async def open(self) -> None:
        self.client = self._connected()

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()

    def _connected(self) -> JudgeClient:
        settings = self.settings
        return connect(settings.judge, base_url=settings.base_url, max_cost=settings.max_cost)

    async def call(
        self,
        name: str,
        prompt: Prompt,
        schema: Mapping[str, Any] | None,
        temperature: float | None,
        seed: int | None,
    ) -> Call:
        """Ask once, with a nonce of its own. Raises as `JudgeClient.ask`."""
        if self.client is None:
            raise RuntimeError("asked before it was opened")
        nonce = secrets.token_hex(8)
        question = Question(name, prompt(nonce), schema, temperature, seed, MAX_OUTPUT_TOKENS)
        return Call(await self.client.ask(question), nonce)


class VerdictExtractor(JudgeExtractor[Verdict]):
    """A judge extractor whose artifact is a verdict of several draws.

    A draw whose reply cannot be read is asked for once more; a refusal is not. The verdict stands
    with at least one readable draw. One without fails its file, and so does a fault of the service
    amid the draws: the replies so far are kept, and only the draws that still lack are asked for
    when the file is tried again.
    """

    makes = Verdict
    prompt_sha256: str

    def identity(self) -> Mapping[str, Any]:
        return {"prompt_sha256": self.prompt_sha256}

    async def verdict(
        self,
        name: str,
        prompt: Callable[[int], Prompt],
        schema: Mapping[str, Any],
        read: Callable[[str], Reading],
        inputs: Inputs,
    ) -> Verdict:
        """The draws of one file, after those of `inputs.earlier`; `prompt` is by draw number."""
        made = list(_earlier(inputs))
        wanted = self.settings.draws - sum(draw.problem is None for draw in made)
        try:
            for _ in range(wanted):
                await self._draw(name, prompt, schema, read, made)
        except StageStoppedError as error:
            raise StageStoppedError(str(error), self._verdict(made) if made else None) from None
        except JudgeError as error:
            if not made:
                raise
            raise UnfinishedError(str(error), self._verdict(made)) from None
        return self._checked(made)

    async def _draw(
        self,
        name: str,
        prompt: Callable[[int], Prompt],
        schema: Mapping[str, Any],
        read: Callable[[str], Reading],
        made: list[Draw],
    ) -> None:
        """Add to `made` the replies of one draw: one, or two when the first cannot be read."""
        temperature = self.settings.temperature
        for _ in range(TRIES):
            number = len(made)
            seed = None if temperature is None else number
            call = await self.call(f"{name}/{number}", prompt(number), schema, temperature, seed)
            made.append(call.draw(read))
            if call.refused or made[-1].problem is None:
                return

    def checked(self, inputs: Inputs, draws: Sequence[Draw]) -> Verdict:
        """The verdict of `draws`, after those of an earlier run.

        Raises:
            UnfinishedError: none of the draws could be read.
        """
        return self._checked([*_earlier(inputs), *draws])

    def _checked(self, draws: Sequence[Draw]) -> Verdict:
        verdict = self._verdict(draws)
        if not verdict.readable:
            last = draws[-1]
            raise UnfinishedError(
                f"none of {len(draws)} replies could be used; the last: {last.problem}; "
                f"it began {last.reply[:80]!r}",
                verdict,
            )
        return verdict

    def _verdict(self, draws: Iterable[Draw]) -> Verdict:
        return Verdict(tuple(draws), self.prompt_sha256)


def _earlier(inputs: Inputs) -> tuple[Draw, ...]:
    return inputs.earlier.draws if isinstance(inputs.earlier, Verdict) else ()
