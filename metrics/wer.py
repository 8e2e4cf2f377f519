"""Word error rate: substituted, deleted and inserted words over the reference's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Literal

import jiwer
from rapidfuzz.distance import Levenshtein

from mmdia_eval.api import Counts, Metric, Settings
from mmdia_eval.artifacts import Artifacts, Transcript
from mmdia_eval.registry import metric
from mmdia_eval.text import Normalizer, normalizer
from mmdia_eval.types import Dialogue

SPLIT = jiwer.Compose([jiwer.ReduceToListOfListOfWords()])
"""Words as whitespace separates them; every other normalisation is done before."""

ERROR_FIELDS: tuple[str, ...] = (
    "substitutions",
    "deletions",
    "insertions",
    "words",
    "rate",
    "dialogues",
)
"""What every word error metric counts; `rate` is a dialogue's own, summed over `dialogues`."""


@dataclass(frozen=True)
class ErrorCounts:
    """Word errors of one or several texts. Only `+` is defined: a rate is never averaged.

    >>> sum([ErrorCounts(1, 0, 0, 10), ErrorCounts(0, 0, 2, 2)], ErrorCounts()).rate
    0.25
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0
    """Words of the reference."""

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors over reference words, 0 is best, no upper bound; None without reference words."""
        return self.errors / self.words if self.words else None

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


def word_ids(texts: Iterable[str]) -> list[list[int]]:
    """The whitespace-separated words of each text as integers, equal for equal words.

    >>> word_ids(["the cat", "cat"])
    [[0, 1], [1]]
    """
    vocabulary: dict[str, int] = {}
    return [
        [vocabulary.setdefault(word, len(vocabulary)) for word in text.split()] for text in texts
    ]


def id_errors(reference: Sequence[int], hypothesis: Sequence[int]) -> ErrorCounts:
    """`word_errors` of texts already turned into ids by one call of `word_ids`.

    The alignment is rapidfuzz's, by which jiwer counts too; this way in serves the many alignments
    of one dialogue's texts that cpWER needs.
    """
    edits = [edit.tag for edit in Levenshtein.editops(reference, hypothesis)]
    return ErrorCounts(
        edits.count("replace"), edits.count("delete"), edits.count("insert"), len(reference)
    )


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Levenshtein counts by jiwer between the words of two normalised texts, split on whitespace.

    An empty reference is no error: the hypothesis's words are insertions, and `rate` is None.

    >>> word_errors("the cat sat", "the cat sat on")
    ErrorCounts(substitutions=0, deletions=0, insertions=1, words=3)
    >>> word_errors("", "hello").rate is None
    True
    """
    found = jiwer.process_words(
        reference, hypothesis, reference_transform=SPLIT, hypothesis_transform=SPLIT
    )
    words = found.hits + found.substitutions + found.deletions
    return ErrorCounts(found.substitutions, found.deletions, found.insertions, words)


def reference_text(dialogue: Dialogue, normalize: Normalizer) -> str:
    """The dialogue's script, each turn normalised by itself, in the order of its turns."""
    return " ".join(normalize(turn.text) for turn in dialogue.turns)


def heard_text(transcript: Transcript, normalize: Normalizer) -> str:
    """What was heard, each utterance normalised by itself, in time order."""
    return " ".join(
        normalize(" ".join(word.text for word in utterance.words))
        for utterance in transcript.utterances
    )


def rate_components(rows: Sequence[Counts]) -> dict[str, float]:
    """What a corpus word error rate hides, from the counts of the dialogues.

    Shares are of the reference's words, as is `corpus`, and add up to it. `mean`, `median`,
    `capped_mean` (each rate cut at 1) and `above_one` (share of dialogues with more errors than
    words) run over the dialogues that have reference words; `empty_references` counts the others.
    A figure with nothing to count is left out.
    """
    rates = [row["rate"] for row in rows if row["dialogues"]]
    figures: dict[str, float] = {"empty_references": len(rows) - len(rates)}
    if not rates:
        return figures
    words = sum(row["words"] for row in rows)
    for kind in ("substitution", "deletion", "insertion"):
        figures[f"{kind}_share"] = sum(row[f"{kind}s"] for row in rows) / words
    return figures | {
        "corpus": sum(_errors(row) for row in rows) / words,
        "mean": fmean(rates),
        "median": median(rates),
        "capped_mean": fmean(min(rate, 1.0) for rate in rates),
        "above_one": fmean(rate > 1 for rate in rates),
    }


def error_counts(found: ErrorCounts) -> dict[str, float]:
    """`ERROR_FIELDS` of one dialogue: its errors, and its own rate where it has reference words."""
    return {**vars(found), "rate": found.rate or 0.0, "dialogues": float(found.words > 0)}


def _errors(counts: Mapping[str, Any]) -> Any:
    return counts["substitutions"] + counts["deletions"] + counts["insertions"]


class WordErrorSettings(Settings):
    """`normalizer`: a name from `mmdia_eval.text.NORMALIZERS`, applied to both sides.

    `aggregation`: "corpus", summed errors over summed words; "dialogues", the mean of the
    dialogues' own rates, as Seed-TTS and MM-DIA's release average.
    """

    normalizer: str = "whisper-en"
    aggregation: Literal["corpus", "dialogues"] = "corpus"


class WordErrorMetric(Metric):
    """What metrics on word errors share: their fields, and the two ways to average."""

    fields: tuple[str, ...] = ERROR_FIELDS
    reference_fields: tuple[str, ...] = ("words", "dialogues")
    unit = "ratio"
    higher_is_better = False
    aggregation = "corpus"

    def __init__(self, settings: WordErrorSettings) -> None:
        super().__init__(settings)
        self.normalizer = normalizer(settings.normalizer)
        self.aggregation = settings.aggregation

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if (
            self.aggregation == "dialogues"
            and not reference_text(dialogue, self.normalizer).split()
        ):
            return "the script has no words, so the dialogue has no rate of its own"
        return None

    def reduce(self, total: Mapping[str, Any]) -> Any:
        if self.aggregation == "dialogues":
            return total["rate"] / total["dialogues"]
        return _errors(total) / total["words"]


class WerSettings(WordErrorSettings):
    """`words`: how the reference's words are counted for the corpus rate.

    "whitespace" counts words. "blanks" counts the pieces between single blanks, as ZipVoice's and
    MM-DIA's scripts do: a doubled blank adds one, and an empty reference has one.
    """

    words: Literal["whitespace", "blanks"] = "whitespace"


@metric("wer")
class Wer(WordErrorMetric):
    """Errors between the script, turn by turn, and what a recogniser heard; speakers play no part.

    A dialogue whose script has no words after normalisation keeps its insertions in the corpus sum.
    A missing output costs every word of the script.
    """

    version = "1"
    needs = (Transcript,)
    Settings = WerSettings

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        return self._counts(dialogue, heard_text(artifacts[Transcript], self.normalizer))

    def worst(self, dialogue: Dialogue) -> Counts:
        return self._counts(dialogue, "")

    def _counts(self, dialogue: Dialogue, heard: str) -> Counts:
        reference = reference_text(dialogue, self.normalizer)
        counts = error_counts(word_errors(reference, heard))
        if self.settings.words == "blanks":
            counts["words"] = len(reference.split(" "))
        return counts

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return rate_components(rows)
