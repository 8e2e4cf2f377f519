"""The question of the release's script: several clips in one call, one line of reply for each.

As `evaluate_gemini.py` of jessyjinzy/MM-Dia (cc8a4e0) asks it, in words of ours: each clip and its
direction, then the rubric; the labels are asked for in the same call that may show them. There,
clips without a direction are left out of the request but not of the list that the lines are laid
over, so that scores move to other clips, and failed lines are dropped. Here the clips are numbered,
their lines must be as many, and a reply of another form fails them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mmdia_eval.artifacts import Draw
from mmdia_eval.categories import INTERACTION_TYPES, RELATIONSHIPS
from mmdia_eval.judges.asking import Call, Parts, Prompt
from mmdia_eval.judges.client import Media
from mmdia_eval.judges.estimate import Size
from mmdia_eval.judges.material import data
from mmdia_eval.judges.replies import Reading, read_lines
from mmdia_eval.judges.rubric import filled

TEXTS = ("release", "data", "relationships", "interaction_types")
GROUP = 5
"""Clips in one call."""


def instructions() -> str:
    """The rubric and the form of the reply."""
    return filled(
        "release",
        relationships=", ".join(RELATIONSHIPS),
        interaction_types=", ".join(INTERACTION_TYPES),
    )


def prompt(clips: Sequence[tuple[Media, str]]) -> Prompt:
    """The question about clips, each with its direction, in their order."""

    def parts(nonce: str) -> Parts:
        given: list[str | Media] = []
        for number, (clip, directed) in enumerate(clips, start=1):
            given += [f"Clip {number}:", clip]
            given.append(data(nonce, f"The direction of clip {number}", directed))
        return (*given, f"{filled('data', nonce=nonce)}\n\n{instructions()}")

    return parts


def draws(call: Call, clips: int) -> tuple[Draw, ...]:
    """A draw for each clip of one call; its tokens and retries are divided so that they add up."""
    return tuple(
        replace(
            _share(call, clip, clips).draw(partial(read_clip, clip, clips)), clip=clip, clips=clips
        )
        for clip in range(clips)
    )


def read_clip(clip: int, clips: int, reply: str) -> Reading:
    """What a reply about so many clips says of one. Raises UnreadableReplyError for all alike."""
    return read_lines(reply, clips)[clip]


def size(group: Sequence[tuple[str, float]]) -> Size:
    """What one call sends; each clip by its direction and seconds."""
    characters = len(instructions()) + sum(len(directed) for directed, _ in group)
    return Size(characters, audio_seconds=sum(seconds for _, seconds in group))


def _share(call: Call, number: int, clips: int) -> Call:
    def share(total: int) -> int:
        return total * (number + 1) // clips - total * number // clips

    reply = replace(
        call.reply,
        input_tokens=share(call.reply.input_tokens),
        output_tokens=share(call.reply.output_tokens),
        audio_tokens=share(call.reply.audio_tokens),
        retries=share(call.reply.retries),
    )
    return Call(reply, call.nonce)
