"""Whether the face that moves with the speech is its speaker's, without any trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.counts import ratios
from mmdia_eval.metrics.av_sync import AvSync, timed_speech
from mmdia_eval.registry import metric
from mmdia_eval.speaker_lip_sync import SHORTEST, alone
from mmdia_eval.types import Dialogue


@metric("av_binding")
class AvBinding(AvSync):
    """Share of the speech with several faces in sight whose own speaker's fits best, 0 to 1.

    Seconds are added up over dialogues. Faces and speakers are told as in `av_sync`.
    """

    version = "1"
    fields = ("bound_seconds", "contested_seconds", "speech_seconds", "dialogues")
    unit = "share"
    higher_is_better: ClassVar[bool | None] = True
    aggregation = "seconds"
    companion = "contested"

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if len(dialogue.speakers) < 2:
            return "one speaker"
        if not timed_speech(dialogue):
            return "the turns have no times"
        return super().not_applicable(dialogue)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = super().measure(dialogue, artifacts)
        return {name: found[name] for name in self.fields}

    def worst(self, dialogue: Dialogue) -> Counts:
        """All speech of one person alone is contested, and none bound."""
        stretches = [each.seconds for each in alone(timed_speech(dialogue))]
        return {
            "bound_seconds": 0.0,
            "contested_seconds": sum(each for each in stretches if each >= SHORTEST),
            "speech_seconds": sum(each.seconds for each in timed_speech(dialogue)),
            "dialogues": 1.0,
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["bound_seconds"] / total["contested_seconds"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """How much of the speech has several faces in sight."""
        return ratios(rows, contested=("contested_seconds", "speech_seconds"))
