from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdia_eval.lip_sync import MAX_OFFSET, distances, lip_sync, zero_padded

Array = NDArray[np.float64]


def planted(n: int, lag: int = 0, noise: float = 0.3, seed: int = 0) -> tuple[Array, Array]:
    """Lips, and the same as sound with noise, `lag` frames later."""
    draw = np.random.default_rng(seed)
    track = draw.normal(size=(n + 2 * abs(lag), 8))
    start = abs(lag)
    sound = track[start - lag : start - lag + n] + noise * draw.normal(size=(n, 8))
    return track[start : start + n], sound


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_distances_are_those_of_the_reference_definition(n: int, seed: int) -> None:
    """Against torch: pad with zeros, slide a window of 31, `pairwise_distance`."""
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(seed)
    lips, sound = draw.normal(size=(2, n, 6))
    padded = torch.nn.functional.pad(torch.from_numpy(sound), (0, 0, MAX_OFFSET, MAX_OFFSET))
    expected = torch.stack(
        [
            torch.pairwise_distance(torch.from_numpy(lips[i]), padded[i : i + 2 * MAX_OFFSET + 1])
            for i in range(n)
        ]
    )
    found = zero_padded(distances(lips, sound), lips)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-12)
    means = expected.mean(dim=0)
    measured = lip_sync(found)
    assert measured is not None
    assert measured.distance == pytest.approx(float(means.min()))
    assert measured.confidence == pytest.approx(float(means.median() - means.min()))
    if n > MAX_OFFSET:  # else several offsets compare with zeros alone, and tie
        assert measured.offset == MAX_OFFSET - int(means.argmin())


@pytest.mark.parametrize("lag", [-7, -1, 0, 1, 12])
def test_a_planted_lag_is_found(lag: int) -> None:
    lips, sound = planted(80, lag)
    found = lip_sync(distances(lips, sound))
    assert found is not None
    assert found.offset == -lag


def test_confidence_depends_on_length_with_zeros_and_not_without() -> None:
    """Embeddings far from the origin, as the published network's are."""
    legacy: list[float] = []
    valid: list[float] = []
    for n in (40, 300):
        lips, sound = planted(n, noise=0.5)
        lips, sound = lips + 5, sound + 5
        found = distances(lips, sound)
        for values, each in ((legacy, zero_padded(found, lips)), (valid, found)):
            measured = lip_sync(each)
            assert measured is not None
            values.append(measured.confidence)
    assert valid[0] == pytest.approx(valid[1], rel=0.1)
    assert abs(legacy[0] - legacy[1]) > 3 * abs(valid[0] - valid[1])


def test_a_track_shorter_than_the_offsets_has_no_valid_measure() -> None:
    lips, sound = planted(MAX_OFFSET)
    assert lip_sync(distances(lips, sound)) is None
    assert lip_sync(distances(lips[:0], sound)) is None


def test_sound_of_another_clip_has_no_confidence() -> None:
    lips, sound = planted(200)
    mine, other = (
        lip_sync(distances(lips, sound)),
        lip_sync(distances(lips, planted(200, seed=9)[1])),
    )
    assert mine is not None
    assert other is not None
    assert mine.confidence > 10 * other.confidence
