"""How far the frames' pixels are from the reference video's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from mmdia_eval.api import Counts, Metric
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.registry import metric
from mmdia_eval.types import Artifacts, Dialogue, FrameSimilarity, PerceptualDistance

Compared = TypeVar("Compared", FrameSimilarity, PerceptualDistance)


def comparable(found: Compared) -> Compared:
    """The comparison with the reference.

    Raises:
        MissingOutputError: the two could not be compared.
    """
    if found.problem is not None:
        raise MissingOutputError(found.problem)
    return found


def without_reference(dialogue: Dialogue) -> str | None:
    """Why no output of this dialogue can be compared."""
    return None if dialogue.video else "the dialogue has no reference video"


@metric("psnr")
class Psnr(Metric):
    """Peak signal-to-noise ratio to the reference's frames: mean over frames, then dialogues."""

    version = "1"
    fields = ("psnr", "resized", "scored", "dialogues")
    unit = "dB"
    higher_is_better = True
    aggregation = "dialogues"
    needs = (FrameSimilarity,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return without_reference(dialogue)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = comparable(artifacts[FrameSimilarity])
        return {
            "psnr": found.psnr,
            "resized": float(found.resized),
            "scored": 1.0,
            "dialogues": 1.0,
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """Black where the reference is white: 0 dB."""
        return {"psnr": 0.0, "resized": 0.0, "scored": 0.0, "dialogues": 1.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["psnr"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return ratios(rows, scored=("scored", "dialogues"), resized=("resized", "scored"))
