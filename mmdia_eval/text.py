"""Text before words are counted: non-verbal marks out, then a named normalizer.

Normalise each utterance by itself, before joining any: Whisper's normalizer merges neighbouring
number words ("one two" becomes "12"), which after joining would happen across speakers.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.metadata import version

from mmdia_eval.errors import UserError

CACHED_TEXTS = 1 << 16
"""Normalised texts kept in memory: the references come back for every system and metric."""

_ACUTE_ACCENT = "\u00b4"
"""Used for an apostrophe; NFKC would make it a blank and a combining accent."""
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u2032`"), "'")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"), None)
_CHARACTERS: dict[int, str | None] = {**_APOSTROPHES, **_INVISIBLE}

_MARK = re.compile(
    r"""  <[^\s<>][^<>]*>           # <sigh>, but not "a < b and c > d"
        | \([^()]*\)              # (laughs), (to the waiter)
        | \[[^\[\]]*\]            # [music], [S1]
        | \{[^{}]*\}              # {gasp}
        | \*[^\s*]\*              # *a*
        | \*[^\s*][^*]*[^\s*]\*   # *sighs*, but not "2 * 3 * 4"
    """,
    re.VERBOSE,
)
_MARK_NESTING = 3
_STRAY = re.compile(r"[<>()\[\]{}*]")


def strip_marks(text: str) -> str:
    """`text` without its non-verbal marks, in NFKC, with plain apostrophes and single blanks.

    A mark is a closed pair of `<>`, `()`, `[]`, `{}` or `**` with whatever it holds: words in round
    brackets are stage directions, however many, as Whisper's and ZipVoice's normalizers also have
    it. A bracket without its partner is dropped alone and takes no words with it.

    >>> strip_marks("<sigh> I don’t (laughs softly) know [music].")
    "I don't know ."
    >>> strip_marks("It was (well, never mind")
    'It was well, never mind'
    """
    text = unicodedata.normalize("NFKC", text.replace(_ACUTE_ACCENT, "'")).translate(_CHARACTERS)
    for _ in range(_MARK_NESTING):
        text = _MARK.sub(" ", text)
    return " ".join(_STRAY.sub(" ", text).split())


@dataclass(frozen=True)
class Normalizer:
    """A named text normalizer: call it with the text of one utterance.

    `version` changes when any output could; for "whisper-en" it names the library's version too.
    """

    name: str
    version: str
    function: Callable[[str], str] = field(repr=False)

    def __call__(self, text: str) -> str:
        return self.function(text)


@cache
def _whisper_english() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer  # noqa: PLC0415

    normalize: Callable[[str], str] = EnglishTextNormalizer()
    return normalize


@lru_cache(CACHED_TEXTS)
def _whisper_en(text: str) -> str:
    """Marks out, Whisper's English rules, then tokens without a letter or digit out.

    Radford et al. 2022, appendix C, as packaged in `whisper_normalizer`.
    """
    tokens = _whisper_english()(strip_marks(text)).split()
    return " ".join(token for token in tokens if any(map(str.isalnum, token)))


_HANZI_PUNCTUATION = (
    "＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､\u3000、〃〈〉《》「」『』【】"
    "〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏﹑﹔·．！？｡。"
)
"""`zhon.hanzi.punctuation` of zhon 2.1.1, which the reference scripts delete."""

_DELETE_PUNCTUATION = dict.fromkeys(
    map(ord, _HANZI_PUNCTUATION + string.punctuation.replace("'", "")), None
)


@lru_cache(CACHED_TEXTS)
def _seedtts(text: str) -> str:
    """MM-DIA's release, `evaluate_wer_seedtts.py`: punctuation out, lower case, words of tags kept.

    The curly apostrophe counts as punctuation there, so "don’t" becomes "dont".
    """
    return text.translate(_DELETE_PUNCTUATION).replace("  ", " ").lower()


_ZIPVOICE_TAG = re.compile(r"\[.*?\]|<.*?>|\(.*?\)")


@lru_cache(CACHED_TEXTS)
def _zipvoice(text: str) -> str:
    """ZipVoice-Dialog, `wer/dialog.py`: tags out, punctuation out, blanks collapsed, lower case."""
    text = _ZIPVOICE_TAG.sub("", text).translate(_DELETE_PUNCTUATION)
    return " ".join(text.split()).lower()


NORMALIZERS: dict[str, Callable[[str], str]] = {
    "none": str,
    "seedtts": _seedtts,
    "whisper-en": _whisper_en,
    "zipvoice": _zipvoice,
}


def normalizer(name: str) -> Normalizer:
    """The normalizer of that name: one of `NORMALIZERS`.

    Raises:
        UserError: there is none; the message lists those that exist.
    """
    if name not in NORMALIZERS:
        raise UserError(f"unknown normalizer {name!r}; known: {', '.join(NORMALIZERS)}")
    number = f"1+{version('whisper-normalizer')}" if name == "whisper-en" else "1"
    return Normalizer(name, number, NORMALIZERS[name])
