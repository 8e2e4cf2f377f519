"""A judge's replies from a file: to aggregate again, also when the judge is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from mmdia_eval import registry
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.judges.account import Account, Budget
from mmdia_eval.judges.client import JudgeError, Question, Reply
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes


class RecordedReply(BaseModel):
    """One line of the file: a reply, under "<kind of question>/<dialogue id>/<draw>".

    A call about several clips has a line for each: `clip` of `clips`, with the whole reply and the
    clip's share of tokens and retries. `nonce` tells calls apart.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    reply: str
    model: str
    input_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    retries: NonNegativeInt
    refusal: str | None
    prompt_sha256: str
    audio_tokens: NonNegativeInt = 0
    nonce: str = ""
    clip: NonNegativeInt = 0
    clips: PositiveInt = 1

    @property
    def kind(self) -> str:
        """The kind of question."""
        return self.name.partition("/")[0]

    @property
    def question(self) -> str:
        """The name without the draw."""
        return self.name.rpartition("/")[0]

    @property
    def as_reply(self) -> Reply:
        return Reply(
            text=self.reply,
            model=self.model,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            retries=self.retries,
            refusal=self.refusal,
            audio_tokens=self.audio_tokens,
        )


def write_replies(path: Path, replies: Iterable[RecordedReply]) -> None:
    """Write a file for `replay:PATH`, sorted by name, whole or not at all.

    Raises:
        UserError: two different replies have one name.
    """
    write_atomic(path, replies_jsonl(replies))


def replies_jsonl(replies: Iterable[RecordedReply]) -> bytes:
    """What `write_replies` writes."""
    by_name: dict[str, RecordedReply] = {}
    for reply in replies:
        if by_name.setdefault(reply.name, reply) != reply:
            raise UserError(f"two replies to the question {reply.name!r}")
    lines = [
        json.dumps(by_name[name].model_dump(), ensure_ascii=False, sort_keys=True)
        for name in sorted(by_name)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def read_replies(path: Path) -> dict[str, RecordedReply]:
    """The replies of a file, by their names.

    Raises:
        UserError: no such file, a line that is not of the format (the message has its number), or
            replies of one kind to different prompts.
    """
    found: dict[str, RecordedReply] = {}
    prompts: dict[str, str] = {}
    for number, line in json_lines(read_bytes(path)):
        where = f"{path}:{number}"
        try:
            reply = RecordedReply.model_validate(parse_json(line, where))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "line"
            raise UserError(f"{where}: {field}: {first['msg']}") from None
        if not re.fullmatch(r"[^/]+/.+/[0-9]+", reply.name):
            raise UserError(f"{where}: name: {reply.name!r} is not <kind>/<dialogue id>/<draw>")
        if reply.name in found:
            raise UserError(f"{where}: a second reply to the question {reply.name!r}")
        if prompts.setdefault(reply.kind, reply.prompt_sha256) != reply.prompt_sha256:
            raise UserError(
                f"{where}: prompt_sha256 is not that of the {reply.kind!r} before: replies to "
                "different questions go into different files"
            )
        found[reply.name] = reply
    return found


@registry.judge("replay")
class Replay:
    """Recorded replies, as often as a question was put; nothing is sent or spent."""

    default_model: ClassVar[str | None] = None

    def __init__(self, model: str, *, base_url: str | None, max_cost: Budget | None) -> None:
        self.path = Path(model)
        self.account = Account()
        self._replies: dict[str, list[RecordedReply]] = {}
        for reply in read_replies(self.path).values():
            self._replies.setdefault(reply.question, []).append(reply)

    def recorded(self, question: str) -> Sequence[RecordedReply]:
        """All that was said to a question ("<kind>/<dialogue id>"), in the order it was said."""
        found = self._replies.get(question, [])
        return sorted(found, key=lambda reply: int(reply.name.rpartition("/")[2]))

    async def ask(self, question: Question) -> Reply:
        """Nothing answers a question that is new.

        Raises:
            JudgeError: always.
        """
        self.account.failed += 1
        raise JudgeError(f"{self.path} has no reply to the question {question.name!r}")

    async def close(self) -> None:
        """Nothing is open."""
