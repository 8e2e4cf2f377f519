"""On planted embeddings: what is known to be in them must come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from planted_lips import DIMENSIONS, lips_of, sound_of

from mmdia_eval.lip_sync import LipTrack, distances, lip_sync
from mmdia_eval.speaker_lip_sync import (
    SpeakerLipSync,
    Speech,
    alone,
    speaker_lip_sync,
)
from mmdia_eval.types import FRAME_RATE

FRAMES = 16 * FRAME_RATE
TURNS = [
    Speech("ann", 0.4, 3.8),
    Speech("bob", 4.2, 7.8),
    Speech("ann", 8.2, 11.6),
    Speech("bob", 12.0, 15.4),
]
ORACLE = {"ann": "left", "bob": "right"}
Array = NDArray[np.float64]


def clip(
    left: Sequence[Speech], right: Sequence[Speech], lag: int = 0, sound: Array | None = None
) -> tuple[list[LipTrack], Array]:
    """A face at either side that moves in the given turns."""
    heard = sound_of(FRAMES) if sound is None else sound
    return [
        LipTrack("left", 0, lips_of(heard, left, lag)),
        LipTrack("right", 0, lips_of(heard, right, lag, seed=2)),
    ], heard


def of(speaker: str) -> list[Speech]:
    return [turn for turn in TURNS if turn.speaker == speaker]


def scored(found: SpeakerLipSync) -> tuple[float, float, int]:
    assert found.oracle is not None
    return found.oracle.confidence, found.oracle.distance, found.oracle.offset


RIGHT = clip(of("ann"), of("bob"))
RIGHT_SCORES = speaker_lip_sync(*RIGHT, TURNS, ORACLE)


def test_lips_in_sync_score_well_however_faces_are_assigned() -> None:
    found = RIGHT_SCORES
    confidence, distance, offset = scored(found)
    assert offset == 0
    assert found.consistent == found.oracle == found.greedy
    assert confidence > 3
    # The noise alone is between lips and sound: its expected length.
    assert distance == pytest.approx(0.3 * np.sqrt(DIMENSIONS), rel=0.05)
    assert found.contested == found.bound == pytest.approx(13.8)
    assert found.faces == ORACLE


def test_swapped_mouths_fall_to_the_level_of_shuffled_sound() -> None:
    found = speaker_lip_sync(*clip(of("bob"), of("ann")), TURNS, ORACLE)
    confidence, _, _ = scored(found)
    good, _, _ = scored(RIGHT_SCORES)
    assert RIGHT_SCORES.swapped is not None
    assert RIGHT_SCORES.shuffled is not None
    assert confidence < 0.1 * good
    assert RIGHT_SCORES.swapped.confidence < 0.1 * good
    assert RIGHT_SCORES.shuffled.confidence < 0.1 * good
    assert found.bound == 0
    assert found.leak == pytest.approx(good, rel=0.1)
    # The wrong faces are found when speakers are not known, and cost when they are.
    assert found.consistent is not None
    assert found.consistent.confidence == pytest.approx(good, rel=0.1)
    assert found.swapped is not None
    assert found.swapped.confidence == pytest.approx(found.consistent.confidence)


def test_a_blind_measure_takes_swapped_mouths_for_right_ones() -> None:
    """Why this metric exists: the best track's LSE is the same for both clips."""
    best = []
    for tracks, sound in (RIGHT, clip(of("bob"), of("ann"))):
        found = [lip_sync(distances(track.lips, sound)) for track in tracks]
        best.append(max(each.confidence for each in found if each))
    assert best[0] == pytest.approx(best[1], rel=0.15)


@pytest.mark.parametrize("lag", [-4, 3, 10])
def test_a_lag_is_one_offset_for_the_whole_clip(lag: int) -> None:
    found = speaker_lip_sync(*clip(of("ann"), of("bob"), lag), TURNS, ORACLE)
    confidence, _, offset = scored(found)
    assert offset == lag
    assert confidence > 2


