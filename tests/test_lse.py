"""LSE-C and LSE-D on planted embeddings, and against the reference's definition in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted_lips import DIMENSIONS, in_sync, lips_of, packed, sound_of

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, LipSyncEmbeddings
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.lip_sync import LipTrack, lip_tracks, track_lip_sync
from mmdia_eval.metrics.lse_c import WORST_DISTANCE, LseC
from mmdia_eval.metrics.lse_d import LseD
from mmdia_eval.types import Dialogue, Segment, Turn

WHOLE = [Segment(0, 100)]
DIALOGUE = Dialogue("d", (Turn("ann", "hello", Segment(0.4, 7.6)),))


def track(sound: Any, first: int = 0, windows: int | None = None, lag: int = 0) -> LipTrack:
    lips = lips_of(sound, WHOLE, lag)
    return LipTrack("face 1", first, lips[first:][:windows])


def measured(embeddings: LipSyncEmbeddings, **settings: Any) -> Counts:
    metric = LseC(LseC.Settings(**settings))
    return metric.measure(DIALOGUE, Artifacts({LipSyncEmbeddings: embeddings}))


@pytest.mark.parametrize(("first", "windows"), [(0, 100), (30, 60), (120, 80), (0, 12)])
def test_legacy_padding_is_the_reference_on_a_track_cut_out(first: int, windows: int) -> None:
    """By torch: the sound of the track alone, zeros around it, one window fewer than lips."""
    torch = pytest.importorskip("torch")
    longer = sound_of(200)
    sound, one = longer[:195], track(longer, first, windows)
    # A video of n frames has n - 4 windows of lips, of which the reference takes n - 5, and no more
    # than its sound, which is over after 195 + 5 frames here.
    count = min(windows - 1, len(sound) - first)
    lips = torch.from_numpy(one.lips[:count])
    padded = torch.nn.functional.pad(torch.from_numpy(sound[first : first + count]), (0, 0, 15, 15))
    means = torch.stack(
        [torch.pairwise_distance(lips[i], padded[i : i + 31]) for i in range(count)]
    ).mean(dim=0)
    found = track_lip_sync(one, sound, "legacy")
    assert found is not None
    assert found.windows == count
    assert found.distance == pytest.approx(float(means.min()))
    assert found.confidence == pytest.approx(float(means.median() - means.min()))


def test_valid_padding_hears_what_the_clip_has_around_the_track() -> None:
    sound = sound_of(300)
    short, whole = (
        track_lip_sync(track(sound, first, windows), sound, "valid")
        for first, windows in ((100, 40), (0, 300))
    )
    assert short is not None
    assert whole is not None
    assert short.confidence == pytest.approx(whole.confidence, rel=0.15)


def test_counts_of_one_track() -> None:
    sound = sound_of(200)
    counts = measured(packed([track(sound, lag=3)], sound))
    assert counts["distance"] == pytest.approx(0.3 * np.sqrt(DIMENSIONS), rel=0.05)
    assert counts["confidence"] > 3
    assert counts["offset"] == 3
    assert counts["distance_at_zero"] > counts["distance"] + 1
    assert counts["c_plus_d"] == pytest.approx(counts["confidence"] + counts["distance"])
    assert (counts["tracks"], counts["seconds"]) == (1, 204 / 25)


def test_the_rule_for_several_tracks_is_named() -> None:
    sound = sound_of(200)
    still = LipTrack("face 2", 0, lips_of(sound, [], seed=5))
    near = LipTrack("face 3", 0, np.tile(sound.mean(axis=0), (200, 1)))
    both = packed([track(sound), still, near], sound)
    alone = [measured(packed([each], sound)) for each in lip_tracks(both)]
    best, mean, extremes = (measured(both, tracks=rule) for rule in ("best", "mean", "extremes"))
    assert best["confidence"] == alone[0]["confidence"]
    assert best["distance"] == alone[0]["distance"]
    for part in ("confidence", "distance"):
        assert mean[part] == pytest.approx(np.mean([each[part] for each in alone]))
    assert extremes["confidence"] == max(each["confidence"] for each in alone)
    assert extremes["distance"] == min(each["distance"] for each in alone)
    assert best["tracks"] == 3


@pytest.mark.parametrize(
    ("embeddings", "why"),
    [
        (packed([], sound_of(50)), "no face was found"),
        (packed([LipTrack("face 1", 0, np.empty((0, DIMENSIONS)))], sound_of(50)), "1 found, 0 of"),
        (packed([track(sound_of(10))], sound_of(10)), "10 windows of sound"),
        (packed([track(sound_of(50))], np.empty((0, DIMENSIONS))), "0 windows of sound"),
    ],
)
def test_no_face_and_no_sound_are_missing_with_the_reason(
    embeddings: LipSyncEmbeddings, why: str
) -> None:
    with pytest.raises(MissingOutputError, match=why):
        measured(embeddings)


def test_values_are_means_over_dialogues_and_a_missing_one_is_no_zero_distance() -> None:
    confidence, distance = LseC(LseC.Settings()), LseD(LseD.Settings())
    counts = measured(in_sync(DIALOGUE))
    missing = confidence.worst(DIALOGUE)
    total = {name: np.float64(counts[name] + missing[name]) for name in counts}
    assert confidence.reduce(total) == pytest.approx(counts["confidence"] / 2)
    assert distance.reduce(total) == pytest.approx((counts["distance"] + WORST_DISTANCE) / 2)
    shown = distance.components([counts, missing])
    assert shown["c_plus_d"] == counts["c_plus_d"]
    assert shown["scored"] == 0.5
