from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_faces import LEFT, RIGHT, SKINS, film, still_track

from mmdia_eval.faces import Track
from mmdia_eval.identities import LOOK_SIZE, identities, link, look, looks, match
from mmdia_eval.types import FloatArray, Frames

SHUT = np.zeros(30)


def two_shots(swapped: bool) -> tuple[Frames, list[Track]]:
    """Two people side by side for 30 frames, then again, perhaps with places changed."""
    first, _ = film({LEFT: SHUT, RIGHT: SHUT}, skins=SKINS[:2])
    second, _ = film({LEFT: SHUT, RIGHT: SHUT}, skins=SKINS[1::-1] if swapped else SKINS[:2])
    tracks = [still_track(place, 30, first) for first in (0, 30) for place in (LEFT, RIGHT)]
    return np.concatenate([first, second]), tracks


@pytest.mark.parametrize("swapped", [False, True])
def test_people_are_known_again_in_the_next_shot_wherever_they_stand(swapped: bool) -> None:
    frames, tracks = two_shots(swapped)
    again = ("face 2", "face 1") if swapped else ("face 1", "face 2")
    assert identities(frames, tracks) == ("face 1", "face 2", *again)


def test_a_new_person_is_a_new_name() -> None:
    first, _ = film({LEFT: SHUT})
    second, _ = film({RIGHT: SHUT}, skins=SKINS[1:])
    frames = np.concatenate([first, second])
    tracks = [still_track(LEFT, 30), still_track(RIGHT, 30, 30)]
    assert identities(frames, tracks) == ("face 1", "face 2")


def test_equal_looks_seen_at_once_are_two_people() -> None:
    frames, _ = film({LEFT: SHUT, RIGHT: SHUT}, skins=(SKINS[0], SKINS[0]))
    assert identities(frames, [still_track(LEFT, 30), still_track(RIGHT, 30)]) == (
        "face 1",
        "face 2",
    )


def test_one_who_is_lost_for_a_while_stays_the_same() -> None:
    """The other is in sight all the time, so no two of the tracks are of different shots."""
    frames, _ = film({LEFT: np.zeros(60), RIGHT: np.zeros(60)})
    tracks = [still_track(LEFT, 60), still_track(RIGHT, 20), still_track(RIGHT, 20, 40)]
    assert identities(frames, tracks) == ("face 1", "face 2", "face 2")


def test_an_open_mouth_changes_nobody() -> None:
    shut, _ = film({LEFT: SHUT})
    opened, _ = film({LEFT: SHUT + 1})
    a, b = (look(frames, still_track(LEFT, 30)) for frames in (shut, opened))
    assert float(a @ b) > 0.95


def test_a_look_has_length_one_even_at_the_edge_and_for_one_pixel() -> None:
    frames, _ = film({LEFT: SHUT})
    beyond = Track(0, np.array([[-60, -60, 20, 20]], np.float32), np.ones(1, np.float32))
    tiny = Track(29, np.array([[5, 5, 5.2, 5.2]], np.float32), np.ones(1, np.float32))
    found = looks(frames, [beyond, tiny, still_track(LEFT, 30)])
    assert found.shape == (3, LOOK_SIZE)
    assert np.isfinite(found).all()
    assert np.linalg.norm(found[2]) == pytest.approx(1, abs=1e-5)


def test_nobody_has_no_names() -> None:
    frames, _ = film({LEFT: SHUT})
    assert identities(frames, []) == ()


def planted(people: list[int], seed: int = 0) -> FloatArray:
    """Looks of unit length, equal for one person but for a little noise."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(8)[people] + rng.normal(0, 0.02, (len(people), 8))
    found: FloatArray = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    return found


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_planted_people_are_found_and_named_in_order(people: list[int]) -> None:
    tracks = [still_track(LEFT, 5, 5 * index) for index in range(len(people))]
    order = list(dict.fromkeys(people))
    expected = tuple(f"face {order.index(person) + 1}" for person in people)
    assert link(tracks, planted(people)) == expected


@given(st.permutations(range(5)))
def test_names_do_not_depend_on_the_order_of_tracks(order: list[int]) -> None:
    people = [0, 1, 0, 2, 1]
    tracks = [still_track(LEFT, 5, 5 * index) for index in range(5)]
    plain = link(tracks, planted(people))
    mixed = link([tracks[i] for i in order], planted(people)[order])
    assert [mixed[order.index(i)] for i in range(5)] == list(plain)


def test_match_pairs_the_most_alike_and_leaves_strangers() -> None:
    a, b, c = np.eye(3, dtype=np.float32)
    near_a = np.array([0.99, 0.141, 0], dtype=np.float32)
    assert match({"x": a, "y": b}, {"p": near_a, "q": b, "r": c}) == {"x": "p", "y": "q"}
    assert match({"x": a}, {"r": c}) == {}
    assert match({}, {"r": c}) == match({"x": a}, {}) == {}
