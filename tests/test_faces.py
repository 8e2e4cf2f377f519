from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.faces import Track, TrackSettings, crop_faces, overlap, suppress, track_faces
from mmdia_eval.types import FloatArray

LOOSE = TrackSettings(min_track=9, min_face=19)
LEFT, RIGHT = (10, 10, 60, 60), (100, 10, 150, 60)


def face(box: tuple[float, float, float, float], score: float = 0.9) -> list[float]:
    return [*box, score]


def frame(*faces: list[float]) -> FloatArray:
    return np.array(faces, dtype=np.float32).reshape(-1, 5)


def test_overlap_by_hand() -> None:
    found = overlap(frame(face((0, 0, 2, 2))), frame(face((1, 0, 3, 2)), face((5, 5, 6, 6))))
    assert found.tolist() == [[pytest.approx(1 / 3), 0.0]]


boxes = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2, st.floats(0, 1))


@given(st.lists(boxes, max_size=12))
def test_what_is_kept_overlaps_little_and_what_goes_had_a_better_one(
    found: list[tuple[int, int, int, int, float]],
) -> None:
    faces = frame(*([x, y, x + w, y + h, score] for x, y, w, h, score in found))
    kept = suppress(faces, 0.3)
    shared = overlap(kept, kept)
    assert (shared[~np.eye(len(kept), dtype=bool)] <= 0.3).all()
    for each in faces:
        better = kept[kept[:, 4] >= each[4]]
        assert (overlap(each[None], better) > 0.3).any() or (kept == each).all(axis=1).any()


@pytest.mark.parametrize("flips", ["never", "once", "always"])
def test_two_faces_keep_apart_when_the_detector_lists_them_in_another_order(flips: str) -> None:
    """200 frames of two still faces; an order-dependent tracker makes three tracks of them."""
    faces = []
    for index in range(200):
        pair = [face(LEFT), face(RIGHT)]
        turned = {"never": False, "once": index >= 60, "always": index % 2 == 1}[flips]
        faces.append(frame(*(pair[::-1] if turned else pair)))
    tracks = track_faces(faces, [(0, 200)], LOOSE)
    assert [(track.first, track.last) for track in tracks] == [(0, 199), (0, 199)]
    assert [tuple(np.unique(track.boxes, axis=0)[0]) for track in tracks] == [LEFT, RIGHT]


def test_faces_that_come_close_keep_their_tracks() -> None:
    faces = []
    for index in range(40):
        x = 2.0 * index
        pair = (face((x, 0, x + 60, 60)), face((100 - x, 35, 160 - x, 95)))
        faces.append(frame(*(pair if index % 2 else pair[::-1])))
    tracks = track_faces(faces, [(0, 40)], LOOSE)
    assert len(tracks) == 2
    for track in tracks:
        assert np.ptp(track.boxes[:, 1]) == 0


def test_a_gap_is_filled_by_a_straight_line_and_marked() -> None:
    faces = [
        frame(face((i, 0, i + 50, 50))) if i not in range(5, 10) else frame() for i in range(20)
    ]
    (track,) = track_faces(faces, [(0, 20)], LOOSE)
    np.testing.assert_allclose(track.boxes[:, 0], np.arange(20), atol=1e-5)
    assert (track.scores == 0).tolist() == [i in range(5, 10) for i in range(20)]


def test_a_gap_too_long_and_a_cut_end_a_track() -> None:
    still = [frame(face(LEFT))] * 60
    hidden = [frame() if 20 <= i < 50 else each for i, each in enumerate(still)]
    assert [t.last for t in track_faces(hidden, [(0, 60)], LOOSE)] == [19, 59]
    assert [t.first for t in track_faces(still, [(0, 30), (30, 60)], LOOSE)] == [0, 30]


def test_tracks_too_short_or_too_small_are_no_tracks() -> None:
    assert track_faces([frame(face(LEFT))] * 9, [(0, 9)], LOOSE) == []
    assert track_faces([frame(face((0, 0, 19, 19)))] * 30, [(0, 30)], LOOSE) == []


def test_a_crop_shows_the_face_and_grey_beyond_the_picture() -> None:
    frames = np.zeros((15, 80, 100, 3), dtype=np.uint8)
    frames[:, 10:30, 40:60] = 255
    boxes = np.tile(np.array([40, 10, 60, 30], dtype=np.float32), (15, 1))
    crop = crop_faces(frames, Track(0, boxes, np.ones(15, dtype=np.float32)), 28)[7]
    # 28 pixels wide, 28 high: the box lies 4 from the left, at the top.
    assert (crop[1:19, 5:23] == 255).all()
    assert (crop[21:, :3] == 0).all()
    edge = np.tile(np.array([0, 0, 20, 20], dtype=np.float32), (15, 1))
    outside = crop_faces(frames, Track(0, edge, np.ones(15, dtype=np.float32)), 28)[7]
    assert (outside[:, :3] == 110).all()
