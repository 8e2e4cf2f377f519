"""The words of a TextGrid, and the turns of a script they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from mmdia_eval.artifacts import Alignment, Word
from mmdia_eval.extractors.pocketsphinx_model import spoken_words
from mmdia_eval.extractors.script_words import Script, by_turn, unplaced

UNKNOWN = "<unk>"
"""What MFA writes for a word that its dictionary lacks: it stands for any word."""

TOUCHING = 0.02
"""Seconds between the parts of one word at most, as in MFA's own rejoining of clitics."""

SILENCE = frozenset({"", "sil", "<sil>", "sp", "<eps>", "#"})


def read_words(path: Path) -> list[Word]:
    """The words of all word tiers, in time order, in the file's spelling; silences are left out.

    A word tier is an interval tier whose name is "word" or ends with "words", in any case.

    Raises:
        ValueError: the file is no TextGrid, or has no such tier; the message names the file.
    """
    from praatio import textgrid  # noqa: PLC0415
    from praatio.utilities.errors import PraatioException  # noqa: PLC0415

    try:
        grid = textgrid.openTextgrid(
            str(path), includeEmptyIntervals=False, duplicateNamesMode="rename"
        )
    except (PraatioException, ValueError, LookupError, AttributeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a TextGrid: {error!r}") from error
    tiers = [
        tier
        for tier in grid.tiers
        if isinstance(tier, textgrid.IntervalTier) and _holds_words(tier.name)
    ]
    if not tiers:
        names = ", ".join(grid.tierNames) or "none"
        raise ValueError(f"{path} has no tier of words; its tiers: {names}")
    words = [
        Word(entry.label.strip(), float(entry.start), float(entry.end))
        for tier in tiers
        for entry in tier.entries
        if entry.label.strip().lower() not in SILENCE
    ]
    return sorted(words, key=lambda word: (word.start, word.end))


def _holds_words(name: str) -> bool:
    return name.strip().lower() == "word" or name.strip().lower().endswith("words")


def place_words(script: Script, labels: Sequence[Word], duration: float) -> Alignment:
    """The script's words with the times of the `labels` that an aligner gave for them.

    Aligners change spellings: case, hyphens, numbers, clitics ("that's" as "that" and "'s"), and
    a word without pronunciation as `UNKNOWN`. So labels are spelled as spoken, clitics joined where
    the script has the whole; then words are aligned with the fewest edits, turns thus coming in
    order. A label of several spoken words ("1968") is shared out evenly. Times are clipped to
    [0, `duration`] seconds.

    An alignment with every word has no `problem`. Else a turn keeps its words where they are half
    of it at least; fewer may have matched by chance.
    """
    wanted = [word for words in script for word in words]
    if not wanted:
        return unplaced(script, "the script has no words")
    placed = iter(_placed(wanted, _joined(_spoken(labels), frozenset(wanted)), duration))
    turns = [[word for word in islice(placed, len(words)) if word] for words in script]
    found = sum(map(len, turns))
    if found == len(wanted):
        return by_turn(script, turns)
    kept = [
        words if 2 * len(words) >= len(spoken) else []
        for spoken, words in zip(script, turns, strict=True)
    ]
    return by_turn(
        script, kept, f"{found} of {len(wanted)} words of the script are in the TextGrid"
    )


def _spoken(labels: Sequence[Word]) -> list[Word]:
    """The labels as spoken words, a label's time shared out evenly among its own."""
    found = []
    for label in labels:
        texts = [UNKNOWN] if _is_unknown(label.text) else spoken_words(label.text)
        edges = np.linspace(label.start, label.end, len(texts) + 1).tolist()
        found += [
            Word(text, start, end)
            for text, (start, end) in zip(texts, pairwise(edges), strict=True)
        ]
    return found


def _is_unknown(label: str) -> bool:
    """Also "<unk>'s", an unknown word with a clitic that has a pronunciation."""
    return UNKNOWN in label.lower() or label.lower() in {"spn", "<spn>"}


def _joined(words: Sequence[Word], known: frozenset[str]) -> list[Word]:
    """Words that touch at an apostrophe made one, the longest that is `known`, or is unknown."""
    found: list[Word] = []
    at = 0
    while at < len(words):
        end = at + 1
        while end < len(words) and _touch(words[end - 1], words[end]):
            end += 1
        while end > at + 1 and not _is_word("".join(w.text for w in words[at:end]), known):
            end -= 1
        text = "".join(word.text for word in words[at:end])
        text = UNKNOWN if _is_unknown(text) else text
        found.append(Word(text, words[at].start, words[end - 1].end))
        at = end
    return found


def _touch(left: Word, right: Word) -> bool:
    return right.start - left.end < TOUCHING and (
        left.text.endswith("'") or right.text.startswith("'")
    )


def _is_word(text: str, known: frozenset[str]) -> bool:
    if text.startswith(UNKNOWN):
        return text.removeprefix(UNKNOWN).strip("'") not in known
    return text.strip("'") in known


def _placed(wanted: Sequence[str], heard: Sequence[Word], duration: float) -> list[Word | None]:
    """Each wanted word where it, or the unknown word that stands for it, was heard."""
    edits = Levenshtein.editops(wanted, [word.text.strip("'") for word in heard])
    pairs = {
        block.a + offset: heard[block.b + offset]
        for block in edits.as_matching_blocks()
        for offset in range(block.size)
    }
    for edit in edits:
        if edit.tag == "replace" and heard[edit.dest_pos].text == UNKNOWN:
            pairs[edit.src_pos] = heard[edit.dest_pos]
    return [
        _clipped(text, pairs[number], duration) if number in pairs else None
        for number, text in enumerate(wanted)
    ]


def _clipped(text: str, place: Word, duration: float) -> Word:
    start = min(max(place.start, 0.0), duration)
    return Word(text, start, min(max(place.end, start), duration))
