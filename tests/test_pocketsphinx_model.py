from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from mmdia_eval.extractors.pocketsphinx_model import (
    GENERIC_LANGUAGE_MODEL,
    Lexicon,
    decode,
    model_directory,
    new_decoder,
    spoken_words,
    weights,
)


@pytest.fixture(scope="module")
def decoder() -> Any:
    return new_decoder()


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hold on. <sigh> I'LL get the plunger (laughs)!", "hold on i'll get the plunger"),
        ("the Act of 1968", "the act of nineteen sixty eight"),
        ("in the 1960s, on the 21st", "in the nineteen sixties on the twenty first"),
        ("12,000 at $3.50", "twelve thousand at three point five dollars"),
        ("50% & 1,000,000,000", "fifty percent and one billion"),
        ("007 5551234", "zero zero seven five five five one two three four"),
        ("a well-known café’s t-shirt", "a well known cafe's t shirt"),
        ("R2D2", "r two d two"),
        ("… — !?", ""),
    ],
)
def test_spoken_words(text: str, spoken: str) -> None:
    assert spoken_words(text) == spoken.split()


@pytest.mark.parametrize(
    ("word", "entry", "phones"),
    [
        ("mister", "mister", "M IH S T ER"),
        ("'hello'", "hello", "HH AH L OW"),
        ("'bout", "'bout", "B AW T"),
        ("zoe's", "zoe's", "Z OW IY Z"),
        ("boss's", "boss's", "B AO S IH Z"),
        ("smartphone's", "smartphone's", "S M AA R T F OW N Z"),
        ("noooo", "noooo", "N OW"),
        ("soooon", "soooon", "S UW N"),
    ],
)
def test_dictionary_and_derived_words(decoder: Any, word: str, entry: str, phones: str) -> None:
    assert Lexicon(decoder).entry(word) == entry
    assert decoder.lookup_word(entry) == phones


@pytest.mark.parametrize("word", ["avonlea", "'", "xqqq's"])
def test_a_word_without_pronunciation_has_no_entry(decoder: Any, word: str) -> None:
    assert Lexicon(decoder).entry(word) is None


def test_weights_are_the_digests_of_the_files_in_use() -> None:
    acoustic, dictionary, generic = weights(GENERIC_LANGUAGE_MODEL)
    assert weights() == (acoustic, dictionary)
    data = (model_directory() / GENERIC_LANGUAGE_MODEL).read_bytes()
    assert generic.name == "pocketsphinx/en-us.lm.bin"
    assert generic.sha256 == hashlib.sha256(data).hexdigest()
    # the wheel of pocketsphinx 5.1.1: another model must not pass for this one
    assert acoustic.sha256.startswith("ed38e711")
    assert dictionary.sha256.startswith("20b5c293")


@pytest.mark.parametrize("length", [1, 159, 160, 410, 1600])
def test_decoding_a_scrap_of_sound_finds_no_word(decoder: Any, length: int) -> None:
    decoder.set_align_text("hello")
    noise = 1e-3 * np.random.default_rng(0).standard_normal(length)
    assert decode(decoder, noise.astype(np.float32), 0.0) == ()
