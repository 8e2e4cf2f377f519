"""What a stage's verdicts took, by the judge's own account in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mmdia_eval.judges.account import Account, price_of
from mmdia_eval.judges.client import Reply
from mmdia_eval.types import Draw, Verdict


def account_of(verdicts: Iterable[Verdict]) -> Account:
    """Calls, tokens and cost behind verdicts, whenever they were paid, by answering model.

    Draws of one call, known by their nonce, count as one. A verdict that stands for several files
    is to be given once.
    """
    calls: dict[str, list[Draw]] = defaultdict(list)
    for verdict in verdicts:
        for number, draw in enumerate(verdict.draws):
            calls[draw.nonce or f"{id(verdict)}/{number}"].append(draw)
    account = Account()
    for draws in calls.values():
        reply = Reply(
            text="",
            model=draws[0].model,
            input_tokens=sum(draw.input_tokens for draw in draws),
            output_tokens=sum(draw.output_tokens for draw in draws),
            retries=sum(draw.retries for draw in draws),
            refusal=None,
            audio_tokens=sum(draw.audio_tokens for draw in draws),
        )
        account.add(reply, price_of(reply.model))
    return account
