"""What the two pocketsphinx engines share: the model in the wheel, its words, reading a result.

The model is CMU Sphinx's en-us (16 kHz, phonetically tied mixtures) with CMUdict: US English only.
Licence of model, dictionary and engine: BSD-2-Clause.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmdia_eval.api import Requirement
from mmdia_eval.artifacts import Word
from mmdia_eval.extractors.vad import pcm16
from mmdia_eval.text import strip_marks
from mmdia_eval.types import FloatArray, Weights

if TYPE_CHECKING:
    from pocketsphinx import Decoder

REQUIRES = (Requirement("pocketsphinx", "pip install pocketsphinx==5.1.1"),)
FRAME = 0.01
"""Seconds a decoder frame lasts."""

_ACOUSTIC_MODEL = "en-us"
_DICTIONARY = "cmudict-en-us.dict"
GENERIC_LANGUAGE_MODEL = "en-us.lm.bin"


def model_directory() -> Path:
    """Where the wheel keeps its US English model."""
    spec = find_spec("pocketsphinx")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pocketsphinx")
    return Path(spec.origin).parent / "model" / "en-us"


@cache
def digest(name: str) -> Weights:
    """A file of the model, or a folder as the digest of its files' names and digests, sorted."""
    path = model_directory() / name
    if path.is_dir():
        lines = [f"{file.name} {_sha256(file)}\n" for file in sorted(path.iterdir())]
        return Weights(f"pocketsphinx/{name}", hashlib.sha256("".join(lines).encode()).hexdigest())
    return Weights(f"pocketsphinx/{name}", _sha256(path))


def weights(*further: str) -> tuple[Weights, ...]:
    """Acoustic model and dictionary, and `further` files of the model's folder."""
    return tuple(digest(name) for name in (_ACOUSTIC_MODEL, _DICTIONARY, *further))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def new_decoder(**options: Any) -> Decoder:
    """A decoder over the model in the wheel, without a language model unless `options` names one.

    `options` are pocketsphinx's own, such as `beam` or `lm`.
    """
    from pocketsphinx import Decoder  # noqa: PLC0415

    folder = model_directory()
    return Decoder(
        hmm=str(folder / _ACOUSTIC_MODEL),
        dict=str(folder / _DICTIONARY),
        **{"lm": None, "samprate": 16_000, "loglevel": "FATAL", **options},
    )


def decode(decoder: Decoder, samples: FloatArray, offset: float) -> tuple[Word, ...]:
    """The words found in one utterance, in order; empty where the search found nothing.

    `samples` are mono at 16 kHz, one at least; `offset`, in seconds, is where they start in the
    file: the words' times count from the file's start. Fillers (silence, noise) are left out; of
    alternative pronunciations such as "read(2)" only the word is kept.
    """
    decoder.reinit_feat()  # else the result depends on what was decoded before
    decoder.start_utt()
    decoder.process_raw(pcm16(samples), full_utt=True)
    decoder.end_utt()
    return tuple(
        Word(
            _ALTERNATIVE.sub("", segment.word),
            round(offset + segment.start_frame * FRAME, 3),
            round(offset + (segment.end_frame + 1) * FRAME, 3),
        )
        for segment in decoder.seg() or ()
        if not segment.word.startswith(_FILLERS)
    )


_ALTERNATIVE = re.compile(r"\(\d+\)$")
_FILLERS = ("<", "[", "++", "(")

_SYMBOLS = (("&", " and "), ("%", " percent "))
_DOLLARS = re.compile(r"\$(\d[\d,]*(?:\.\d+)?)")
_TOKEN = re.compile(
    r"""  (?P<number> \d{1,3}(?:,\d{3})+(?:\.\d+)? | \d+(?:\.\d+)? ) (?P<suffix> st|nd|rd|th|s )?
        | '? [a-z]+ (?:'[a-z]+)* '?
    """,
    re.VERBOSE,
)
_LONGEST_QUANTITY = 6
"""Digits without a comma that are still one quantity, not a telephone number."""


def spoken_words(text: str) -> list[str]:
    """What a reader of `text` says: lower case, marks out, numbers spelled, hyphens split.

    >>> spoken_words("<sigh> The Rent Act of 1968? That's twenty-one (laughs) cafés.")
    ['the', 'rent', 'act', 'of', 'nineteen', 'sixty', 'eight', "that's", 'twenty', 'one', 'cafes']
    """
    text = unicodedata.normalize("NFKD", strip_marks(text)).lower()
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = _DOLLARS.sub(r"\1 dollars", text)
    for symbol, word in _SYMBOLS:
        text = text.replace(symbol, word)
    words: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["number"]:
            words += _spelled(token["number"], token["suffix"])
        else:
            words.append(token[0])
    return words


def _spelled(number: str, suffix: str | None) -> list[str]:
    """A number as read aloud: years in pairs, codes digit by digit, the rest as a quantity."""
    from num2words import num2words  # noqa: PLC0415

    plain = number.isdigit()
    quantity = number.replace(",", "")
    if plain and (number[0] == "0" or len(number) > _LONGEST_QUANTITY):
        spelled = " ".join(num2words(digit) for digit in number)
    elif suffix in {"st", "nd", "rd", "th"} and plain:
        spelled = num2words(number, to="ordinal")
    elif plain and 1100 <= int(number) <= 2099:
        spelled = num2words(number, to="year")
    else:
        spelled = num2words(quantity)
    if suffix == "s":
        spelled = spelled[:-1] + "ies" if spelled.endswith("y") else spelled + "s"
    return re.findall(r"[a-z]+", spelled)


class Lexicon:
    """The decoder's dictionary, with pronunciations derived for words it lacks.

    Derived: the possessive of a known word, and a known word with letters drawn out ("noooo").
    Other words, above all rare names, have no pronunciation here.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def entry(self, word: str) -> str | None:
        """The spelling under which the decoder knows `word`, added if need be; None if it cannot.

        Quotes around a word are dropped where the dictionary has it without them.
        """
        for spelling in (word, word.rstrip("'"), word.lstrip("'"), word.strip("'")):
            if self._decoder.lookup_word(spelling) is not None:
                return spelling
        bare = word.strip("'")
        phones = self._derived(bare)
        if phones is None:
            return None
        self._decoder.add_word(bare, phones, update=False)
        return bare

    def _derived(self, word: str) -> str | None:
        if word.endswith("'s"):
            phones = self._known(word[:-2])
            return phones and f"{phones} {_possessive(phones.split()[-1])}"
        for squeezed in (_DRAWN_OUT.sub(r"\1\1", word), _DRAWN_OUT.sub(r"\1", word)):
            if squeezed != word and (phones := self._known(squeezed)):
                return phones
        return None

    def _known(self, word: str) -> str | None:
        phones: str | None = self._decoder.lookup_word(word) if word else None
        return phones


_DRAWN_OUT = re.compile(r"([a-z])\1{2,}")


def _possessive(last_phone: str) -> str:
    """How 's sounds after a phone of CMUdict."""
    if last_phone in {"S", "Z", "SH", "ZH", "CH", "JH"}:
        return "IH Z"
    return "S" if last_phone in {"P", "T", "K", "F", "TH"} else "Z"
