"""SA-LSE-C: how clearly the lips of the one who speaks fit the sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from mmdia_eval import api
from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifact, Artifacts, Diarization, LipSyncEmbeddings
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.lip_sync import lip_tracks
from mmdia_eval.metrics.lse_c import WORST_CONFIDENCE, WORST_DISTANCE
from mmdia_eval.registry import metric
from mmdia_eval.speaker_lip_sync import (
    SHORTEST,
    Score,
    SpeakerLipSync,
    Speech,
    alone,
    speaker_lip_sync,
)
from mmdia_eval.types import Dialogue

Assignment = Literal["consistent", "oracle", "greedy"]
Segments = Literal["turns", "diarization"]
SCORES = ("consistent", "oracle", "greedy", "swapped", "shuffled")
SECONDS = ("speech", "overlapped", "short", "offscreen", "contested", "bound")


WORDS_PER_SECOND = 2.5
"""For the length of a dialogue that says none of turns or recording: 206 words took 85.3 s in four
recorded dialogues of two people, pauses included."""


class SaLseSettings(api.Settings):
    """`assignment` of speakers to faces that makes the value; the others stand beside it.
    `segments`: who speaks when, by the benchmark's `turns` or by a `diarization` of the sound.
    """

    assignment: Assignment = "consistent"
    segments: Segments = "turns"

    @model_validator(mode="after")
    def _voices_have_no_names(self) -> SaLseSettings:
        if self.segments == "diarization" and self.assignment == "oracle":
            raise ValueError(
                "a diarization's voices have no names to know faces by: "
                'assignment "oracle" needs segments = "turns"'
            )
        return self


@metric("sa_lse_c")
class SaLseC(Metric):
    """Mean confidence over seconds of speech that are scored; a missing output has none."""

    version = "1"
    fields = (
        "confidence",
        "distance",
        "seconds",
        "scorable",
        *(f"{name}_{part}" for name in SCORES for part in ("confidence", "distance", "seconds")),
        *SECONDS,
        "leak",
        "leak_muted",
        "leak_seconds",
        "silence_motion",
        "silence_clips",
        "offset",
        "scored",
        "dialogues",
    )
    reference_fields: tuple[str, ...] = ("scorable", "speech", "overlapped", "short", "dialogues")
    unit = "distance"
    higher_is_better: ClassVar[bool | None] = True
    aggregation = "seconds"
    needs: tuple[type[Artifact], ...] = (LipSyncEmbeddings,)
    companion = "coverage"
    Settings: ClassVar[type[api.Settings]] = SaLseSettings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.diarized = settings.segments == "diarization"
        if self.diarized:
            self.needs = (LipSyncEmbeddings, Diarization)
            self.reference_fields = ("dialogues",)  # what is scorable depends on what was heard

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if self.diarized:
            return None
        if not _speech(dialogue):
            return 'the reference turns have no times; segments = "diarization" needs none'
        if not _scorable(_speech(dialogue)):
            return f"nobody speaks alone for {SHORTEST} s"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        embeddings = artifacts[LipSyncEmbeddings]
        named = {} if self.diarized else _named(dialogue, embeddings)
        speech = _voices(artifacts[Diarization]) if self.diarized else _speech(dialogue)
        if self.settings.assignment == "oracle" and not named:
            raise MissingOutputError(
                f"no face track is named like a speaker ({', '.join(dialogue.speakers)})"
            )
        found = speaker_lip_sync(lip_tracks(embeddings), embeddings.sound, speech, named or None)
        score: Score | None = getattr(found, self.settings.assignment)
        if score is None:
            raise MissingOutputError(_why_missing(embeddings, speech))
        return _counts(found, score, speech)

    def worst(self, dialogue: Dialogue) -> Counts:
        """All that could be scored is, without confidence and at the distance of no fit."""
        speech = _speech(dialogue) or [_expected(dialogue)]
        scorable = _scorable(speech)
        parts = sum(each.seconds for each in alone(speech))
        total = sum(each.seconds for each in speech)
        return {
            **dict.fromkeys(self.fields, 0.0),
            "confidence": WORST_CONFIDENCE * scorable,
            "distance": WORST_DISTANCE * scorable,
            "seconds": scorable,
            "scorable": scorable,
            "speech": total,
            "overlapped": total - parts,
            "short": parts - scorable,
            "offscreen": scorable,
            "dialogues": 1.0,
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["confidence"] / total["seconds"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return self._components(rows, "confidence", WORST_CONFIDENCE)

    def _components(self, rows: Sequence[Counts], part: str, worst: float) -> Mapping[str, float]:
        """Those of both metrics; `diarized` says that segments are not the benchmark's."""
        return {**components_of(rows, part, worst), **({"diarized": 1.0} if self.diarized else {})}


