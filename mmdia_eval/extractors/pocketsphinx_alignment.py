"""Forced alignment with pocketsphinx: the dialogue's script laid over the audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import ClassVar

import numpy as np
from rapidfuzz.distance import Levenshtein

from mmdia_eval import api
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Transcript, Word
from mmdia_eval.extractors.pocketsphinx_model import (
    REQUIRES,
    Lexicon,
    decode,
    new_decoder,
    spoken_words,
    weights,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, FloatArray, Weights

BEAMS = (1e-48, 1e-100, 1e-160)
"""Search beams, tried in order: some recordings align with only one of them. With the third, 13 of
20 dialogues aligned with a script of 10 % more words than were said; 9 with the first two."""

PAD = 0.15
"""Seconds of faint noise put before and after the audio: the aligner silently drops a last word
that ends with the file."""

PAD_LEVEL = 1e-4
"""Standard deviation of that noise, full scale being 1."""

LONGEST_PAUSE = 1.5
"""Seconds between two words of one turn beyond which the recogniser's match is put down to chance.
Inside turns pauses are 0.3 s at most in the mini benchmark, 1.3 s in four real dialogues."""


@extractor("pocketsphinx_alignment")
class PocketsphinxAlignment(api.Extractor[Alignment]):
    """Where in mono 16 kHz audio each word of the script is, in seconds from the file's start.

    Engine: pocketsphinx 5.1.1 (https://github.com/cmusphinx/pocketsphinx), `set_align_text`, with
    its en-us model, licence BSD-2-Clause, US English only. Words come back in the dictionary's
    spelling: lower case, numbers spelled out ("1968" is three words); `expected` counts in the same
    way. A word without a pronunciation is expected, too, but never found.

    The aligner's failures are silent: too few words, no exception. Only an alignment with every
    word is taken. Else `problem` tells, and a turn gets those of its words that the recogniser
    heard in their place, where they are half of the turn at least; the other turns get none.

    Worth: word boundaries are off by 10 to 20 ms in the median, 75 to 92 % of them by 50 ms at
    most, on three recordings with a word tier. That a script aligns does not show that it was said:
    a wrong one aligns in a third of the cases.
    """

    version: ClassVar[str] = "1"
    makes = Alignment
    cost = 0.02
    needs = (Transcript,)
    reads = ("script",)
    requires = REQUIRES

    def weights(self) -> tuple[Weights, ...]:
        return weights()

    def load(self) -> None:
        self._decoders = [new_decoder(beam=beam, wbeam=beam, pbeam=beam) for beam in BEAMS]

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Alignment]:
        return [self._align(inputs) for inputs in batch]

    def _align(self, inputs: Inputs) -> Alignment:
        script = [spoken_words(turn.text) for turn in inputs.dialogue.turns]
        padded = _padded(inputs.audio.samples)
        returned = []
        for decoder in self._decoders:
            lexicon = Lexicon(decoder)
            known = [[e for word in words if (e := lexicon.entry(word))] for words in script]
            text = list(chain.from_iterable(known))
            if not text:
                problem = "no word of the script is in the US English dictionary"
                return Alignment(tuple(_by_turn(script, [()] * len(script))), problem)
            decoder.set_align_text(" ".join(text))
            words = decode(decoder, padded, -PAD)
            if [word.text for word in words] == text:
                inside = (_clipped(word, inputs.audio.duration) for word in words)
                return Alignment(
                    tuple(_by_turn(script, [tuple(islice(inside, len(e))) for e in known]))
                )
            returned.append(str(len(words)))
        beams = ", ".join(f"{beam:g}" for beam in BEAMS)
        return Alignment(
            tuple(_by_turn(script, heard_turns(known, tuple(inputs.artifacts[Transcript].words)))),
            f"aligner returned {', '.join(returned)} of {len(text)} words at beams {beams}: "
            "the audio may not say the script",
        )


def heard_turns(script: Sequence[Sequence[str]], heard: Sequence[Word]) -> list[tuple[Word, ...]]:
    """For each turn of `script`, its words among those heard, or none if under half are there.

    The two sequences are aligned with the fewest edits, so turns come in order. Of a turn's words
    only the most that follow each other within `LONGEST_PAUSE` count: a word matched far away by
    chance would stretch the turn over its neighbours.
    """
    owners = [turn for turn, words in enumerate(script) for _ in words]
    blocks = Levenshtein.opcodes(list(chain.from_iterable(script)), [word.text for word in heard])
    matched: list[list[Word]] = [[] for _ in script]
    for block in blocks:
        if block.tag == "equal":
            for offset in range(block.src_end - block.src_start):
                matched[owners[block.src_start + offset]].append(heard[block.dest_start + offset])
    together = [_together(words) for words in matched]
    return [
        tuple(words) if 2 * len(words) >= max(len(turn), 1) else ()
        for turn, words in zip(script, together, strict=True)
    ]


def _together(words: Sequence[Word]) -> Sequence[Word]:
    """The longest run of `words` without a pause over `LONGEST_PAUSE`; the first of equal ones."""
    runs: list[list[Word]] = [[]]
    for word in words:
        if runs[-1] and word.start - runs[-1][-1].end > LONGEST_PAUSE:
            runs.append([])
        runs[-1].append(word)
    return max(runs, key=len)


def _padded(samples: FloatArray) -> FloatArray:
    """`samples` between two stretches of noise, always the same."""
    noise = np.random.default_rng(0).standard_normal((2, round(PAD * SAMPLE_RATE)))
    before, after = (PAD_LEVEL * noise).astype(np.float32)
    return np.concatenate([before, samples, after])


def _clipped(word: Word, duration: float) -> Word:
    start = min(max(word.start, 0.0), duration)
    return Word(word.text, start, min(max(word.end, start), duration))


def _by_turn(
    script: Sequence[Sequence[str]], found: Sequence[Sequence[Word]]
) -> Iterator[AlignedTurn]:
    for index, (spoken, words) in enumerate(zip(script, found, strict=True)):
        yield AlignedTurn(index, tuple(words), len(spoken))
