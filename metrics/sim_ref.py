"""Similarity of each output turn's voice to the voice of the same turn in the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, SpeakerEmbeddings
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

LOWEST_COSINE = -1.0


@metric("sim_ref")
class SimRef(Metric):
    """Mean cosine over turns in a dialogue, then over dialogues; missing costs the lowest cosine.

    `turns` are those that could be embedded in the reference: the same for every system.
    """

    version = "1"
    fields = ("similarity", "dialogues", "turns_compared", "turns")
    reference_fields = ("dialogues",)
    unit = "cosine"
    higher_is_better = True
    aggregation = "turns,dialogues"
    needs = (SpeakerEmbeddings,)
    reference_needs = (SpeakerEmbeddings,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if dialogue.audio is None:
            return "the dialogue has no reference audio"
        if all(turn.segment is None for turn in dialogue.turns):
            return "the reference turns have no times"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        output, reference = artifacts[SpeakerEmbeddings], artifacts.reference[SpeakerEmbeddings]
        cosines = turn_cosines(output, reference)
        if not cosines:
            raise MissingOutputError(
                f"no turn's voice could be embedded in both the output ({len(output.turns)} turns) "
                f"and the reference ({len(reference.turns)})"
            )
        return {
            "similarity": float(np.mean(list(cosines.values()))),
            "dialogues": 1.0,
            "turns_compared": float(len(cosines)),
            "turns": float(len(reference.turns)),
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """No smaller cosine exists, so leaving a file out can never help."""
        return {
            "similarity": LOWEST_COSINE,
            "dialogues": 1.0,
            "turns_compared": 0.0,
            "turns": float(len(dialogue.turns)),
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["similarity"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        bounded = [{**row, "lower_bound": _lower_bound(row)} for row in rows]
        return ratios(
            bounded,
            lower_bound=("lower_bound", "dialogues"),
            turns_compared=("turns_compared", "turns"),
        )


def turn_cosines(output: SpeakerEmbeddings, reference: SpeakerEmbeddings) -> dict[int, float]:
    """Cosine in [-1, 1] for each turn, by index, that both could embed."""
    _, mine, theirs = np.intersect1d(output.turns, reference.turns, return_indices=True)
    left, right = output.vectors[mine], reference.vectors[theirs]
    cosines = np.sum(left * right, axis=1, dtype=np.float64)
    cosines = np.clip(cosines, -1.0, 1.0)
    return {output.turns[i]: float(value) for i, value in zip(mine, cosines, strict=True)}


def _lower_bound(row: Counts) -> float:
    """The dialogue's value with the lowest cosine for each turn that the output lacks."""
    absent = row["turns"] - row["turns_compared"]
    return (row["similarity"] * row["turns_compared"] + LOWEST_COSINE * absent) / row["turns"]
