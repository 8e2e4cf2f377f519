"""Sentences of a script and where they are in the sound, as MM-DIA's release finds them.

Source: `evaluation/export_sentence_timestamps_from_mfa.py` of jessyjinzy/MM-Dia at cc8a4e0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from mmdia_eval.artifacts import Word
from mmdia_eval.types import Segment

SIMILAR = 0.84
"""Ratio of difflib at which two tokens count as one word."""
LOOK_AHEAD = 500
"""Tokens among which the next word is sought."""

_SENTENCE = re.compile(r"[^。．.!?]*[。．.!?]+|[^。．.!?]+$")
_OTHER = re.compile(r"[^a-z0-9\s'’-]")
_SILENCES = {"sp", "sil"}


def split_sentences(text: str) -> list[tuple[str, ...]]:
    """The tokens of each sentence of a turn; what holds no token is no sentence.

    A sentence ends with any run of full stops, exclamation and question marks, be it within "Mr."
    or "3.5".

    >>> split_sentences("Well... I'm Ann. (laughs) You?")
    [('well',), ("i'm", 'ann'), ('laughs', 'you')]
    """
    found = (_tokens(sentence) for sentence in _SENTENCE.findall(text))
    return [tokens for tokens in found if tokens]


def _tokens(text: str) -> tuple[str, ...]:
    """Lower case, accents off; letters, digits, apostrophes and hyphens make up a token."""
    letters = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return tuple(_OTHER.sub(" ", "".join(letters).lower()).replace("’", "'").split())


def find_sentences(
    sentences: Iterable[Sequence[str]], words: Sequence[Word]
) -> list[Segment | None]:
    """From the first to the last word found of each sentence, in seconds; None without any.

    Greedy, in order: each token is sought among the words after the one found before. A sentence
    ends with the last token found before one that was not; one whose first token is not found is
    lost, and the next is sought from the same place.
    """
    spoken = [
        (token, word)
        for word in words
        for token in _tokens(word.text)
        if word.text.lower() not in _SILENCES
    ]
    found: list[Segment | None] = []
    start = 0
    for sentence in sentences:
        places = _places(sentence, [token for token, _ in spoken], start)
        if places:
            start = places[-1] + 1
            found.append(Segment(spoken[places[0]][1].start, spoken[places[-1]][1].end))
        else:
            found.append(None)
    return found


def _places(sentence: Sequence[str], spoken: Sequence[str], start: int) -> list[int]:
    places: list[int] = []
    for token in sentence:
        ahead = range(start, min(len(spoken), start + LOOK_AHEAD))
        place = next((i for i in ahead if _similar(spoken[i], token)), None)
        if place is None:
            break
        places.append(place)
        start = place + 1
    return places


def _similar(heard: str, wanted: str) -> bool:
    if heard == wanted:
        return True
    matcher = SequenceMatcher(a=heard, b=wanted)
    # Each bound is cheaper than the next and never below it.
    return (
        matcher.real_quick_ratio() >= SIMILAR
        and matcher.quick_ratio() >= SIMILAR
        and matcher.ratio() >= SIMILAR
    )
