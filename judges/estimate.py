"""What asking a judge would take, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmdia_eval.api import Estimate
from mmdia_eval.judges.account import media_tokens, price_of

CHARACTERS_PER_TOKEN = 4
"""Of English text (https://ai.google.dev/gemini-api/docs/tokens)."""

OUTPUT_TOKENS = 1000
"""A reply with its thoughts, in tokens: an assumption, since models think as long as they like."""


@dataclass(frozen=True)
class Size:
    """What one call sends: characters of text, seconds of sound and of video, pictures."""

    characters: int
    audio_seconds: float = 0.0
    video_seconds: float = 0.0
    pictures: int = 0


def estimate(judge: str, calls: Sequence[Size]) -> Estimate:
    """Calls, tokens, and US dollars by the price table; what is unknown is said to be.

    Replies are taken to have OUTPUT_TOKENS; retries are not counted.
    """
    backend, _, model = judge.partition(":")
    counted = f"{len(calls):,} calls of {judge}"
    if backend == "replay":
        return Estimate(f"{counted}: recorded replies, nothing is sent", 0.0)
    tokens, price = media_tokens(backend), price_of(model)
    if tokens is None or _lacks(calls, tokens.video_second, tokens.image):
        return Estimate(f"{counted}; tokens and cost of such input are not known")
    sizes = [
        _tokens(call, tokens.audio_second, tokens.video_second, tokens.image) for call in calls
    ]
    sent = sum(text + sound for text, sound in sizes)
    back = OUTPUT_TOKENS * len(calls)
    line = f"{counted}, about {sent:,} tokens in and {back:,} out"
    if price is None:
        return Estimate(f"{line}; its price is not known")
    cost = sum(price.of(text + sound, OUTPUT_TOKENS, sound) for text, sound in sizes)
    return Estimate(f"{line}, about ${cost:,.2f}", cost)


def _lacks(calls: Sequence[Size], video: float | None, picture: float | None) -> bool:
    return any(
        (call.video_seconds and video is None) or (call.pictures and picture is None)
        for call in calls
    )


def _tokens(
    call: Size, audio: float, video: float | None, picture: float | None
) -> tuple[int, int]:
    """Tokens of everything but sound, and of sound."""
    seen = call.video_seconds * (video or 0.0) + call.pictures * (picture or 0.0)
    sound = (call.audio_seconds + call.video_seconds) * audio
    return round(call.characters / CHARACTERS_PER_TOKEN + seen), round(sound)
