from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_faces import Signal, speech

from mmdia_eval.mouth_sync import MAX_LAG, Mouth, MouthSync, mouth_sync, moving
from mmdia_eval.speaker_lip_sync import Speech

FRAMES = 200
TURNS = [Speech("A", 0.0, 4.0), Speech("B", 4.0, 8.0)]
A = np.arange(FRAMES) < 100


def voices(seed: int) -> tuple[Signal, Signal, Signal]:
    """The loudness of A, who speaks first, of B, and of both together."""
    loudness = speech(FRAMES, seed)
    return loudness * A, loudness * ~A, loudness


def mouth(identity: str, signal: Signal, lag: int = 0, first: int = 0) -> Mouth:
    """A mouth that opens `lag` frames after the sound."""
    return Mouth(identity, first, np.roll(signal, lag)[first:])


def scored(
    mouths: list[Mouth],
    loudness: Signal,
    turns: list[Speech] | None = None,
    known: dict[str, str] | None = None,
) -> MouthSync:
    found = mouth_sync(mouths, loudness**2, turns or TURNS, known)
    assert found is not None
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(-10, 10), st.integers(0, 10_000))
def test_a_planted_lag_is_found_within_a_frame(lag: int, seed: int) -> None:
    a, b, both = voices(seed)
    found = scored([mouth("x", a, lag), mouth("y", b, lag)], both)
    assert found.lag is not None
    assert abs(found.lag - lag) <= 1
    assert found.best > 0.7
    assert found.best >= found.correlation


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_in_step_is_one(seed: int) -> None:
    a, b, both = voices(seed)
    found = scored([mouth("x", a), mouth("y", b)], both)
    assert found.correlation > 0.97
    assert found.faces == found.clear == {"A": "x", "B": "y"}
    assert found.seconds == found.speech == found.contested == found.bound == 8.0


def test_the_floor_is_near_nothing_on_average() -> None:
    floors = []
    for seed in range(20):
        a, b, both = voices(seed)
        floors.append(scored([mouth("x", a), mouth("y", b)], both).shuffled)
    assert abs(np.mean(floors)) < 0.1


def test_correlation_is_pearsons_of_what_moves() -> None:
    loudness, opening = speech(FRAMES, 1), speech(FRAMES, 2)
    found = scored([mouth("x", opening)], loudness, [Speech("A", 1.0, 7.0)])
    part = slice(25, 175)
    expected = np.corrcoef(moving(opening[part]), moving(loudness[part]))[0, 1]
    assert found.correlation == pytest.approx(expected, abs=1e-6)


def test_swapped_mouths_are_found_where_it_is_known_whose_face_is_whose() -> None:
    a, b, both = voices(3)
    mouths = [mouth("x", b), mouth("y", a)]
    found = scored(mouths, both, known={"A": "x", "B": "y"})
    assert found.correlation < 0.3
    assert (found.contested, found.bound) == (8.0, 0.0)
    assert found.clear == {}
    blind = scored(mouths, both)
    assert blind.correlation > 0.97
    assert blind.faces == {"A": "y", "B": "x"}


def test_a_mouth_that_goes_with_everybody_is_one_speakers_alone() -> None:
    _, _, both = voices(4)
    still = np.zeros(FRAMES)
    found = scored([mouth("x", both), mouth("y", still)], both)
    assert set(found.faces.values()) == {"x", "y"}
    assert 0.4 < found.correlation < 0.6
    assert found.bound == 4.0


def test_three_faces_for_two_speakers() -> None:
    a, b, both = voices(5)
    found = scored([mouth("x", speech(FRAMES, 6)), mouth("y", a), mouth("z", b)], both)
    assert found.faces == {"A": "y", "B": "z"}
    assert found.correlation > 0.97


def test_one_face_for_two_speakers_covers_one() -> None:
    a, _, both = voices(7)
    found = scored([mouth("x", a)], both)
    assert found.faces == {"A": "x"}
    assert (found.seconds, found.speech) == (4.0, 8.0)
    assert found.correlation > 0.97


def test_a_mouth_that_never_moves_has_no_correlation() -> None:
    _, _, both = voices(8)
    found = scored([mouth("x", np.full(FRAMES, 0.3)), mouth("y", np.zeros(FRAMES))], both)
    assert found.correlation == found.best == 0.0
    assert found.lag is None
    assert (found.contested, found.bound) == (8.0, 0.0)


def test_a_cut_in_the_middle_of_a_turn_takes_only_what_is_seen() -> None:
    a, b, both = voices(9)
    cut = [Mouth("x", 0, a[:40]), Mouth("x", 70, a[70:]), mouth("y", b)]
    found = scored(cut, both)
    assert found.seconds == pytest.approx(8.0 - 30 / 25)
    assert found.correlation > 0.9


def test_overlapped_and_short_speech_is_left_out() -> None:
    loudness = speech(FRAMES, 10)
    turns = [Speech("A", 0.0, 5.0), Speech("B", 4.0, 4.5), Speech("B", 7.0, 7.5)]
    found = scored([mouth("x", loudness)], loudness, turns)
    assert found.seconds == pytest.approx(4.0)
    assert found.speech == pytest.approx(6.0)
    assert set(found.faces) == {"A"}


def test_nobody_in_sight_while_they_speak_is_none() -> None:
    a, _, both = voices(11)
    assert mouth_sync([], both, TURNS) is None
    assert mouth_sync([Mouth("x", 0, a[:10])], both, TURNS) is None
    assert mouth_sync([mouth("x", a)], both, [Speech("A", 0.0, 0.5)]) is None
    assert mouth_sync([mouth("x", a)], both, []) is None
    assert mouth_sync([mouth("x", a)], both, TURNS, {"A": "gone", "B": "gone too"}) is None


@pytest.mark.parametrize("frames", [1, 5, 20])
def test_videos_too_short_for_anything(frames: int) -> None:
    signal = speech(frames, 12)
    found = mouth_sync([Mouth("x", 0, signal)], signal, [Speech("A", 0.0, frames / 25)])
    assert found is None or abs(found.correlation) <= 1


def test_times_beyond_the_video_and_tracks_beyond_the_sound_do_no_harm() -> None:
    a, b, both = voices(13)
    late = [*TURNS, Speech("A", 9.0, 12.0)]
    found = scored([mouth("x", np.append(a, np.zeros(20))), mouth("y", b)], both, late)
    assert found.seconds == 8.0
    assert found.correlation > 0.9


@given(st.permutations(range(3)))
def test_the_order_and_names_of_tracks_play_no_part(order: list[int]) -> None:
    a, b, both = voices(14)
    mouths = [mouth("x", a), mouth("y", b), mouth("z", speech(FRAMES, 15))]
    plain = scored(mouths, both)
    mixed = scored([mouths[i] for i in order], both)
    renamed = scored([Mouth(f"{9 - i}", 0, each.openings) for i, each in enumerate(mouths)], both)
    assert mixed == plain
    assert renamed.correlation == pytest.approx(plain.correlation)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 20), st.floats(0, 1))
def test_neither_loudness_nor_size_of_mouth_counts(gain: float, offset: float) -> None:
    a, b, both = voices(16)
    plain = scored([mouth("x", a), mouth("y", b)], both)
    other = mouth_sync(
        [mouth("x", gain * a + offset), mouth("y", gain * b + offset)], (gain * both) ** 2, TURNS
    )
    assert other is not None
    assert other.correlation == pytest.approx(plain.correlation, abs=1e-9)


def test_the_lags_looked_at_are_syncnets() -> None:
    assert MAX_LAG == 15
