"""Speaker-aware self-similarity: does each speaker of a dialogue keep one voice?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Alignment, Artifacts, SpeakerEmbeddings
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.registry import metric
from mmdia_eval.text import strip_marks
from mmdia_eval.types import Dialogue

LOWEST_COSINE = -1.0
HIGHEST_COSINE = 1.0


@dataclass(frozen=True)
class SelfSimilarity:
    """Mean cosines, each in [-1, 1], or None where there is no pair to compare.

    `intra` between vectors of one speaker, mean over the `speakers` who have two or more;
    `inter` between vectors of different speakers, mean over all such pairs.
    """

    intra: float | None
    inter: float | None
    speakers: int

    @property
    def margin(self) -> float | None:
        """`intra - inter`, in [-2, 2]: how far the speakers stand apart. Higher is better."""
        if self.intra is None or self.inter is None:
            return None
        return self.intra - self.inter


def self_similarity(vectors: ArrayLike, speakers: Sequence[str]) -> SelfSimilarity:
    """Mean pairwise cosines inside and between speakers.

    `vectors` has shape (n, d), any float type, any length but 0; `speakers` names the n owners.
    The intra-speaker mean is that of the MM-DIA authors' `evaluate_sasim.py`; the inter-speaker
    one is the similarity that PodEval's between-speaker distance SPTD measures.

    Raises:
        ValueError: shapes that do not fit, or a vector that is zero or not finite.
    """
    array = np.asarray(vectors, dtype=np.float64)
    if array.ndim != 2 or len(array) != len(speakers):
        raise ValueError(f"{len(speakers)} speakers need vectors (n, d), not {array.shape}")
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    if not np.all((lengths > 0) & np.isfinite(lengths)):
        raise ValueError("a voice embedding is zero or not finite")
    names = list(dict.fromkeys(speakers))
    owns = np.array([[speaker == name for speaker in speakers] for name in names], dtype=np.float64)
    owns = owns.reshape(len(names), len(array))
    # The sum of all cosines between two sets of unit vectors is the dot product of their sums.
    sums = owns @ (array / lengths)
    own_cosines = np.sum(sums**2, axis=1)
    all_cosines = np.sum(sums.sum(axis=0) ** 2)
    sizes = owns.sum(axis=1)
    several = sizes > 1
    intra = (own_cosines - sizes)[several] / (sizes * (sizes - 1))[several]
    pairs = sizes.sum() ** 2 - np.sum(sizes**2)
    return SelfSimilarity(
        intra=_cosine(intra.mean()) if several.any() else None,
        inter=_cosine((all_cosines - own_cosines.sum()) / pairs) if pairs else None,
        speakers=int(several.sum()),
    )


def _cosine(value: Any) -> float:
    """Without the last bit of rounding that would leave the range."""
    return float(np.clip(value, LOWEST_COSINE, HIGHEST_COSINE))


@metric("sasim")
class Sasim(Metric):
    """Mean over dialogues of the mean over speakers; a missing output costs the lowest cosine.

    Every dialogue that applies adds one to `dialogues`, and one to `inter_dialogues` when its
    reference has two speakers, so that the denominators are the same for every system.
    """

    version = "1"
    fields = (
        "intra",
        "dialogues",
        "inter",
        "inter_dialogues",
        "speakers_compared",
        "speakers",
        "turns_embedded",
        "turns",
        "words_aligned",
        "words",
        "alignments_failed",
    )
    reference_fields = ("dialogues", "inter_dialogues", "speakers", "turns")
    unit = "cosine"
    higher_is_better = True
    aggregation = "speakers,dialogues"
    needs = (SpeakerEmbeddings, Alignment)
    companion = "margin"

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if _speakers_with_two_turns(dialogue) == 0:
            return "no speaker has two turns"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        embeddings = artifacts[SpeakerEmbeddings]
        alignment = artifacts[Alignment]
        owners = [dialogue.turns[index].speaker for index in embeddings.turns]
        found = self_similarity(embeddings.vectors, owners)
        if found.intra is None:
            raise MissingOutputError(
                f"no speaker has two turns whose voice could be embedded "
                f"({len(owners)} of {len(dialogue.turns)} turns were)"
                + (f"; alignment: {alignment.problem}" if alignment.problem else "")
            )
        counts = dict(self.worst(dialogue))
        counts["intra"] = found.intra
        if found.inter is not None:
            counts["inter"] = found.inter
        counts["speakers_compared"] = found.speakers
        counts["turns_embedded"] = len(owners)
        counts["words_aligned"] = sum(len(turn.words) for turn in alignment.turns)
        counts["words"] = sum(turn.expected for turn in alignment.turns)
        counts["alignments_failed"] = float(alignment.problem is not None)
        return counts

    def worst(self, dialogue: Dialogue) -> Counts:
        """No smaller cosine exists, so leaving a file out can never help."""
        several_speakers = float(len(dialogue.speakers) > 1)
        return {
            "intra": LOWEST_COSINE,
            "dialogues": 1.0,
            "inter": HIGHEST_COSINE * several_speakers,
            "inter_dialogues": several_speakers,
            "speakers_compared": 0.0,
            "speakers": float(_speakers_with_two_turns(dialogue)),
            "turns_embedded": 0.0,
            "turns": float(len(dialogue.turns)),
            "words_aligned": 0.0,
            "words": float(sum(len(strip_marks(turn.text).split()) for turn in dialogue.turns)),
            "alignments_failed": 1.0,
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["intra"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        paired = [
            {**row, "margin": row["intra"] - row["inter"]} for row in rows if row["inter_dialogues"]
        ]
        bounded = [{**row, "lower_bound": _lower_bound(row)} for row in rows]
        return {
            **ratios(paired, margin=("margin", "dialogues"), inter=("inter", "dialogues")),
            **ratios(
                bounded,
                lower_bound=("lower_bound", "dialogues"),
                speakers_compared=("speakers_compared", "speakers"),
                turns_embedded=("turns_embedded", "turns"),
                words_aligned=("words_aligned", "words"),
                alignments_failed=("alignments_failed", "dialogues"),
            ),
        }


def _lower_bound(row: Counts) -> float:
    """The dialogue's value with the lowest cosine for each speaker who could not be compared."""
    absent = row["speakers"] - row["speakers_compared"]
    return (row["intra"] * row["speakers_compared"] + LOWEST_COSINE * absent) / row["speakers"]


def _speakers_with_two_turns(dialogue: Dialogue) -> int:
    turns = Counter(turn.speaker for turn in dialogue.turns)
    return sum(count > 1 for count in turns.values())
