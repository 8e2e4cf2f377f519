from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_faces import LEFT, RIGHT, SIDE, SKINS, film

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, FaceTracks
from mmdia_eval.errors import UserError
from mmdia_eval.extractors import haar_faces
from mmdia_eval.extractors.haar_faces import NOTHING, WEIGHTS, HaarFaces, HaarSettings
from mmdia_eval.faces import overlap, unpack_tracks
from mmdia_eval.types import Audio, Dialogue, FloatArray, Frames

SHUT = np.zeros(30)


def extractor(**settings: object) -> HaarFaces:
    found = HaarFaces(HaarSettings.model_validate(settings), ())
    found.load()
    return found


def tracks(frames: Frames | None, **settings: object) -> FaceTracks:
    silence = Audio(np.zeros(16_000, dtype=np.float32))
    item = Inputs(silence, Dialogue("d", ()), Artifacts({}), Path("x.mp4"), frames=frames)
    (found,) = extractor(**settings).extract([item])
    return found


def planted(monkeypatch: pytest.MonkeyPatch, faces: list[FloatArray]) -> FaceTracks:
    """The tracks of these detections, one entry a frame."""
    one = extractor()
    given = iter(faces)
    monkeypatch.setattr(HaarFaces, "detect", lambda self, frame, known: next(given))
    silence = Audio(np.zeros(16_000, dtype=np.float32))
    frames = np.zeros((len(faces), 240, 320, 3), dtype=np.uint8)
    (found,) = one.extract([Inputs(silence, Dialogue("d", ()), Artifacts({}), frames=frames)])
    return found


def face(x: float = 50, side: float = 60) -> FloatArray:
    return np.array([[x, 50, x + side, 50 + side, 57]], dtype=np.float32)


def test_two_drawn_faces_are_found_where_they_are() -> None:
    frames, _ = film({LEFT: np.linspace(0, 1, 30), RIGHT: SHUT})
    found = tracks(frames)
    assert found.identities == ("face 1", "face 2")
    assert found.shots == ((0, 30),)
    assert found.boxes.dtype == found.scores.dtype == found.frames.dtype == np.float32
    for track, (x, y) in zip(unpack_tracks(found), (LEFT, RIGHT), strict=True):
        assert (track.first, track.last) == (0, 29)
        assert (track.scores > 0).all()
        np.testing.assert_allclose(track.boxes.mean(axis=0), [x, y, x + SIDE, y + SIDE], atol=10)


def test_a_large_picture_is_searched_small_and_boxes_are_in_its_own_pixels() -> None:
    frames, _ = film({LEFT: np.zeros(3)})
    one = extractor()
    (small,) = one.detect(frames[0])
    (large,) = one.detect(np.kron(frames[0], np.ones((4, 4, 1), dtype=np.uint8)))
    np.testing.assert_allclose(large[:4] / 4, small[:4], atol=5)


def test_people_are_the_same_after_a_cut() -> None:
    alone, _ = film({LEFT: SHUT})
    both, _ = film({LEFT: SHUT, RIGHT: SHUT}, skins=SKINS[1::-1], wall=(200, 120, 60))
    found = tracks(np.concatenate([alone, both]))
    assert found.shots == ((0, 30), (30, 60))
    assert [track.first for track in unpack_tracks(found)] == [0, 30, 30]
    assert found.identities == ("face 1", "face 2", "face 1")


def test_no_face_gives_no_tracks_but_the_shots() -> None:
    found = tracks(np.full((30, 120, 160, 3), 90, dtype=np.uint8))
    assert found.identities == ()
    assert found.boxes.shape == (0, 4)
    assert len(found.frames) == len(found.tracks) == len(found.scores) == 0
    assert found.shots == ((0, 30),)


def test_one_frame_is_too_short_for_a_track() -> None:
    frames, _ = film({LEFT: np.zeros(1)})
    assert tracks(frames).identities == ()
    assert tracks(frames, min_track=0).identities == ("face 1",)


def test_no_frames_are_an_error_that_names_the_file() -> None:
    with pytest.raises(ValueError, match=r"x\.mp4 came without its frames"):
        tracks(None)


