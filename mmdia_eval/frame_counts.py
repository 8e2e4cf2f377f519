"""What the metrics share that lay an output's frames beside those of the reference video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifact, Artifacts, FrameSimilarity
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.types import Dialogue


class BesideReference(Metric):
    """A mean over frames, then over dialogues. `figure` is the artifact's, `farthest` its worst."""

    figure: ClassVar[str]
    farthest: ClassVar[float]
    aggregation = "dialogues"
    reference_fields = ("dialogues",)
    needs: tuple[type[Artifact], ...] = (FrameSimilarity,)

    def __init_subclass__(cls) -> None:
        cls.fields = (cls.figure, "resized", "scored", "dialogues")

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return None if dialogue.video else "the dialogue has no reference video"

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        """Raises MissingOutputError: the two could not be compared."""
        found: Any = artifacts[self.needs[0]]
        if found.problem is not None:
            raise MissingOutputError(found.problem)
        return {
            self.figure: getattr(found, self.figure),
            "resized": float(found.resized),
            "scored": 1.0,
            "dialogues": 1.0,
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        return {self.figure: self.farthest, "resized": 0.0, "scored": 0.0, "dialogues": 1.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total[self.figure] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """`of_scored` is the mean where there was something to compare."""
        found = [row for row in rows if row["scored"]]
        return {
            **ratios(rows, scored=("scored", "dialogues"), resized=("resized", "scored")),
            **ratios(found, of_scored=(self.figure, "scored")),
        }
