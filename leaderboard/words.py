"""The script and what was heard, word by word, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

from mmdia_eval.details import HeardWord, ScriptTurn
from mmdia_eval.text import strip_marks


@dataclass(frozen=True)
class Token:
    """A word of the script, of what was heard, or of both; `start` in seconds of a heard one."""

    kind: Literal["same", "wrong", "missed", "added"]
    script: str
    heard: str
    start: float | None


@dataclass(frozen=True)
class TurnLine:
    """A turn of the script with what was heard in its place."""

    speaker: str
    tokens: tuple[Token, ...]


def align_words(script: Sequence[ScriptTurn], heard: Sequence[HeardWord]) -> list[TurnLine]:
    """Turn by turn, the fewest errors. Words are equal but for case and punctuation.

    The metrics normalise further (numbers, spellings), so their counts may differ a little. Words
    added stand in the turn whose word comes before.
    """
    if not script:
        return []
    words = [
        (turn, word)
        for turn, line in enumerate(script)
        for word in strip_marks(line.text).split()
        if _plain(word)
    ]
    edits = Levenshtein.opcodes(
        [_plain(word) for _, word in words], [_plain(word.text) for word in heard]
    )
    tokens: list[list[Token]] = [[] for _ in script]
    for edit in edits:
        left = words[edit.src_start : edit.src_end]
        right = heard[edit.dest_start : edit.dest_end]
        if edit.tag == "insert":
            turn = words[edit.src_start - 1][0] if edit.src_start else 0
            tokens[turn] += [Token("added", "", word.text, word.start) for word in right]
        elif edit.tag == "delete":
            for turn, word in left:
                tokens[turn].append(Token("missed", word, "", None))
        else:
            kind: Literal["same", "wrong"] = "same" if edit.tag == "equal" else "wrong"
            for (turn, word), said in zip(left, right, strict=True):
                tokens[turn].append(Token(kind, word, said.text, said.start))
    return [TurnLine(turn.speaker, tuple(line)) for turn, line in zip(script, tokens, strict=True)]


def _plain(word: str) -> str:
    return "".join(c for c in word.casefold() if c.isalnum())
