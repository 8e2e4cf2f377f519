"""A judge's replies from a file: to aggregate again, also when the judge is gone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from mmdia_eval import registry
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.judges.account import Account, Budget, Price
from mmdia_eval.judges.client import JudgeError, Question, Reply
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes

FREE = Price(input=0.0, output=0.0, source="nothing is sent", date="")


class RecordedReply(BaseModel):
    """One line of the file: the question's name, and what `Reply` has."""

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


def write_replies(path: Path, replies: Iterable[RecordedReply]) -> None:
    """Write a file for `replay:PATH`, sorted by name, whole or not at all.

    Raises:
        UserError: two replies have one name.
    """
    by_name: dict[str, RecordedReply] = {}
    for reply in replies:
        if by_name.setdefault(reply.name, reply) is not reply:
            raise UserError(f"{path}: two replies to the question {reply.name!r}")
    lines = [
        json.dumps(by_name[name].model_dump(), ensure_ascii=False, sort_keys=True)
        for name in sorted(by_name)
    ]
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def read_replies(path: Path) -> dict[str, RecordedReply]:
    """The replies of a file, by the name of their question.

    Raises:
        UserError: no such file, or a line that is not of the format; the message has its number.
    """
    found: dict[str, RecordedReply] = {}
    for number, line in json_lines(read_bytes(path)):
        where = f"{path}:{number}"
        try:
            reply = RecordedReply.model_validate(parse_json(line, where))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "line"
            raise UserError(f"{where}: {field}: {first['msg']}") from None
        if reply.name in found:
            raise UserError(f"{where}: a second reply to the question {reply.name!r}")
        found[reply.name] = reply
    return found


@registry.judge("replay")
class Replay:
    """Answers each question with the reply recorded under its name; nothing is sent or spent."""

    def __init__(self, model: str, *, base_url: str | None, max_cost: Budget | None) -> None:
        self.path = Path(model)
        self.replies = read_replies(self.path)
        self.account = Account()

    async def ask(self, question: Question) -> Reply:
        recorded = self.replies.get(question.name)
        if recorded is None:
            self.account.failed += 1
            raise JudgeError(f"{self.path} has no reply to the question {question.name!r}")
        reply = Reply(
            text=recorded.reply,
            model=recorded.model,
            input_tokens=recorded.input_tokens,
            output_tokens=recorded.output_tokens,
            retries=recorded.retries,
            refusal=recorded.refusal,
            audio_tokens=recorded.audio_tokens,
        )
        self.account.add(reply, FREE)
        return reply

    async def close(self) -> None:
        """Nothing is open."""
