from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from toy_faces import LEFT, film

from mmdia_eval.api import Inputs, Metric
from mmdia_eval.artifacts import Artifact, Artifacts, FrameStatistics
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.extractors.frame_statistics import (
    FrameStatisticsExtractor,
    FrameStatisticsSettings,
    blockiness,
    most_motion,
    sharpness,
)
from mmdia_eval.metrics.flicker import Flicker
from mmdia_eval.metrics.frozen_share import FrozenShare
from mmdia_eval.metrics.sharpness import Sharpness
from mmdia_eval.types import Audio, Dialogue, Frames

QUIET = Audio(np.zeros(0, dtype=np.float32))
DIALOGUE = Dialogue("d", ())
SETTINGS = Flicker.Settings()
FRAMES, _ = film({LEFT: np.abs(np.sin(np.arange(40)))})


def statistics(frames: Frames, frozen: float = 1.05) -> FrameStatistics:
    one = FrameStatisticsExtractor(FrameStatisticsSettings(frozen=frozen), ())
    one.load()
    (found,) = one.extract([Inputs(QUIET, DIALOGUE, Artifacts({}), frames=frames)])
    return found


def figures(found: FrameStatistics) -> tuple[float, float]:
    """Frozen share and flicker."""
    assert found.frozen is not None
    assert found.flicker is not None
    return found.frozen, found.flicker


def blurred(frames: Frames, sigma: float) -> Frames:
    from scipy.ndimage import gaussian_filter

    found: Frames = gaussian_filter(frames, (0, sigma, sigma, 0))
    return found


def noisy(frames: Frames, level: float) -> Frames:
    rng = np.random.default_rng(0)
    found = np.clip(frames + rng.normal(0, level, frames.shape), 0, 255)
    return found.astype(np.uint8)


def test_more_blur_is_less_sharp_and_noise_is_more() -> None:
    order = [blurred(FRAMES, 4), blurred(FRAMES, 2), blurred(FRAMES, 1), FRAMES, noisy(FRAMES, 8)]
    values = [statistics(frames).sharpness for frames in order]
    assert values == sorted(values)
    assert values[0] < values[3] / 10


def test_sharpness_is_the_laplacians_variance_over_the_lumas() -> None:
    """A checkerboard of 0 and 100: every pixel is 4 x 100 from its neighbours' sum."""
    board = (100 * (np.indices((64, 64)).sum(axis=0) % 2)).astype(np.uint8)
    assert sharpness(board) == pytest.approx(400**2 / 50**2)


def test_sharpness_does_not_depend_on_contrast() -> None:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    waves = gaussian_filter(rng.normal(0, 100, (120, 160)), 1.5)
    values = [sharpness((128 + gain * waves).astype(np.uint8)) for gain in (1.0, 0.5)]
    assert values[0] == pytest.approx(values[1], rel=0.1)


def test_one_colour_has_no_edges_and_no_blocks() -> None:
    flat = np.full((48, 64), 90, dtype=np.uint8)
    assert sharpness(flat) == 0.0
    assert blockiness(flat) == 1.0


def test_blocks_are_seen_and_a_shifted_grid_is_none() -> None:
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(0, 255, (12, 16)), np.ones((8, 8))).astype(np.int16)
    picture = np.clip(blocks + rng.integers(-10, 10, blocks.shape), 0, 255).astype(np.uint8)
    noise = rng.integers(0, 255, (96, 128)).astype(np.uint8)
    assert blockiness(picture) > 5
    assert blockiness(np.roll(picture, 4, axis=(0, 1))) < 1
    assert blockiness(noise) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("height", [1, 7, 8, 9])
def test_pictures_smaller_than_a_block(height: int) -> None:
    picture = np.arange(height * 5, dtype=np.uint8).reshape(height, 5)
    assert np.isfinite([sharpness(picture), blockiness(picture)]).all()
    assert most_motion(picture, picture) == 0.0


def test_frozen_frames_are_counted() -> None:
    assert figures(statistics(FRAMES))[0] < 0.2
    assert figures(statistics(np.repeat(FRAMES[:1], 40, axis=0))) == (1.0, 0.0)
    noise = np.random.default_rng(2).integers(0, 255, (20, 48, 64, 3)).astype(np.uint8)
    assert figures(statistics(np.repeat(noise, 2, axis=0)))[0] == pytest.approx(20 / 39)


