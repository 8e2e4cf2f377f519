from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from toy_faces import LEFT, RIGHT, SKINS, Colour, Signal, film, gated, sound, speech, spoken

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifact, Artifacts, FaceTracks, MouthMotion
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.extractors.mouth_motion import MouthMotionExtractor
from mmdia_eval.metrics.av_binding import AvBinding
from mmdia_eval.metrics.av_lag import AvLag
from mmdia_eval.metrics.av_sync import AvSync
from mmdia_eval.types import Audio, Dialogue, Turn

METRIC, LAG, BINDING = (one(one.Settings()) for one in (AvSync, AvLag, AvBinding))
FRAMES = 150
DIALOGUE = spoken([("A", 0.0, 3.0), ("B", 3.0, 6.0)])
LOUDNESS = speech(FRAMES, 1)
A, B = (gated(LOUDNESS, DIALOGUE, speaker) for speaker in "AB")
SHUT = np.zeros(FRAMES)


def motion(
    openings: Mapping[tuple[int, int], Signal],
    skins: Sequence[Colour] = SKINS,
    audio: Audio | None = None,
) -> MouthMotion:
    """What the extractor makes of drawn faces; their tracks are given."""
    frames, faces = film(openings, skins=skins)
    one = MouthMotionExtractor(MouthMotionExtractor.Settings(), ())
    heard = sound(LOUDNESS) if audio is None else audio
    (found,) = one.extract([Inputs(heard, DIALOGUE, Artifacts({FaceTracks: faces}), frames=frames)])
    return found


REFERENCE = motion({LEFT: A, RIGHT: B})


def value(output: MouthMotion, reference: MouthMotion | None = REFERENCE) -> float:
    return float(METRIC.reduce(counts(output, reference)))


def counts(
    output: MouthMotion,
    reference: MouthMotion | None = REFERENCE,
    dialogue: Dialogue = DIALOGUE,
    metric: AvSync = METRIC,
) -> Mapping[str, float]:
    beside: dict[type[Artifact], Artifact] = {MouthMotion: reference} if reference else {}
    return metric.measure(dialogue, Artifacts({MouthMotion: output}, beside))


def test_mouths_that_go_with_the_sound_are_near_one() -> None:
    assert value(REFERENCE) > 0.93
    found = METRIC.components([counts(REFERENCE)])
    assert found["coverage"] == found["binding"] == found["known_speakers"] == 1.0
    assert found["median_lag_ms"] == found["median_absolute_lag_ms"] == 0.0
    assert abs(found["shuffled"]) < 0.4


@pytest.mark.parametrize("lag", [-4, 3, 5])
def test_a_lag_lowers_the_value_and_is_found_within_a_frame(lag: int) -> None:
    """Positive: the mouths are late, the sound comes first."""
    late = motion({LEFT: np.roll(A, lag), RIGHT: np.roll(B, lag)})
    found = METRIC.components([counts(late)])
    assert found["median_lag_ms"] == pytest.approx(40 * lag, abs=40)
    assert found["median_absolute_lag_ms"] == abs(found["median_lag_ms"])
    assert found["best_correlation"] > 0.85
    assert value(late) < 0.5 < value(REFERENCE)


@pytest.mark.parametrize("lag", [-4, 0, 5])
def test_the_lag_by_itself_has_no_sign(lag: int) -> None:
    late = counts(motion({LEFT: np.roll(A, lag), RIGHT: np.roll(B, lag)}), metric=LAG)
    assert LAG.reduce(late) == pytest.approx(abs(40 * lag), abs=40)
    assert LAG.components([late])["mean_lag_ms"] == pytest.approx(40 * lag, abs=40)
    assert LAG.reduce(late) < LAG.reduce(LAG.worst(DIALOGUE)) == 600


def test_where_nothing_correlates_the_longest_lag_counts() -> None:
    shut = counts(motion({LEFT: SHUT, RIGHT: SHUT}), metric=LAG)
    assert (shut["absolute_lag"], shut["with_lag"]) == (600, 0)


def test_binding_by_itself_adds_up_contested_seconds() -> None:
    right, wrong = (
        counts(motion(mouths), metric=BINDING)
        for mouths in ({LEFT: A, RIGHT: B}, {LEFT: B, RIGHT: A})
    )
    assert (BINDING.reduce(right), BINDING.reduce(wrong)) == (1, 0)
    assert right["contested_seconds"] == wrong["contested_seconds"] == pytest.approx(6, abs=0.2)
    one = counts(motion({LEFT: A}), metric=BINDING)
    assert one["contested_seconds"] == 0
    both = {field: right[field] + wrong[field] + one[field] for field in BINDING.fields}
    assert BINDING.reduce(both) == 0.5
    assert BINDING.worst(DIALOGUE)["contested_seconds"] == 6
    assert BINDING.not_applicable(spoken([("A", 0.0, 3.0)])) == "one speaker"


