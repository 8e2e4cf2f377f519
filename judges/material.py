"""What a judge sees and hears: media made anew here, and the benchmark's own text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from mmdia_eval import media, reencode, sandbox
from mmdia_eval.errors import UserError
from mmdia_eval.judges.client import Media
from mmdia_eval.types import Audio, Dialogue, SandboxMode, Style

Condition = Literal["description", "triplet", "keyframes", "reference"]
"""What an output is judged against. Task 1: the style's description or its triplet of labels;
Task 2: the keyframes; Task 3, where the output is a video: the reference recording."""
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


def data(nonce: str, title: str, content: str) -> str:
    """Text of the benchmark, marked as data."""
    return f"{title}\nbegin {nonce}\n{content}\nend {nonce}"


def script(dialogue: Dialogue) -> str:
    """The turns, one a line, behind their speakers' names."""
    return "\n".join(f"{turn.speaker}: {turn.text}" for turn in dialogue.turns)


def lacks(dialogue: Dialogue, condition: Condition) -> str | None:
    """Why the dialogue cannot be judged against `condition`, or None."""
    found = {
        "description": bool(dialogue.style.description),
        "triplet": bool(_labels(dialogue.style)),
        "keyframes": bool(dialogue.keyframes),
        "reference": dialogue.audio is not None,
    }
    return None if found[condition] else f"the dialogue has no {condition} to judge against"


def direction(dialogue: Dialogue, condition: Condition) -> str:
    """The style as the judge is told it: the description, or the labels one a line.

    Raises:
        UserError: the dialogue has no such style.
    """
    if problem := lacks(dialogue, condition):
        raise UserError(f"dialogue {dialogue.id!r}: {problem}")
    if condition == "description":
        return dialogue.style.description or ""
    return "\n".join(f"{name}: {label}" for name, label in _labels(dialogue.style))


def _labels(style: Style) -> list[tuple[str, str]]:
    names = {
        "Relationship": style.relationship,
        "Interaction type": style.interaction_type,
        "Emotional tone": style.emotional_tone,
    }
    return [(name, label) for name, label in names.items() if label]


def sound(audio: Audio) -> Media:
    """The samples as WAV, which every service takes."""
    return Media(media.wav_bytes(audio), "audio/wav")


def video(path: Path, mode: SandboxMode) -> Media:
    """A small plain MP4 of the file's picture and sound. Raises UserError as the media door."""
    return Media(sandbox.reencode_video(path, mode), "video/mp4")


def keyframes(dialogue: Dialogue) -> list[str | Media]:
    """Each still with the line that says its time and who is seen.

    Raises:
        UserError: the dialogue has none, or one cannot be read.
    """
    if problem := lacks(dialogue, "keyframes"):
        raise UserError(f"dialogue {dialogue.id!r}: {problem}")
    parts: list[str | Media] = []
    for number, frame in enumerate(dialogue.keyframes, start=1):
        seen = f", shows {frame.speaker}" if frame.speaker else ""
        parts.append(f"Picture {number} of {len(dialogue.keyframes)}, at {frame.time:.1f} s{seen}:")
        parts.append(Media(reencode.picture(frame.path), "image/jpeg"))
    return parts


def reference_audio(dialogue: Dialogue) -> Audio:
    """The reference recording.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    if dialogue.audio is None:
        raise UserError(f"dialogue {dialogue.id!r} has no reference recording to judge against")
    info, audio = media.decode(dialogue.audio)
    if audio is None:
        raise UserError(f"reference recording {dialogue.audio}: {info.problem}")
    return audio
