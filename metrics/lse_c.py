"""LSE-C: how clearly lips and sound fit best at one offset, whole track by whole track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from mmdia_eval import api
from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, LipSyncEmbeddings
from mmdia_eval.counts import ratios
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.lip_sync import WINDOW, LipSync, Padding, lip_tracks, track_lip_sync
from mmdia_eval.registry import metric
from mmdia_eval.types import FRAME_RATE, Dialogue

WORST_CONFIDENCE = 0.0
"""A median is never below its minimum."""
WORST_DISTANCE = 20.0
"""For a missing video. Distances have no upper end; with no confidence at all the distance is the
sum of LSE-C and LSE-D, which was 9.9 to 17.1 in 200 clips (docs/metrics/lse_d.md)."""

Rule = Literal["best", "mean", "extremes"]


class LseSettings(api.Settings):
    """`padding` as in `track_lip_sync`; `tracks` is the rule for a clip with several.

    "best": the track with the greatest C - D. "mean": of all tracks. "extremes": the highest C and
    the lowest D, of different tracks maybe.
    """

    padding: Padding = "valid"
    tracks: Rule = "best"


@metric("lse_c")
class LseC(Metric):
    """Mean over dialogues of the confidence; a missing output has none."""

    version = "1"
    fields = (
        "confidence",
        "distance",
        "dialogues",
        "scored",
        "c_plus_d",
        "offset",
        "distance_at_zero",
        "tracks",
        "seconds",
    )
    reference_fields = ("dialogues",)
    unit = "distance"
    higher_is_better: ClassVar[bool | None] = True
    aggregation = "dialogues"
    needs = (LipSyncEmbeddings,)
    companion = "c_plus_d"
    Settings: ClassVar[type[api.Settings]] = LseSettings

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        embeddings = artifacts[LipSyncEmbeddings]
        tracks = lip_tracks(embeddings)
        measured = [
            found
            for track in tracks
            if (found := track_lip_sync(track, embeddings.sound, self.settings.padding))
        ]
        if not measured:
            raise MissingOutputError(_why_missing(embeddings, len(tracks)))
        return _counts(measured, self.settings.tracks)

    def worst(self, dialogue: Dialogue) -> Counts:
        """No confidence, and a distance that no measured clip has reached."""
        return {
            **dict.fromkeys(self.fields, 0.0),
            "confidence": WORST_CONFIDENCE,
            "distance": WORST_DISTANCE,
            "dialogues": 1.0,
        }

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["confidence"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return ratios(
            rows,
            **{
                name: (name, "scored")
                for name in ("c_plus_d", "offset", "distance_at_zero", "tracks", "seconds")
            },
            scored=("scored", "dialogues"),
        )


def _counts(measured: Sequence[LipSync], rule: Rule) -> Counts:
    best = max(measured, key=lambda each: each.confidence - each.distance)
    if rule == "mean":
        confidence = float(np.mean([each.confidence for each in measured]))
        distance = float(np.mean([each.distance for each in measured]))
    elif rule == "extremes":
        confidence = max(each.confidence for each in measured)
        distance = min(each.distance for each in measured)
    else:
        confidence, distance = best.confidence, best.distance
    frames = sum(each.windows + WINDOW - 1 for each in measured)
    return {
        "confidence": confidence,
        "distance": distance,
        "dialogues": 1.0,
        "scored": 1.0,
        "c_plus_d": best.confidence + best.distance,
        "offset": float(abs(best.offset)),
        "distance_at_zero": best.distance_at_zero,
        "tracks": float(len(measured)),
        "seconds": frames / FRAME_RATE,
    }


def _why_missing(embeddings: LipSyncEmbeddings, tracks: int) -> str:
    if not embeddings.identities:
        return "no face was found for long enough to be a track"
    return (
        f"no track is long enough with its sound: {len(embeddings.identities)} found, "
        f"{tracks} of {WINDOW} frames or more, {len(embeddings.sound)} windows of sound"
    )
