"""Distances between two sets of feature vectors: Fréchet's, and the unbiased kernel distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Features = NDArray[np.float64]


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Squared Fréchet (2-Wasserstein) distance of the Gaussians fitted to two sets, 0 or more.

    `x` has shape (n, d), `y` (m, d), any float type; computed in float64 with unbiased covariances
    (n - 1), as the reference of FVD does (Unterthiner et al. 2018, arXiv:1812.01717). Lower is
    closer. Biased upwards by few samples: compare only values of equal n.

    The trace of the matrix root is a nuclear norm of centred features, `|A Bᵀ|* / √((n-1)(m-1))`,
    and needs no root of a matrix: tr √(ΣxΣy) is the sum of singular values of Σx^½ Σy^½, which are
    those of A Bᵀ when Σx = AᵀA / (n-1). With many samples the d x d way is cheaper.

    Raises:
        ValueError: shapes that do not fit, fewer than two samples, or features not finite.
    """
    a, b = _checked(x), _checked(y)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of {a.shape[1]} and of {b.shape[1]} dimensions")
    mean = a.mean(axis=0) - b.mean(axis=0)
    a, b = (each - each.mean(axis=0) for each in (a, b))
    a, b = a / np.sqrt(len(a) - 1), b / np.sqrt(len(b) - 1)
    many = min(len(a), len(b)) > a.shape[1]
    root = _trace_by_covariance(a, b) if many else _trace_by_samples(a, b)
    distance = mean @ mean + np.sum(a**2) + np.sum(b**2) - 2 * root
    return max(0.0, float(distance))


def _trace_by_samples(a: Features, b: Features) -> float:
    """Tr √(AᵀA BᵀB) from the n x m matrix of products."""
    return float(np.linalg.norm(a @ b.T, ord="nuc"))


def _trace_by_covariance(a: Features, b: Features) -> float:
    """The same from d x d matrices: tr √(S Σy S), S = Σx^½."""
    values, vectors = np.linalg.eigh(a.T @ a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ (b.T @ b) @ root)
    return float(np.sqrt(np.clip(inner, 0, None)).sum())


def kernel_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x·y / d + 1)³: KVD, as KID for images.

    `x` has shape (n, d), `y` (m, d). Its expectation is 0 for sets of one distribution, whatever
    their size, so single values may be below 0. Lower is closer. Bińkowski et al. 2018
    (arXiv:1801.01401), equation 4 and section 4.

    Raises:
        ValueError: as `frechet_distance`.
    """
    a, b = _checked(x), _checked(y)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of {a.shape[1]} and of {b.shape[1]} dimensions")
    return float(_mean_off_diagonal(a) + _mean_off_diagonal(b) - 2 * np.mean(_kernel(a, b)))


def _kernel(a: Features, b: Features) -> Features:
    kernel: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def _mean_off_diagonal(a: Features) -> Any:
    kernel = _kernel(a, a)
    return (kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1))


def _checked(values: ArrayLike) -> Features:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise ValueError(f"features of shape {array.shape}, expected (n, d) with n of 2 or more")
    if not np.isfinite(array).all():
        raise ValueError("features that are not finite")
    return array