def test_a_small_mouth_that_moves_is_motion_and_a_codecs_noise_is_not() -> None:
    """The mean over the picture would have it the other way round."""
    wide = np.zeros((2, 480, 640, 3), dtype=np.uint8) + np.uint8(90)
    wide[1, 100:108, 100:108] += 20
    noise = np.zeros((2, 480, 640, 3), dtype=np.uint8) + np.uint8(90)
    noise[1] += np.random.default_rng(0).integers(0, 2, noise.shape[1:]).astype(np.uint8)
    assert figures(statistics(wide))[0] == 0.0
    assert figures(statistics(noise))[0] == 1.0
    assert float(np.abs(np.diff(wide.astype(int), axis=0)).mean()) < 0.1
    assert float(np.abs(np.diff(noise.astype(int), axis=0)).mean()) > 0.4


def test_a_flat_block_moved_by_one_level_is_a_codecs_doing() -> None:
    pulsing = np.full((4, 64, 64, 3), 90, dtype=np.uint8)
    pulsing[1::2, 16:32, 16:32] += 1
    assert figures(statistics(pulsing))[0] == 1.0
    pulsing[1::2, 16:32, 16:32] += 1
    assert figures(statistics(pulsing))[0] == 0.0


def test_flicker_is_the_change_of_brightness_and_a_cut_is_none() -> None:
    flickering = FRAMES.copy()
    flickering[::2] -= 20
    steady, found = (figures(statistics(frames))[1] for frames in (FRAMES, flickering))
    assert steady < 0.75
    assert found == pytest.approx(20, abs=1)
    dark = np.concatenate([FRAMES, FRAMES // 4])
    assert statistics(dark).shots == 2
    assert figures(statistics(dark))[1] < 0.75


def test_a_single_frame_has_neither_flicker_nor_rest() -> None:
    found = statistics(FRAMES[:1])
    assert (found.frames, found.frozen, found.flicker) == (1, None, None)
    assert found.sharpness > 0
    for one in (Flicker(SETTINGS), FrozenShare(SETTINGS)):
        with pytest.raises(MissingOutputError):
            one.measure(DIALOGUE, artifacts(found))
    assert Sharpness(SETTINGS).measure(DIALOGUE, artifacts(found))["value"] == found.sharpness


def made(sharp: float, frozen: float, flicker: float) -> FrameStatistics:
    return FrameStatistics(
        frames=50, shots=1, sharpness=sharp, blockiness=1.2, frozen=frozen, flicker=flicker
    )


def artifacts(output: FrameStatistics, reference: FrameStatistics | None = None) -> Artifacts:
    beside: dict[type[Artifact], Artifact] = {FrameStatistics: reference} if reference else {}
    return Artifacts({FrameStatistics: output}, beside)


def value(one: Metric, rows: list[Mapping[str, float]]) -> float:
    return float(
        one.reduce({field: np.float64(sum(r[field] for r in rows)) for field in one.fields})
    )


@pytest.mark.parametrize(
    ("one", "expected"),
    [(Sharpness(SETTINGS), 0.1), (FrozenShare(SETTINGS), 0.2), (Flicker(SETTINGS), 0.03)],
)
def test_the_references_own_value_stands_beside(one: Metric, expected: float) -> None:
    """Only dialogues that have a reference are in `reference` and `ratio`."""
    output, reference = made(0.1, 0.2, 0.03), made(0.4, 0.8, 0.12)
    both = one.measure(DIALOGUE, artifacts(output, reference))
    alone = one.measure(DIALOGUE, artifacts(made(0.1, 0.2, 0.03)))
    assert value(one, [both, alone]) == pytest.approx(expected)
    found = one.components([both, alone, one.worst(DIALOGUE)])
    assert found["reference"] == pytest.approx(4 * expected)
    assert found["ratio"] == pytest.approx(0.25)
    assert "ratio" not in one.components([alone])


def test_a_missing_output_costs_the_worst() -> None:
    assert value(Sharpness(SETTINGS), [Sharpness(SETTINGS).worst(DIALOGUE)]) == 0.0
    assert value(FrozenShare(SETTINGS), [FrozenShare(SETTINGS).worst(DIALOGUE)]) == 1.0
    assert value(Flicker(SETTINGS), [Flicker(SETTINGS).worst(DIALOGUE)]) == 255.0
    assert Sharpness(SETTINGS).components([Sharpness(SETTINGS).worst(DIALOGUE)]) == {}