def components_of(rows: Sequence[Counts], part: str, worst: float) -> Mapping[str, float]:
    """For both metrics; `part` is the one whose means the assignments and controls are shown by."""
    bounded = [
        {
            **row,
            "bound_sum": row[part] + worst * (row["scorable"] - row["seconds"]),
            "seen": row["seconds"] * row["scored"],
        }
        for row in rows
    ]
    return ratios(
        bounded,
        coverage=("seen", "speech"),
        with_offscreen_at_worst=("bound_sum", "scorable"),
        **{name: (f"{name}_{part}", f"{name}_seconds") for name in SCORES},
        binding_accuracy=("bound", "contested"),
        listener_leak=("leak", "leak_seconds"),
        listener_leak_muted=("leak_muted", "leak_seconds"),
        silence_motion=("silence_motion", "silence_clips"),
        offscreen=("offscreen", "speech"),
        overlap=("overlapped", "speech"),
        too_short=("short", "speech"),
        contested=("contested", "speech"),
        offset=("offset", "scored"),
        scored=("scored", "dialogues"),
    )


def _counts(found: SpeakerLipSync, score: Score, speech: Sequence[Speech]) -> Counts:
    counts = {
        "confidence": score.confidence * score.seconds,
        "distance": score.distance * score.seconds,
        "seconds": score.seconds,
        "scorable": _scorable(speech),
        "leak": found.leak * found.leak_seconds,
        "leak_muted": found.leak_muted * found.leak_seconds,
        "leak_seconds": found.leak_seconds,
        "silence_motion": found.silence_motion or 0.0,
        "silence_clips": float(found.silence_motion is not None),
        "offset": float(abs(score.offset)),
        "scored": 1.0,
        "dialogues": 1.0,
        **{name: getattr(found, name) for name in SECONDS},
    }
    for name in SCORES:
        other: Score | None = getattr(found, name)
        seconds = other.seconds if other else 0.0
        counts[f"{name}_confidence"] = other.confidence * seconds if other else 0.0
        counts[f"{name}_distance"] = other.distance * seconds if other else 0.0
        counts[f"{name}_seconds"] = seconds
    return counts


def _speech(dialogue: Dialogue) -> list[Speech]:
    return [
        Speech(turn.speaker, turn.segment.start, turn.segment.end)
        for turn in dialogue.turns
        if turn.segment is not None
    ]


def _voices(found: Diarization) -> list[Speech]:
    return [Speech(segment.speaker, segment.start, segment.end) for segment in found.segments]


def _expected(dialogue: Dialogue) -> Speech:
    """The speech of a dialogue without turn times: as much as its recording, or its words, last."""
    words = sum(len(turn.text.split()) for turn in dialogue.turns)
    return Speech("", 0.0, max(SHORTEST, dialogue.duration or words / WORDS_PER_SECOND))


def _named(dialogue: Dialogue, embeddings: LipSyncEmbeddings) -> dict[str, str]:
    """The speakers whose name a face track carries."""
    return {name: name for name in dialogue.speakers if name in embeddings.identities}


def _scorable(speech: Sequence[Speech]) -> float:
    """Seconds of speech of one person alone, in stretches that are long enough."""
    return sum(each.seconds for each in alone(speech) if each.seconds >= SHORTEST)


def _why_missing(embeddings: LipSyncEmbeddings, speech: Sequence[Speech]) -> str:
    if not _scorable(speech):
        return f"by the diarization nobody speaks alone for {SHORTEST} s"
    if not embeddings.identities:
        return "no face was found for long enough to be a track"
    return (
        f"no face is in sight for {SHORTEST} s of its speaker's speech "
        f"({len(embeddings.identities)} tracks, {len(embeddings.sound)} windows of sound)"
    )
