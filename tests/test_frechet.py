from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from mmdia_eval.frechet import (
    _trace_by_covariance,
    _trace_by_samples,
    frechet_distance,
    kernel_distance,
)

Array = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def sample(seed: int, n: int, d: int, scale: float = 1.0) -> Array:
    draw = np.random.default_rng(seed)
    return scale * draw.normal(size=(n, d)) @ draw.normal(size=(d, d)) + draw.normal(size=d)


@settings(max_examples=25)
@given(seeds, st.integers(30, 60), st.integers(30, 60), st.integers(1, 20))
def test_equals_the_matrix_root_of_scipy(seed: int, n: int, m: int, d: int) -> None:
    x, y = sample(seed, n, d), sample(seed + 1, m, d)
    sx, sy = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (x, y))
    mean = x.mean(axis=0) - y.mean(axis=0)
    expected = mean @ mean + np.trace(sx) + np.trace(sy) - 2 * np.trace(sqrtm(sx @ sy)).real
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=25)
@given(seeds, st.integers(2, 40), st.integers(2, 40), st.integers(1, 40))
def test_both_ways_to_the_root_agree(seed: int, n: int, m: int, d: int) -> None:
    x, y = (each - each.mean(axis=0) for each in (sample(seed, n, d), sample(seed + 1, m, d)))
    assert _trace_by_samples(x, y) == pytest.approx(_trace_by_covariance(x, y), rel=1e-6, abs=1e-6)


@given(seeds, st.integers(1, 8))
def test_diagonal_gaussians_have_a_closed_form(seed: int, d: int) -> None:
    """Columns that are exactly uncorrelated: sum of (√a - √b)² and of squared mean differences."""
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(np.column_stack([np.ones(40), draw.normal(size=(40, d))]))[0][:, 1:]
    a, b, mean = draw.uniform(0.1, 3, d), draw.uniform(0.1, 3, d), draw.normal(size=d)
    x, y = basis * np.sqrt(39 * a), basis * np.sqrt(39 * b) + mean
    expected = np.sum((np.sqrt(a) - np.sqrt(b)) ** 2) + mean @ mean
    assert frechet_distance(x, y) == pytest.approx(expected, abs=1e-9)


@given(seeds, st.integers(2, 30), st.integers(1, 30))
def test_a_set_is_at_no_distance_from_itself_in_any_order(seed: int, n: int, d: int) -> None:
    x = sample(seed, n, d)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-8 * np.sum(x**2))


@given(seeds, st.integers(2, 30), st.integers(2, 12))
def test_a_rotation_changes_nothing(seed: int, n: int, d: int) -> None:
    x, y = sample(seed, n, d), sample(seed + 1, n + 3, d)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y), rel=1e-7)


def test_constant_features_differ_by_their_means() -> None:
    assert frechet_distance(np.zeros((5, 3)), np.full((7, 3), 2.0)) == pytest.approx(12)


@settings(max_examples=25)
@given(seeds, st.integers(2, 30), st.integers(1, 20))
def test_kernel_distance_is_that_of_torchmetrics(seed: int, n: int, d: int) -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.image.kid import poly_mmd

    x, y = sample(seed, n, d), sample(seed + 1, n, d)
    expected = float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_kernel_distance_has_no_bias_from_few_samples() -> None:
    draw = np.random.default_rng(3)
    values = [kernel_distance(*draw.normal(size=(2, 12, 4))) for _ in range(2000)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((1, 2)), np.zeros((2, 2)), "n of 2 or more"),
        (np.zeros(3), np.zeros((2, 3)), "expected"),
        (np.zeros((2, 2)), np.zeros((2, 3)), "2 and of 3 dimensions"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), "not finite"),
    ],
)
def test_features_that_do_not_fit_are_refused(x: Array, y: Array, message: str) -> None:
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match=message):
            distance(x, y)
