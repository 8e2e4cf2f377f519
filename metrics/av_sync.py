"""Whether the speakers' mouths open with their speech, without any trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, MouthMotion
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.identities import match
from mmdia_eval.mouth_sync import Mouth, MouthSync, mouth_sync
from mmdia_eval.registry import metric
from mmdia_eval.speaker_lip_sync import SHORTEST, Speech, alone
from mmdia_eval.types import FRAME_RATE, Dialogue, FloatArray

LOWEST = -1.0
MILLISECONDS = 1000 / FRAME_RATE
ANYONE = "anyone"
"""The speaker of a dialogue whose turns have no times."""


@metric("av_sync")
class AvSync(Metric):
    """Correlation of mouth opening and sound at no lag, each speaker on his own face, -1 to 1.

    Mean over dialogues. Where the reference video shows clearly whose face speaks, that face has to
    speak in the output; other speakers get the faces that fit best. This is neither LSE nor a
    replacement for it.
    """

    version = "1"
    fields: tuple[str, ...] = (
        "correlation",
        "best",
        "shuffled",
        "lag",
        "with_lag",
        "scored",
        "scored_seconds",
        "speech_seconds",
        "contested_seconds",
        "bound_seconds",
        "speakers",
        "known_speakers",
        "dialogues",
    )
    reference_fields = ("dialogues",)
    unit = "correlation"
    higher_is_better: ClassVar[bool | None] = True
    aggregation = "dialogues"
    needs = (MouthMotion,)
    reference_needs = (MouthMotion,)
    companion: ClassVar[str | None] = "coverage"

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        speech = timed_speech(dialogue)
        if speech and all(each.seconds < SHORTEST for each in alone(speech)):
            return f"no turn lasts {SHORTEST} s without another speaker"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        motion = artifacts[MouthMotion]
        if not motion.identities:
            raise MissingOutputError("no face in the video")
        if not motion.envelope.any():
            raise MissingOutputError("the video has no sound")
        speech = speech_of(dialogue, motion)
        known = {}
        if MouthMotion in artifacts.reference:
            known = known_faces(artifacts.reference[MouthMotion], motion, dialogue)
        found = mouth_sync(mouths_of(motion), motion.envelope, speech, known)
        if found is None:
            raise MissingOutputError(f"no speaker's face is seen for {SHORTEST} s of their speech")
        speakers = float(len(dialogue.speakers))
        return {**_counts(found, known), "speakers": speakers, "dialogues": 1.0}

    def worst(self, dialogue: Dialogue) -> Counts:
        """No smaller correlation exists; nothing was covered, and no lag was found."""
        return {
            **dict.fromkeys(self.fields, 0.0),
            "correlation": LOWEST,
            "best": LOWEST,
            "speech_seconds": sum(each.seconds for each in timed_speech(dialogue)),
            "speakers": float(len(dialogue.speakers)),
            "dialogues": 1.0,
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["correlation"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """Lags are medians over the dialogues that have one."""
        figures = ratios(
            rows,
            best_correlation=("best", "dialogues"),
            shuffled=("shuffled", "scored"),
            coverage=("scored_seconds", "speech_seconds"),
            binding=("bound_seconds", "contested_seconds"),
            known_speakers=("known_speakers", "speakers"),
            scored=("scored", "dialogues"),
        )
        lags = [row["lag"] for row in rows if row["with_lag"]]
        if lags:
            figures["median_lag_ms"] = float(np.median(lags))
            figures["median_absolute_lag_ms"] = float(np.median(np.abs(lags)))
        return figures


def timed_speech(dialogue: Dialogue) -> list[Speech]:
    """The turns that have times."""
    return [
        Speech(turn.speaker, turn.segment.start, turn.segment.end)
        for turn in dialogue.turns
        if turn.segment is not None
    ]


def speech_of(dialogue: Dialogue, motion: MouthMotion) -> list[Speech]:
    """The turns that have times, else the whole video as the speech of one person."""
    whole = Speech(ANYONE, 0.0, len(motion.envelope) / FRAME_RATE)
    return timed_speech(dialogue) or [whole]


def mouths_of(motion: MouthMotion) -> list[Mouth]:
    """The artifact's tracks."""
    found = []
    for index, identity in enumerate(motion.identities):
        rows = motion.tracks == index
        found.append(Mouth(identity, int(motion.frames[rows][0]), motion.openings[rows]))
    return found


def known_faces(reference: MouthMotion, output: MouthMotion, dialogue: Dialogue) -> dict[str, str]:
    """The output's faces that look like those which clearly speak in the reference, by speaker."""
    speech = timed_speech(dialogue)
    found = mouth_sync(mouths_of(reference), reference.envelope, speech) if speech else None
    if found is None:
        return {}
    in_reference = _looks(reference)
    speaking = {face: in_reference[face] for face in found.clear.values()}
    same = match(speaking, _looks(output))
    return {speaker: same[face] for speaker, face in found.clear.items() if face in same}


def _looks(motion: MouthMotion) -> dict[str, FloatArray]:
    """Each person's look: the mean of their tracks', of unit length."""
    found = {}
    for identity in dict.fromkeys(motion.identities):
        tracks = [index for index, each in enumerate(motion.identities) if each == identity]
        mean = motion.looks[tracks].mean(axis=0)
        found[identity] = mean / np.linalg.norm(mean)
    return found


def _counts(found: MouthSync, known: Mapping[str, str]) -> dict[str, float]:
    return {
        "correlation": found.correlation,
        "best": found.best,
        "shuffled": found.shuffled,
        "lag": (found.lag or 0) * MILLISECONDS,
        "with_lag": float(found.lag is not None),
        "scored": 1.0,
        "scored_seconds": found.seconds,
        "speech_seconds": found.speech,
        "contested_seconds": found.contested,
        "bound_seconds": found.bound,
        "known_speakers": float(len(known)),
    }
