"""The words of a dialogue's script as they are spoken, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

from mmdia_eval.artifacts import AlignedTurn, Alignment, Word
from mmdia_eval.extractors.pocketsphinx_model import spoken_words
from mmdia_eval.types import Dialogue

Script = Sequence[Sequence[str]]
"""For each turn its words, as `spoken` spells them."""


def script_words(dialogue: Dialogue) -> Script:
    """What is said in each turn. A word of another script than Latin is none."""
    return [spoken(turn.text) for turn in dialogue.turns]


def spoken(text: str) -> list[str]:
    """`spoken_words` without quotes around words, which no aligner hears.

    >>> spoken("<sigh> 'Exactly', that's 21 dogs' names.")
    ['exactly', "that's", 'twenty', 'one', 'dogs', 'names']
    """
    return [word.strip("'") for word in spoken_words(text)]


def unplaced(script: Script, problem: str) -> Alignment:
    """The alignment that failed: every turn is there, and has no words."""
    return by_turn(script, [()] * len(script), problem)


def by_turn(
    script: Script, found: Sequence[Sequence[Word]], problem: str | None = None
) -> Alignment:
    """`found` holds the words that came back of each turn of `script`."""
    return Alignment(
        tuple(
            AlignedTurn(index, tuple(words), len(spoken))
            for index, (spoken, words) in enumerate(zip(script, found, strict=True))
        ),
        problem,
    )
