"""What the judge extractors share: the connection, the draws, and keeping what was paid for."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from mmdia_eval import api
from mmdia_eval.api import Inputs, RemoteExtractor
from mmdia_eval.artifacts import Artifact, Draw, Transcript, Verdict
from mmdia_eval.errors import StageStoppedError, UnfinishedError, UserError
from mmdia_eval.judges.account import MaxCost
from mmdia_eval.judges.client import JudgeClient, JudgeError, Media, Question, Reply, connect
from mmdia_eval.judges.replay import RecordedReply, Replay
from mmdia_eval.judges.replies import Reading, UnreadableReplyError
from mmdia_eval.store import file_sha256

if TYPE_CHECKING:
    from mmdia_eval.judges.rubric_judge import RubricSettings

REPLAY = "replay:"

TRIES = 2
"""Times one draw is asked for: a reply that cannot be read is asked for once more."""

MAX_OUTPUT_TOKENS = 8192
"""Room for a reply of a few hundred tokens behind the thoughts of a model that thinks."""

REFUSED = "refused: "
"""Begins the problem of a draw that the judge refused."""

Parts = tuple[str | Media, ...]
Prompt = Callable[[str], Parts]
"""The parts of a question, from the nonce that marks data in it."""

A = TypeVar("A", bound=Artifact)


class JudgeSettings(api.Settings):
    """`judge`: "gemini:MODEL", "openai:MODEL" or "replay:PATH". `base_url`: the service's address
    where it is not the usual one. `max_cost` stops the stage and changes no verdict.
    """

    judge: str
    base_url: str | None = None
    max_cost: MaxCost | None = Field(default=None, exclude=True)

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        if url is not None and (urlsplit(url).username or urlsplit(url).query):
            raise ValueError("a URL with a user name or a query: keys come from the environment")
        return url

    @property
    def replies(self) -> Path | None:
        """The file of recorded replies that stands for the judge, if one does."""
        replayed = self.judge.startswith(REPLAY)
        return Path(self.judge.removeprefix(REPLAY)) if replayed else None


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
            return replace(made, problem=f"{REFUSED}{self.reply.refusal}")
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
    """A remote extractor that talks to the judge of its settings.

    `prompt_sha256` is the version of its question's text, `kind` the question's: its first part
    wherever questions are named.
    """

    Settings: ClassVar[type[api.Settings]] = JudgeSettings
    prompt_sha256: str
    kind: str

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

    def identity(self) -> Mapping[str, Any]:
        """The question's text; of recorded replies, which have theirs, the file's content."""
        if self.settings.replies is not None:
            return {"replies_sha256": file_sha256(self.settings.replies)}
        return {"prompt_sha256": self.prompt_sha256}

    def controls(self) -> RubricSettings | None:
        """The settings under which `judges.controls` tries the judge; None: it asks for no scores.

        Those of a judge that scores are its own.
        """
        return None

    @staticmethod
    @abstractmethod
    def draws_of(artifact: A) -> Sequence[Draw]:
        """The replies that an artifact of this extractor was made of."""

    def question(self, dialogue: str) -> str:
        """The name of the question about a dialogue, without the number of the draw."""
        return f"{self.kind}/{dialogue}"

    def recorded(self, question: str) -> Sequence[RecordedReply]:
        """What was said to a question, if the judge is a file of replies.

        All of it is taken, in its order, however the runs went in which it was said.
        """
        return self.client.recorded(question) if isinstance(self.client, Replay) else ()

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

    @staticmethod
    def draws_of(artifact: Verdict) -> Sequence[Draw]:
        return artifact.draws

    async def verdict(
        self,
        prompt: Callable[[int], Prompt],
        schema: Mapping[str, Any],
        read: Callable[[str], Reading],
        inputs: Inputs,
        name: str | None = None,
    ) -> Verdict:
        """The draws of one file, after those of `inputs.earlier`; `prompt` is by draw number.

        `name` is the question's, where it is not the one about the dialogue.
        """
        name = name or self.question(inputs.dialogue.id)
        if recorded := self.recorded(name):
            draws = [recorded_draw(reply, read) for reply in recorded]
            return self.checked(draws, recorded[0].prompt_sha256)
        made = list(earlier_draws(inputs))
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
        return self.checked(made)

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

    def checked(self, draws: Sequence[Draw], prompt_sha256: str | None = None) -> Verdict:
        """The verdict of all its draws, made under this prompt or under that of a recording.

        Raises:
            UnfinishedError: none of the draws could be read.
        """
        verdict = Verdict(tuple(draws), prompt_sha256 or self.prompt_sha256)
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


def recorded_draw(recorded: RecordedReply, read: Callable[[str], Reading]) -> Draw:
    """A recorded reply as the draw that it was."""
    draw = Call(recorded.as_reply, recorded.nonce or recorded.name).draw(read)
    return replace(draw, clip=recorded.clip, clips=recorded.clips)


def earlier_draws(inputs: Inputs) -> tuple[Draw, ...]:
    """What an earlier run left of an unfinished artifact."""
    earlier = inputs.earlier
    return earlier.draws if isinstance(earlier, Verdict | Transcript) else ()
