from __future__ import annotations

import numpy as np
import pytest
from toy_faces import LEFT, RIGHT, SIDE, film, sound, speech

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, FaceTracks, MouthMotion
from mmdia_eval.extractors import mouth_motion
from mmdia_eval.extractors.mouth_motion import (
    MouthMotionExtractor,
    MouthSettings,
    envelope,
    mouths,
)
from mmdia_eval.faces import Track, pack_tracks
from mmdia_eval.types import Audio, Dialogue, Frames

QUIET = Audio(np.zeros(32_000, dtype=np.float32))


def motion(frames: Frames, faces: FaceTracks, audio: Audio = QUIET) -> MouthMotion:
    one = MouthMotionExtractor(MouthSettings(), ())
    one.load()
    item = Inputs(audio, Dialogue("d", ()), Artifacts({FaceTracks: faces}), frames=frames)
    (found,) = one.extract([item])
    return found


def test_openings_follow_each_mouth_and_no_other() -> None:
    signals = speech(60, 1), speech(60, 2)
    frames, faces = film({LEFT: signals[0], RIGHT: signals[1]})
    found = motion(frames, faces)
    assert found.identities == ("face 1", "face 2")
    for index in (0, 1):
        mine = found.openings[found.tracks == index]
        assert np.corrcoef(mine, signals[index])[0, 1] > 0.98
        assert abs(np.corrcoef(mine, signals[1 - index])[0, 1]) < 0.5
        assert 0 <= mine.min() < 0.05
        assert 0.15 < mine.max() <= 1


def test_a_darker_picture_has_the_same_openings() -> None:
    frames, faces = film({LEFT: speech(40, 3)})
    bright, dim = (motion(each, faces).openings for each in (frames, frames // 2))
    np.testing.assert_allclose(dim, bright, atol=0.02)


def test_a_trembling_box_is_steadied(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, faces = film({LEFT: np.full(60, 0.5)})
    rng = np.random.default_rng(0)
    boxes = faces.boxes + rng.normal(0, 2, (60, 1)).astype(np.float32)
    track = Track(0, boxes, faces.scores)
    trembling = pack_tracks([track], faces.identities, faces.shots)
    steadied = mouths(frames, track).astype(float), motion(frames, trembling).openings
    monkeypatch.setattr(mouth_motion, "SMOOTHED_OVER", 1)
    plain = mouths(frames, track).astype(float), motion(frames, trembling).openings
    jumps = [np.abs(np.diff(each[0], axis=0)).mean() for each in (steadied, plain)]
    assert jumps[0] < jumps[1] / 4
    assert steadied[1].std() < 0.005


def test_the_region_is_below_the_middle_of_the_longer_side() -> None:
    """A box that is higher than wide, as S3FD's are, has the same region as its square."""
    frames, _ = film({LEFT: np.ones(15)})
    x, y = LEFT
    boxes = ([x, y, x + SIDE, y + SIDE], [x + 12, y, x + SIDE - 12, y + SIDE])
    square, narrow = (
        mouths(
            frames, Track(0, np.tile(np.array(box, np.float32), (15, 1)), np.ones(15, np.float32))
        )
        for box in boxes
    )
    np.testing.assert_array_equal(square, narrow)


def test_a_track_of_one_frame_and_one_beyond_the_edge() -> None:
    frames, _ = film({LEFT: np.ones(3)})
    box = np.array([[-30, 90, 50, 170]], dtype=np.float32)
    faces = pack_tracks([Track(2, box, np.ones(1, np.float32))], ["face 1"], ((0, 3),))
    found = motion(frames, faces)
    assert found.openings.shape == (1,)
    assert found.frames.tolist() == [2]
    assert np.isfinite(found.openings).all()


def test_no_face_leaves_the_sound_alone() -> None:
    frames, _ = film({LEFT: np.zeros(5)})
    found = motion(frames, pack_tracks([], [], ((0, 5),)), sound(np.ones(5)))
    assert found.openings.shape == (0,)
    assert found.looks.shape[0] == 0
    np.testing.assert_allclose(found.envelope, 0.5, rtol=1e-3)


def test_the_envelope_is_the_rms_under_each_frame() -> None:
    loudness = speech(50, 4)
    np.testing.assert_allclose(envelope(sound(loudness), 50), 0.5 * loudness**2, rtol=2e-3)


@pytest.mark.parametrize("samples", [0, 100, 3_300, 64_000])
def test_sound_shorter_or_longer_than_the_video(samples: int) -> None:
    found = envelope(Audio(np.ones(samples, dtype=np.float32)), 10)
    assert found.shape == (10,)
    heard = min(samples, 6400)
    assert float(np.square(found).sum()) * 640 == pytest.approx(heard, rel=1e-5)
