"""What a stage's replies took, by the judge's own account in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mmdia_eval.artifacts import Draw
from mmdia_eval.judges.account import Account, price_of
from mmdia_eval.judges.client import Reply


def account_of(draws: Iterable[Draw], asked: str = "") -> Account:
    """Calls, tokens and cost behind draws, whenever they were paid, by answering model.

    Draws of one call, known by their nonce, count as one. `asked` is the model that was asked for:
    its price holds where that of the answering version is not listed, as in a `Budget`.
    """
    calls: dict[str, list[Draw]] = defaultdict(list)
    for number, draw in enumerate(draws):
        calls[draw.nonce or str(number)].append(draw)
    account = Account()
    for call in calls.values():
        reply = Reply(
            text="",
            model=call[0].model,
            input_tokens=sum(draw.input_tokens for draw in call),
            output_tokens=sum(draw.output_tokens for draw in call),
            retries=sum(draw.retries for draw in call),
            refusal=None,
            audio_tokens=sum(draw.audio_tokens for draw in call),
        )
        account.add(reply, price_of(reply.model) or price_of(asked))
    return account