def test_what_is_found_for_ten_frames_is_no_track(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planted(monkeypatch, [face()] * 10 + [NOTHING] * 30).identities == ()


def test_what_comes_and_goes_is_no_track(monkeypatch: pytest.MonkeyPatch) -> None:
    """A false face in every third frame, for long enough; a real one in two of three."""
    rare = [face() if index % 3 == 0 else NOTHING for index in range(90)]
    assert planted(monkeypatch, rare).identities == ()
    often = [NOTHING if index % 3 == 0 else face() for index in range(90)]
    assert planted(monkeypatch, often).identities == ("face 1",)


def test_what_is_small_for_the_picture_is_no_track(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planted(monkeypatch, [face(side=23)] * 60).identities == ()
    assert planted(monkeypatch, [face(side=26)] * 60).identities == ("face 1",)


def test_boxes_within_boxes_are_one_face() -> None:
    class Doubled:
        def detectMultiScale3(self, *args: object, **kwargs: object) -> object:  # noqa: N802
            boxes = np.array([[50, 50, 60, 60], [54, 54, 56, 56], [150, 50, 60, 60]])
            return boxes, np.zeros(3), np.array([3.0, 5.0, 4.0])

    one = extractor()
    one._cascade = Doubled()
    found = one.detect(np.zeros((200, 300, 3), dtype=np.uint8))
    assert found[:, 4].tolist() == [5.0, 4.0]
    assert found[0, :4].tolist() == [54, 54, 110, 110]


def test_between_searches_all_over_faces_are_followed_where_they_were() -> None:
    """Both faces move by 30 pixels in as many frames; every frame is searched for itself."""
    still, _ = film({LEFT: np.zeros(1), RIGHT: np.zeros(1)})
    frames = np.stack([np.roll(still[0], shift, axis=1) for shift in range(30)])
    found, everywhere = tracks(frames, every=29), tracks(frames, every=1)
    assert (found.scores > 0).all()
    for track, known in zip(unpack_tracks(found), unpack_tracks(everywhere), strict=True):
        assert len(track.boxes) == len(known.boxes) == 30
        assert track.boxes[-1, 0] - track.boxes[0, 0] == pytest.approx(29, abs=6)
        assert (np.diagonal(overlap(track.boxes, known.boxes)) > 0.75).all()


def test_who_comes_into_a_shot_is_found_by_the_next_search_all_over() -> None:
    frames, _ = film({LEFT: np.zeros(40), RIGHT: np.zeros(40)})
    alone, _ = film({LEFT: np.zeros(13)})
    found = tracks(np.concatenate([alone, frames]), every=5)
    assert len(found.shots) == 1
    assert [track.first for track in unpack_tracks(found)] == [0, 15]


def test_a_cut_is_searched_all_over() -> None:
    left, _ = film({LEFT: SHUT})
    right, _ = film({RIGHT: SHUT}, wall=(200, 120, 60))
    found = tracks(np.concatenate([left, right]), every=100)
    assert found.shots == ((0, 30), (30, 60))
    assert [(track.first, track.last) for track in unpack_tracks(found)] == [(0, 29), (30, 59)]


def test_a_face_is_looked_for_where_it_was_for_as_long_as_a_gap_may_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near: list[int] = []
    seen = {0}

    def detect(self: HaarFaces, frame: Frames, known: FloatArray | None) -> FloatArray:
        near.append(-1 if known is None else len(known))
        return face() if len(near) - 1 in seen else NOTHING

    monkeypatch.setattr(HaarFaces, "detect", detect)
    extractor(every=8, gap=3)._faces(np.zeros((8, 4, 4, 3), dtype=np.uint8))
    assert near == [-1, 1, 1, 1, 1, 0, 0, 0]


def test_the_cascade_is_in_the_key() -> None:
    assert HaarFaces(HaarSettings(), ()).weights() == (WEIGHTS,)
    assert HaarFaces.reads_frames


def test_another_cascade_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cv2 import data

    monkeypatch.setattr(data, "haarcascades", str(tmp_path))
    with pytest.raises(UserError, match="brings no haarcascade"):
        extractor()
    (tmp_path / haar_faces.CASCADE).write_text("<xml/>")
    with pytest.raises(UserError, match="not the cascade"):
        extractor()
