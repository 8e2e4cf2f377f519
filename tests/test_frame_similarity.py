from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from mmdia_eval.api import Inputs, Metric
from mmdia_eval.artifacts import Artifacts, FrameSimilarity
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.extractors.frame_similarity import (
    FrameSimilarityExtractor,
    FrameSimilaritySettings,
    resize,
)
from mmdia_eval.metrics.psnr import Psnr
from mmdia_eval.metrics.ssim import Ssim
from mmdia_eval.types import Audio, Dialogue, Frames

QUIET = Audio(np.zeros(0, dtype=np.float32))
DIALOGUE = Dialogue("d", (), video=Path("d.mp4"))
METRICS = Psnr(Psnr.Settings()), Ssim(Ssim.Settings())


def pictures(frames: int, seed: int = 0, size: tuple[int, int] = (24, 32)) -> Frames:
    """Smooth coloured noise."""
    rng = np.random.default_rng(seed)
    raw = gaussian_filter(rng.normal(128, 400, (frames, *size, 3)), (0, 2, 2, 0))
    return np.clip(raw, 0, 255).astype(np.uint8)


def compare(frames: Frames, reference: Frames | None, most_extra: int = 1) -> FrameSimilarity:
    one = FrameSimilarityExtractor(FrameSimilaritySettings(most_extra=most_extra), ())
    one.load()
    dialogue = DIALOGUE if reference is not None else Dialogue("d", ())
    item = Inputs(QUIET, dialogue, Artifacts({}), frames=frames, reference_frames=reference)
    (found,) = one.extract([item])
    return found


def noisy(frames: Frames, level: float, seed: int = 1) -> Frames:
    noise = np.random.default_rng(seed).normal(0, level, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def ssim_by_hand(a: Frames, b: Frames) -> float:
    """Wang et al. 2004, equation 13, in float64 by scipy, where windows lie wholly inside."""

    def smooth(each: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = gaussian_filter(each, (1.5, 1.5, 0), radius=(5, 5, 0))
        return found[5:-5, 5:-5]

    x, y = a / 255.0, b / 255.0
    mx, my = smooth(x), smooth(y)
    vx, vy, vxy = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(index.mean())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1, 60), st.integers(1, 10))
def test_both_are_as_their_definitions_say(seed: int, level: float, frames: int) -> None:
    reference = pictures(frames, seed)
    output = noisy(reference, level, seed + 1)
    found = compare(output, reference)
    errors = np.square((output.astype(float) - reference) / 255).mean(axis=(1, 2, 3))
    assert found.psnr == pytest.approx(float(np.mean(-10 * np.log10(errors))), abs=1e-4)
    pairs = zip(output, reference, strict=True)
    assert found.ssim == pytest.approx(float(np.mean([ssim_by_hand(*p) for p in pairs])), abs=1e-4)
    assert (found.frames, found.resized, found.problem) == (frames, False, None)


def test_equal_videos_are_100_db_and_1() -> None:
    found = compare(pictures(9), pictures(9))
    assert found.psnr == 100.0
    assert found.ssim == pytest.approx(1.0, abs=1e-6)


def test_black_and_white_are_0_db() -> None:
    black = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    found = compare(black, 255 - black)
    assert found.psnr == pytest.approx(0.0, abs=1e-5)
    assert found.ssim == pytest.approx(0.01**2 / (1 + 0.01**2), abs=1e-5)


def test_more_noise_and_more_blur_are_less_alike() -> None:
    reference = pictures(3)
    worse = [noisy(reference, level) for level in (2, 8, 32)]
    blurred = [gaussian_filter(reference, (0, sigma, sigma, 0)) for sigma in (0.7, 1.5, 4)]
    for order in (worse, blurred):
        found = [compare(each, reference) for each in order]
        for values in ([f.psnr for f in found], [f.ssim for f in found]):
            assert values == sorted(values, reverse=True)


def test_one_frame_more_or_less_is_left_out_and_more_are_not_compared() -> None:
    reference = pictures(10)
    for output in (reference[:9], np.concatenate([reference, reference[:1]])):
        found = compare(output, reference)
        assert found.psnr == 100.0
        assert found.frames == min(len(output), 10)
    assert compare(reference[:8], reference).problem == "8 frames, and the reference has 10"
    assert compare(reference[:8], reference, most_extra=2).frames == 8


def test_another_size_is_brought_to_the_references() -> None:
    reference = pictures(2, size=(48, 64))
    small = resize(reference, 32, 24)
    large = np.kron(reference, np.ones((1, 2, 2, 1), dtype=np.uint8))
    assert compare(small, reference).resized
    assert 20 < compare(small, reference).psnr < 100
    assert compare(large, reference).psnr == 100.0
    assert compare(small, reference).ssim > compare(pictures(2, 5, (24, 32)), reference).ssim


def test_one_frame_is_enough() -> None:
    found = compare(pictures(1), noisy(pictures(1), 5))
    assert found.frames == 1
    assert 0 < found.ssim < 1


def test_a_reference_smaller_than_the_window_is_named() -> None:
    found = compare(pictures(2, size=(10, 32)), pictures(2, size=(10, 32)))
    assert found.problem == "the reference is 32x10: SSIM needs 11 a side"


def test_no_reference_is_no_comparison() -> None:
    assert compare(pictures(2), None).problem == "the dialogue has no reference video"


def test_frames_of_a_reference_that_did_not_come_are_no_fault_of_the_output() -> None:
    one = FrameSimilarityExtractor(FrameSimilaritySettings(), ())
    item = Inputs(QUIET, DIALOGUE, Artifacts({}), Path("out.mp4"), frames=pictures(2))
    with pytest.raises(ValueError, match=r"out\.mp4 came without the frames of d\.mp4"):
        one.extract([item])


def test_the_reference_is_in_the_key() -> None:
    assert FrameSimilarityExtractor.reads == ("reference_video",)
    assert FrameSimilarityExtractor.reads_reference_frames


@pytest.mark.parametrize("one", METRICS)
def test_means_over_dialogues(one: Metric) -> None:
    rows = [
        one.measure(DIALOGUE, Artifacts({FrameSimilarity: FrameSimilarity(psnr, ssim, 50, sized)}))
        for psnr, ssim, sized in ((20.0, 0.5, True), (30.0, 0.7, False))
    ]
    total = {field: sum(row[field] for row in rows) for field in one.fields}
    mean = pytest.approx({"psnr": 25.0, "ssim": 0.6}[one.name])
    assert one.reduce(total) == mean
    assert one.components([*rows, one.worst(DIALOGUE)]) == {
        "scored": pytest.approx(2 / 3),
        "resized": 0.5,
        "of_scored": mean,
    }


@pytest.mark.parametrize("one", METRICS)
def test_what_cannot_be_compared_is_missing_and_no_reference_is_not_applicable(one: Metric) -> None:
    made = Artifacts({FrameSimilarity: FrameSimilarity(0.0, 0.0, 0, False, "8 frames")})
    with pytest.raises(MissingOutputError, match="8 frames"):
        one.measure(DIALOGUE, made)
    assert one.not_applicable(DIALOGUE) is None
    assert one.not_applicable(Dialogue("d", ())) == "the dialogue has no reference video"


def test_no_smaller_values_exist() -> None:
    assert METRICS[0].reduce(METRICS[0].worst(DIALOGUE)) == 0.0
    assert METRICS[1].reduce(METRICS[1].worst(DIALOGUE)) == -1.0
