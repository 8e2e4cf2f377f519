"""Signs that a recogniser, or the system it heard, made words up: measured, never acted upon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdia_eval import api
from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, Transcript, Utterance
from mmdia_eval.counts import ratios
from mmdia_eval.metrics.wer import heard_text, reference_text, word_errors
from mmdia_eval.registry import metric
from mmdia_eval.text import normalizer
from mmdia_eval.types import Dialogue

NO_SPEECH = 0.6
LOG_PROBABILITY = -1.0
COMPRESSION_RATIO = 2.4
"""Thresholds of openai/whisper, defaults of `transcribe`: over 0.6 and not over -1.0 together are
silence, under -1.0 or over 2.4 alone is a failed decoding."""

REPEATS = 3
"""How often an n-gram must stand in a row to be a loop: people say "no, no"."""

Gram = tuple[str, ...]


def loops(words: Sequence[str]) -> Iterator[tuple[range, Gram]]:
    """Places of `words` where one n-gram, n >= 1, follows itself `REPEATS` times or more.

    Each with the n-gram, rotated so that its smallest word comes first: "a b a b a b" and
    "b a b a b a" are the same loop. A loop goes on to its last word that fits, also within the
    n-gram. An n-gram that is a repetition itself is none: "no no" loops as "no".

    >>> list(loops("so thank you thank you thank you thank".split()))
    [(range(1, 8), ('thank', 'you'))]
    """
    for n in range(1, len(words) // REPEATS + 1):
        begin = 0
        while begin + n * REPEATS <= len(words):
            end = begin + n
            while end < len(words) and words[end] == words[end - n]:
                end += 1
            gram = tuple(words[begin : begin + n])
            if end - begin >= n * REPEATS and _is_primitive(gram):
                yield range(begin, end), min(gram[i:] + gram[:i] for i in range(n))
            begin = max(end - n, begin) + 1


def _is_primitive(gram: Gram) -> bool:
    n = len(gram)
    return not any(n % m == 0 and gram == gram[:m] * (n // m) for m in range(1, n))


def repeated_words(heard: Sequence[str], script: Sequence[str]) -> int:
    """How many words heard stand in loops that `script` does not have, however often it loops.

    >>> repeated_words("bye bye bye bye no no no".split(), "no no no no".split())
    4
    """
    known = {gram for _, gram in loops(script)}
    return len({place for places, gram in loops(heard) if gram not in known for place in places})


class HallucinationSettings(api.Settings):
    """`normalizer`: a name from `mmdia_eval.text.NORMALIZERS`, applied to both sides."""

    normalizer: str = "whisper-en"


@metric("hallucination")
class Hallucination(Metric):
    """Share of the words heard that are no part of the script, with further signs beside it."""

    version = "1"
    fields = (
        "inserted",
        "heard",
        "repeated",
        "utterances",
        "rated",
        "silent",
        "unsure",
        "measured_ratio",
        "compressed",
        "looping",
        "dialogues",
    )
    unit = "ratio"
    higher_is_better = False
    aggregation = "corpus"
    needs = (Transcript,)
    Settings = HallucinationSettings

    def __init__(self, settings: HallucinationSettings) -> None:
        super().__init__(settings)
        self.normalizer = normalizer(settings.normalizer)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        transcript = artifacts[Transcript]
        heard = heard_text(transcript, self.normalizer)
        script = reference_text(dialogue, self.normalizer)
        repeated = repeated_words(heard.split(), script.split())
        return {
            "inserted": float(word_errors(script, heard).insertions),
            "heard": float(len(heard.split())),
            "repeated": float(repeated),
            **_signs(transcript.utterances),
            "looping": float(repeated > 0),
            "dialogues": 1.0,
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """As many words as the script has, one at least, and each of them made up."""
        words = len(reference_text(dialogue, self.normalizer).split())
        made_up = float(max(words, 1))
        return dict.fromkeys(self.fields, 0.0) | {"inserted": made_up, "heard": made_up}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["inserted"] / total["heard"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        there = [row for row in rows if row["dialogues"]]
        return ratios(
            there,
            repeated_words=("repeated", "heard"),
            looping_dialogues=("looping", "dialogues"),
            rated_utterances=("rated", "utterances"),
            no_speech=("silent", "rated"),
            low_log_probability=("unsure", "rated"),
            high_compression_ratio=("compressed", "measured_ratio"),
        )


def _signs(utterances: Sequence[Utterance]) -> dict[str, float]:
    """How many utterances the recogniser itself had doubts about, of those it says it of."""
    rated = [
        (utterance.no_speech, utterance.log_probability)
        for utterance in utterances
        if utterance.no_speech is not None and utterance.log_probability is not None
    ]
    ratio = [u.compression_ratio for u in utterances if u.compression_ratio is not None]
    return {
        "utterances": float(len(utterances)),
        "rated": float(len(rated)),
        "silent": float(sum(p > NO_SPEECH and log <= LOG_PROBABILITY for p, log in rated)),
        "unsure": float(sum(log < LOG_PROBABILITY for _, log in rated)),
        "measured_ratio": float(len(ratio)),
        "compressed": float(sum(value > COMPRESSION_RATIO for value in ratio)),
    }