def test_half_a_clip_with_another_lag_is_not_forgiven() -> None:
    sound = sound_of(FRAMES)
    tracks = [
        LipTrack("left", 0, lips_of(sound, of("ann"), 0)),
        LipTrack("right", 0, lips_of(sound, of("bob"), 8, seed=2)),
    ]
    confidence, _, _ = scored(speaker_lip_sync(tracks, sound, TURNS, ORACLE))
    good, _, _ = scored(RIGHT_SCORES)
    assert confidence == pytest.approx(good / 2, rel=0.2)


def test_everybody_moving_is_a_leak() -> None:
    found = speaker_lip_sync(*clip(TURNS, TURNS), TURNS, ORACLE)
    good, _, _ = scored(RIGHT_SCORES)
    assert abs(RIGHT_SCORES.leak) < 0.1 * good
    assert found.leak > 0.8 * good
    assert abs(found.leak_muted) < 0.1 * good
    assert found.leak_seconds == pytest.approx(13.8)


def test_motion_in_silence_is_seen() -> None:
    pauses = [Speech("x", 3.8, 4.2), Speech("x", 7.8, 8.2), Speech("x", 11.6, 12.0)]
    restless = speaker_lip_sync(*clip([*of("ann"), *pauses], of("bob")), TURNS, ORACLE)
    assert RIGHT_SCORES.silence_motion is not None
    assert restless.silence_motion is not None
    assert RIGHT_SCORES.silence_motion < 0.2
    assert restless.silence_motion > 1.5 * RIGHT_SCORES.silence_motion


def test_speech_off_the_screen_is_counted_and_not_scored() -> None:
    tracks, sound = RIGHT
    seen = [tracks[0], replace(tracks[1], lips=tracks[1].lips[:200])]
    found = speaker_lip_sync(seen, sound, TURNS, ORACLE)
    assert found.offscreen == pytest.approx(3.4)
    assert found.oracle is not None
    assert found.oracle.seconds == pytest.approx(13.8 - 3.4)
    assert found.oracle.confidence == pytest.approx(scored(RIGHT_SCORES)[0], rel=0.1)


def test_overlapped_and_short_speech_is_counted_and_not_scored() -> None:
    turns = [Speech("ann", 0.0, 4.0), Speech("bob", 3.0, 6.0), Speech("ann", 7.0, 7.5)]
    assert alone(turns) == [
        Speech("ann", 0.0, 3.0),
        Speech("bob", 4.0, 6.0),
        Speech("ann", 7.0, 7.5),
    ]
    found = speaker_lip_sync(*clip(turns[:1], turns[1:2]), turns, ORACLE)
    assert (found.speech, found.overlapped, found.short) == (7.5, 2.0, 0.5)
    assert found.oracle is not None
    assert found.oracle.seconds == 5.0


def test_a_person_in_two_shots_is_one_face() -> None:
    tracks, sound = RIGHT
    cut = 230
    parts = [
        LipTrack("left", 0, tracks[0].lips[:cut]),
        LipTrack("left", cut, tracks[0].lips[cut:]),
        tracks[1],
    ]
    found = speaker_lip_sync(parts, sound, TURNS, ORACLE)
    assert scored(found)[0] == pytest.approx(scored(RIGHT_SCORES)[0], rel=0.05)


def test_nobody_in_sight_gives_no_score() -> None:
    found = speaker_lip_sync([], sound_of(FRAMES), TURNS)
    assert (found.consistent, found.greedy, found.swapped) == (None, None, None)
    assert found.offscreen == pytest.approx(13.8)
    silent = speaker_lip_sync(RIGHT[0], RIGHT[1], [])
    assert silent.consistent is None
    assert silent.speech == 0


@settings(max_examples=10)
@given(st.permutations(range(3)), st.sampled_from(["zoe", "abe"]))
def test_the_order_and_names_of_tracks_and_a_face_never_seen_change_nothing(
    order: list[int], name: str
) -> None:
    tracks, sound = RIGHT
    unseen = LipTrack("nobody", FRAMES - 3, np.zeros((0, DIMENSIONS)))
    renamed = [replace(tracks[0], identity=name), tracks[1], unseen]
    found = speaker_lip_sync([renamed[index] for index in order], sound, TURNS)
    assert found.consistent == RIGHT_SCORES.consistent
    assert found.faces == {"ann": name, "bob": "right"}


