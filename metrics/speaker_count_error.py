"""How far the number of voices heard is from the number of speakers in the script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, Diarization
from mmdia_eval.counts import ratios
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue


@metric("speaker_count_error")
class SpeakerCountError(Metric):
    """Mean over dialogues of |voices detected - speakers in the reference|."""

    version = "1"
    fields = ("error", "detected", "reference", "exact", "over", "under", "dialogues")
    reference_fields = ("reference", "dialogues")
    unit = "speakers"
    higher_is_better = False
    aggregation = "dialogues"
    needs = (Diarization,)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        return _counts(dialogue, len(artifacts[Diarization].speakers))

    def worst(self, dialogue: Dialogue) -> Counts:
        """Nobody was heard."""
        return _counts(dialogue, 0)

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["error"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return ratios(
            rows,
            mean_detected=("detected", "dialogues"),
            mean_reference=("reference", "dialogues"),
            exact=("exact", "dialogues"),
            over=("over", "dialogues"),
            under=("under", "dialogues"),
        )


def _counts(dialogue: Dialogue, detected: int) -> Counts:
    reference = len(dialogue.speakers)
    return {
        "error": float(abs(detected - reference)),
        "detected": float(detected),
        "reference": float(reference),
        "exact": float(detected == reference),
        "over": float(detected > reference),
        "under": float(detected < reference),
        "dialogues": 1.0,
    }