def test_swapped_mouths_are_found_by_the_reference_and_only_so() -> None:
    swapped = motion({LEFT: B, RIGHT: A})
    assert value(swapped) < 0.3
    assert METRIC.components([counts(swapped)])["binding"] == 0.0
    assert value(swapped, None) > 0.9


def test_people_who_changed_places_are_not_swapped_mouths() -> None:
    moved = motion({LEFT: B, RIGHT: A}, skins=SKINS[1::-1])
    assert value(moved) > 0.9
    assert METRIC.components([counts(moved)])["binding"] == 1.0


def test_strangers_get_the_faces_that_fit() -> None:
    others = motion({LEFT: B, RIGHT: A}, skins=((90, 160, 90), (120, 120, 220)))
    assert value(others) > 0.9
    assert counts(others)["known_speakers"] == 0.0


def test_mouths_that_stay_shut_are_worse_than_late_ones_and_better_than_none() -> None:
    shut = motion({LEFT: SHUT, RIGHT: SHUT})
    assert abs(value(shut)) < 0.2
    assert METRIC.reduce(METRIC.worst(DIALOGUE)) == -1 < value(shut)


def test_three_faces_for_two_speakers() -> None:
    frames = motion({LEFT: A, RIGHT: B})
    third = motion({LEFT: A, RIGHT: speech(FRAMES, 9)}, skins=(SKINS[0], SKINS[2]))
    both = MouthMotion(
        openings=np.concatenate([frames.openings, third.openings[third.tracks == 1]]),
        tracks=np.concatenate([frames.tracks, np.full(FRAMES, 2, np.float32)]),
        frames=np.concatenate([frames.frames, np.arange(FRAMES, dtype=np.float32)]),
        looks=np.concatenate([frames.looks, third.looks[1:]]),
        envelope=frames.envelope,
        identities=("face 1", "face 2", "face 3"),
    )
    assert value(both) > 0.93
    assert value(both, None) > 0.93


def test_one_face_of_two_speakers_is_scored_and_half_covered() -> None:
    one = motion({LEFT: A})
    assert value(one) > 0.93
    assert METRIC.components([counts(one)])["coverage"] == pytest.approx(0.5)


def test_no_face_no_sound_and_a_face_for_ten_frames_are_missing() -> None:
    empty = np.empty(0, np.float32)
    none = MouthMotion(empty, empty, empty, np.empty((0, 8), np.float32), REFERENCE.envelope, ())
    with pytest.raises(MissingOutputError, match="no face in the video"):
        counts(none)
    silent = motion({LEFT: A, RIGHT: B}, audio=Audio(np.zeros(0, np.float32)))
    with pytest.raises(MissingOutputError, match="no sound"):
        counts(silent)
    ten = MouthMotion(
        REFERENCE.openings[:10],
        REFERENCE.tracks[:10],
        REFERENCE.frames[:10],
        REFERENCE.looks[:1],
        REFERENCE.envelope,
        ("face 1",),
    )
    with pytest.raises(MissingOutputError, match=r"seen for 0\.6 s"):
        counts(ten)


def test_without_times_the_whole_video_is_one_persons_speech() -> None:
    untimed = Dialogue("d", (Turn("A", "one"), Turn("B", "two")))
    assert METRIC.not_applicable(untimed) is None
    alone = motion({LEFT: LOUDNESS, RIGHT: SHUT})
    found = counts(alone, dialogue=untimed)
    assert METRIC.reduce(found) > 0.93
    assert found["speech_seconds"] == FRAMES / 25


def test_a_dialogue_of_interjections_is_not_applicable() -> None:
    short = spoken([("A", 0.0, 0.5), ("B", 0.5, 1.0), ("A", 1.2, 1.6)])
    assert METRIC.not_applicable(short) == "no turn lasts 0.6 s without another speaker"
    assert METRIC.not_applicable(DIALOGUE) is None


def test_the_median_lag_leaves_missing_videos_out() -> None:
    late = counts(motion({LEFT: np.roll(A, 5), RIGHT: np.roll(B, 5)}))
    found = METRIC.components([late, METRIC.worst(DIALOGUE), late])
    assert found["median_absolute_lag_ms"] == pytest.approx(200, abs=40)
    assert found["scored"] == pytest.approx(2 / 3)
    assert found["coverage"] == pytest.approx(2 / 3)
    assert "median_lag_ms" not in METRIC.components([METRIC.worst(DIALOGUE)])