@settings(max_examples=10)
@given(st.floats(1.2, 3.0))
def test_splitting_a_segment_changes_little(at: float) -> None:
    split = [Speech("ann", 0.4, at), Speech("ann", at, 3.8), *TURNS[1:]]
    found = speaker_lip_sync(*RIGHT, split, ORACLE)
    assert scored(found)[0] == pytest.approx(scored(RIGHT_SCORES)[0], rel=0.05)


intervals = st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(1, 20))


@given(st.lists(intervals, max_size=6))
def test_what_remains_alone_is_speech_of_one_person_only(
    drawn: list[tuple[str, int, int]],
) -> None:
    speech = [Speech(who, start, start + length) for who, start, length in drawn]
    for part in alone(speech):
        middle = (part.start + part.end) / 2
        assert {each.speaker for each in speech if each.start < middle < each.end} == {part.speaker}


def test_a_cut_inside_a_turn_scores_the_part_in_sight() -> None:
    """From frame 50 on, two thirds into her first turn, another camera does not show her."""
    tracks, sound = RIGHT
    seen = [replace(tracks[0], lips=tracks[0].lips[:70]), tracks[1]]
    found = speaker_lip_sync(seen, sound, TURNS, ORACLE)
    assert found.oracle is not None
    in_sight = (70 - 10 + 4) / FRAME_RATE
    assert found.oracle.seconds == pytest.approx(in_sight + 7.0, abs=0.1)
    assert found.offscreen == pytest.approx(13.8 - found.oracle.seconds)
    assert found.oracle.confidence == pytest.approx(scored(RIGHT_SCORES)[0], rel=0.1)


@pytest.mark.parametrize("turn", [Speech("ann", 0.0, 0.7), Speech("ann", 15.2, 15.9)])
def test_speech_at_the_very_ends_of_a_clip_is_scored(turn: Speech) -> None:
    """Half of the offsets have no sound there."""
    found = speaker_lip_sync(*clip([turn], []), [turn], ORACLE)
    confidence, _, offset = scored(found)
    assert offset == 0
    assert confidence > 2
    assert found.offscreen == pytest.approx(0)


def test_sound_shorter_than_the_video_leaves_the_rest_unscored() -> None:
    tracks, sound = RIGHT
    found = speaker_lip_sync(tracks, sound[:200], TURNS, ORACLE)
    assert found.oracle is not None
    assert found.oracle.seconds == pytest.approx(7.0)
    assert found.offscreen == pytest.approx(13.8 - 7.0)
    silent = speaker_lip_sync(tracks, sound[:0], TURNS, ORACLE)
    assert silent.oracle is None
    assert silent.shuffled is None


def test_three_faces_for_two_speakers() -> None:
    tracks, sound = RIGHT
    listener = LipTrack("third", 0, lips_of(sound, [], seed=3))
    found = speaker_lip_sync([listener, *tracks], sound, TURNS)
    assert found.consistent == RIGHT_SCORES.consistent
    assert found.faces == ORACLE


def test_one_face_for_two_speakers_leaves_one_off_screen() -> None:
    tracks, sound = RIGHT
    found = speaker_lip_sync(tracks[:1], sound, TURNS)
    assert found.faces == {"ann": "left"}
    assert found.offscreen == pytest.approx(7.0, abs=0.2)
    assert (found.contested, found.swapped) == (0, None)


def test_controls_of_unknown_speakers_hold_what_chance_gains() -> None:
    """With lips that follow nothing, the scores are no better than those of moved sound."""
    tracks = [LipTrack(name, 0, sound_of(FRAMES, seed)) for name, seed in (("a", 8), ("b", 9))]
    found = speaker_lip_sync(tracks, sound_of(FRAMES), TURNS)
    assert found.consistent is not None
    assert found.shuffled is not None
    good, _, _ = scored(RIGHT_SCORES)
    assert found.consistent.confidence < 0.3 * good
    assert found.consistent.confidence == pytest.approx(found.shuffled.confidence, abs=0.2 * good)
