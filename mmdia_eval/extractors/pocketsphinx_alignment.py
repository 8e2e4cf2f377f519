"""Forced alignment with pocketsphinx: the dialogue's script laid over the audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import ClassVar

import numpy as np

from mmdia_eval import api
from mmdia_eval.api import Inputs, Weights
from mmdia_eval.extractors.pocketsphinx_model import (
    REQUIRES,
    Lexicon,
    decode,
    new_decoder,
    spoken_words,
    weights,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, AlignedTurn, Alignment, FloatArray, Word

BEAMS = (1e-48, 1e-100, 1e-160)
"""Search beams, tried in order: some recordings align with only one of them. With the third, 13 of
20 dialogues aligned with a script of 10 % more words than were said; 9 with the first two."""

PAD = 0.15
"""Seconds of faint noise put before and after the audio: the aligner silently drops a last word
that ends with the file."""

PAD_LEVEL = 1e-4
"""Standard deviation of that noise, full scale being 1."""


@extractor("pocketsphinx_alignment")
class PocketsphinxAlignment(api.Extractor[Alignment]):
    """Where in mono 16 kHz audio each word of the script is, in seconds from the file's start.

    Engine: pocketsphinx 5.1.1 (https://github.com/cmusphinx/pocketsphinx), `set_align_text`, with
    its en-us model, licence BSD-2-Clause, US English only. Words come back in the dictionary's
    spelling: lower case, numbers spelled out ("1968" is three words); `expected` counts in the same
    way. A word without a pronunciation is expected, too, but never found.

    The aligner's failures are silent: too few words, no exception. Only an alignment with every
    word is taken; else `problem` tells, and no turn has any.

    Worth: word boundaries are off by 10 to 20 ms in the median, 75 to 92 % of them by 50 ms at
    most, on three recordings with a word tier. That a script aligns does not show that it was said:
    a wrong one aligns in a third of the cases.
    """

    version: ClassVar[str] = "1"
    makes = Alignment
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
                return _nothing(script, "no word of the script is in the US English dictionary")
            decoder.set_align_text(" ".join(text))
            words = decode(decoder, padded, -PAD)
            if [word.text for word in words] == text:
                inside = (_clipped(word, inputs.audio.duration) for word in words)
                return Alignment(tuple(_by_turn(script, known, inside)))
            returned.append(str(len(words)))
        beams = ", ".join(f"{beam:g}" for beam in BEAMS)
        return _nothing(
            script,
            f"aligner returned {', '.join(returned)} of {len(text)} words at beams {beams}: "
            "the audio may not say the script",
        )


def _padded(samples: FloatArray) -> FloatArray:
    """`samples` between two stretches of noise, always the same."""
    noise = np.random.default_rng(0).standard_normal((2, round(PAD * SAMPLE_RATE)))
    before, after = (PAD_LEVEL * noise).astype(np.float32)
    return np.concatenate([before, samples, after])


def _clipped(word: Word, duration: float) -> Word:
    start = min(max(word.start, 0.0), duration)
    return Word(word.text, start, min(max(word.end, start), duration))


def _by_turn(
    script: Sequence[Sequence[str]], known: Sequence[Sequence[str]], words: Iterator[Word]
) -> Iterator[AlignedTurn]:
    for index, (spoken, entries) in enumerate(zip(script, known, strict=True)):
        yield AlignedTurn(index, tuple(islice(words, len(entries))), len(spoken))


def _nothing(script: Sequence[Sequence[str]], problem: str) -> Alignment:
    empty = (AlignedTurn(index, (), len(spoken)) for index, spoken in enumerate(script))
    return Alignment(tuple(empty), problem)
