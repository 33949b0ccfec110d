"""Fréchet distance of features, and its extrapolation to ever more pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from handful.errors import DataError
from handful.measure.given import Matrix, feature_sets
from handful.rng import numpy_rng

POINTS = 15
DIRECT = 512


def frechet_distance(*, real: Any, synthetic: Any) -> float:
    """Return the squared Fréchet distance of two Gaussians fitted to features; lower is closer.

    d = |mx - my|^2 + tr Sx + tr Sy - 2 tr (Sx Sy)^(1/2), with sample covariances (divisor N - 1). "FID" is this number
    on Inception-v3's 2048 pooled features alone.

    tr (Sx Sy)^(1/2) is the sum of the singular values of Fx Fy^T for any factors with Fx^T Fx = Sx and Fy^T Fy = Sy.
    With N <= D the factor is the centred features themselves, so the cost is that of an [N, M] matrix; with N > D it is
    the Cholesky factor.

    Args:
        real: [N, D], N >= 2.
        synthetic: [M, D], M >= 2.

    Returns:
        A number in [0, inf). Its bias grows as N falls: with N <= D the covariance has no full rank,
        and the number says how many pictures there are rather than how good they are. Compare it at equal N only, and
        use the kernel distance there; see `too_few`.

    Raises:
        DataError: widths that differ, numbers that are not finite, or fewer than two pictures on a side.

    Source: Heusel et al. (2017), "GANs trained by a two time-scale update rule", eq. 6; Dowson and Landau (1982).
    Checked against scipy.linalg.sqrtm (1e-6 relative), torchmetrics and torch-fidelity (1e-4 relative).
    """
    x, y = feature_sets("Frechet distance", 2, real=real, synthetic=synthetic)
    return _distance(x, y)


def frechet_infinity(*, real: Any, synthetic: Any, seed: int = 0) -> float:
    """Return the Fréchet distance extrapolated to infinitely many pictures; lower is closer.

    The distance falls nearly on a line in 1 / N. It is measured with 15 shares of both sets, from half of the pictures
    to all, and the line's value at 1 / N = 0 is returned. Both sides shrink together because here the real side is
    small too; with the real side always whole, as in the paper, its own bias would stay.

    Args:
        real: [N, D], N >= 2 (D + 1): half of the pictures must still give a covariance of full rank.
        synthetic: [M, D], M >= 2 (D + 1).
        seed: of the shares drawn; the number depends on it and on the order of the pictures a little.

    Returns:
        A number in (-inf, inf), about 0 for equal distributions.

    Raises:
        DataError: as `frechet_distance`, and "rank" where half of a set has no covariance of full rank.

    Source: Chong and Forsyth (2020), "Effectively unbiased FID and Inception Score", section 3. Checked against the
    closed form for Gaussians.
    """
    x, y = feature_sets("Frechet distance at infinity", 2, real=real, synthetic=synthetic)
    fault = too_few(len(x) // 2, len(y) // 2, x.shape[1])
    if fault:
        raise DataError(f"Frechet distance at infinity halves {len(x)} real and {len(y)} synthetic pictures: {fault}")
    order_x, order_y = (numpy_rng(seed, "frechet", side) for side in ("real", "synthetic"))
    shares = np.linspace(0.5, 1, POINTS)
    values = [
        _distance(
            x[order_x.permutation(len(x))[: round(share * len(x))]],
            y[order_y.permutation(len(y))[: round(share * len(y))]],
        )
        for share in shares
    ]
    return float(np.polynomial.Polynomial.fit(1 / shares, values, 1).convert().coef[0])


def too_few(num_real: int, num_synthetic: int, dimensions: int) -> str:
    """Return why the Fréchet distance means nothing at these sizes, or an empty string: "rank" where N <= D."""
    if min(num_real, num_synthetic) > dimensions:
        return ""
    return (
        f"rank: {min(num_real, num_synthetic)} pictures cannot fill a covariance of {dimensions} dimensions, which "
        f"needs at least {dimensions + 1}; use the kernel distance"
    )


def _distance(x: Matrix, y: Matrix) -> float:
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    traces = (x * x).sum() + (y * y).sum()
    value = ((mean_x - mean_y) ** 2).sum() + traces - 2 * _nuclear_norm(_factor(x) @ _factor(y).T)
    return float(max(0.0, value))  # below 0 by rounding alone


def _factor(x: Matrix) -> Matrix:
    """The smallest F with F^T F = x^T x."""
    if len(x) <= x.shape[1]:
        return x
    try:
        return np.asarray(np.linalg.cholesky(x.T @ x).T)
    except np.linalg.LinAlgError:  # a feature that never changes, or depends on others
        return np.asarray(np.linalg.qr(x, mode="r"))


def _nuclear_norm(g: Matrix) -> float:
    """Sum of the singular values; of a large matrix as roots of the eigenvalues of the smaller g g^T, three times as
    fast and good to 1e-7 of the largest one."""
    if min(g.shape) <= DIRECT:
        return float(np.linalg.svd(g, compute_uv=False).sum())
    gram = g @ g.T if g.shape[0] <= g.shape[1] else g.T @ g
    return float(np.sqrt(np.linalg.eigvalsh(gram).clip(0)).sum())
