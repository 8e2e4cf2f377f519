"""Speaker-aware self-similarity by the definition of MM-DIA's released code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Alignment, Artifacts, SpeakerEmbeddings
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.metrics.sasim import LOWEST_COSINE, self_similarity
from mmdia_eval.registry import metric
from mmdia_eval.sentences import split_sentences
from mmdia_eval.types import Dialogue

SPEAKERS = 2
"""Only SPEAKER0 and SPEAKER1 count, who are the first two to speak."""
SENTENCES = 4
"""The fewest sentences with more than 5 pairs."""


@metric("sasim_release")
class SasimRelease(Metric):
    """Mean over speakers of all dialogues; a missing output costs each the lowest cosine.

    `similarity` and `speakers_counted` make the value. A speaker is counted who can be compared in
    the output; where nobody can, or there is no output, everyone the script gives enough sentences.
    """

    version = "1"
    fields = (
        "similarity",
        "speakers_counted",
        "speakers_compared",
        "speakers",
        "sentences_embedded",
        "sentences",
        "alignments_failed",
        "dialogues",
    )
    reference_fields = ("speakers", "sentences", "dialogues")
    unit = "cosine"
    higher_is_better = True
    aggregation = "speakers"
    needs = (SpeakerEmbeddings, Alignment)
    companion = "speakers_compared"

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if not _enough(dialogue):
            return f"none of the first {SPEAKERS} speakers has {SENTENCES} sentences"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        embeddings, alignment = artifacts[SpeakerEmbeddings], artifacts[Alignment]
        owners = [dialogue.turns[index].speaker for index in embeddings.turns]
        rows = {name: [i for i, owner in enumerate(owners) if owner == name] for name in owners}
        similarities = [
            self_similarity(embeddings.vectors[rows[name]], [name] * len(rows[name])).intra
            for name in _enough(dialogue)
            if len(rows.get(name, ())) >= SENTENCES
        ]
        compared = [one for one in similarities if one is not None]
        if not compared:
            raise MissingOutputError(
                f"none of the first {SPEAKERS} speakers has {SENTENCES} sentences whose voice "
                f"could be embedded ({len(owners)} sentences were)"
                + (f"; alignment: {alignment.problem}" if alignment.problem else "")
            )
        return {
            **self.worst(dialogue),
            "similarity": sum(compared),
            "speakers_counted": float(len(compared)),
            "speakers_compared": float(len(compared)),
            "sentences_embedded": float(sum(len(rows.get(name, ())) for name in _enough(dialogue))),
            "alignments_failed": float(alignment.problem is not None),
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """No smaller cosine exists, so leaving a file out can never help."""
        sentences = _enough(dialogue)
        return {
            "similarity": LOWEST_COSINE * len(sentences),
            "speakers_counted": float(len(sentences)),
            "speakers_compared": 0.0,
            "speakers": float(len(sentences)),
            "sentences_embedded": 0.0,
            "sentences": float(sum(sentences.values())),
            "alignments_failed": 1.0,
            "dialogues": 1.0,
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["similarity"] / total["speakers_counted"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        compared = [row for row in rows if row["speakers_compared"]]
        bounded = [{**row, "lower_bound": _lower_bound(row)} for row in rows]
        return {
            **ratios(compared, as_released=("similarity", "speakers_compared")),
            **ratios(
                bounded,
                lower_bound=("lower_bound", "speakers"),
                speakers_compared=("speakers_compared", "speakers"),
                sentences_embedded=("sentences_embedded", "sentences"),
                alignments_failed=("alignments_failed", "dialogues"),
            ),
        }


def _lower_bound(row: Counts) -> float:
    """The dialogue's sum with the lowest cosine for each speaker who was not counted."""
    return row["similarity"] + LOWEST_COSINE * (row["speakers"] - row["speakers_counted"])


def _enough(dialogue: Dialogue) -> dict[str, int]:
    """Sentences of each of the first two speakers whom the script gives enough of them."""
    sentences: Counter[str] = Counter()
    for turn in dialogue.turns:
        sentences[turn.speaker] += len(split_sentences(turn.text))
    first = dialogue.speakers[:SPEAKERS]
    return {name: sentences[name] for name in first if sentences[name] >= SENTENCES}
