"""Fréchet distance at 2048 dimensions: handful and an implementation on scipy.linalg.sqrtm, in one run.

    python benchmarks/frechet.py [--rounds 3] [--real 3000] [--synthetic 2500]

With more pictures than dimensions, and with 78 against 100, where scipy's root of a singular product is regularised the
usual way (1e-6 on the diagonals). Prints the seconds, the ratio of the medians and the relative difference.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from handful.measure.frechet import frechet_distance

DIMENSIONS = 2048
Matrix = NDArray[np.float64]


def features(num: int, seed: int) -> Matrix:
    """Return [num, DIMENSIONS], correlated and not negative, as pooled activations are."""
    rng = np.random.default_rng(seed)
    mixed = np.random.default_rng(0).normal(size=(DIMENSIONS, DIMENSIONS)) * np.exp(-np.arange(DIMENSIONS) / 800) / 30
    return np.maximum(rng.normal(0.02 * seed, 1, (num, DIMENSIONS)) @ mixed.T + 0.3, 0)


def by_root(real: Matrix, synthetic: Matrix) -> float:
    a, b = np.cov(real, rowvar=False), np.cov(synthetic, rowvar=False)
    if min(len(real), len(synthetic)) <= DIMENSIONS:
        a, b = (one + 1e-6 * np.eye(DIMENSIONS) for one in (a, b))
    means = ((real.mean(axis=0) - synthetic.mean(axis=0)) ** 2).sum()
    return float(means + np.trace(a) + np.trace(b) - 2 * np.trace(scipy.linalg.sqrtm(a @ b)).real)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--real", type=int, default=3000)
    parser.add_argument("--synthetic", type=int, default=2500)
    given = parser.parse_args()
    for n, m in ((given.real, given.synthetic), (78, 100)):
        x, y = features(n, 1), features(m, 2)
        taken: list[tuple[float, float]] = []
        for _ in range(given.rounds):
            start = time.perf_counter()
            expected = by_root(x, y)
            between = time.perf_counter()
            value = frechet_distance(real=x, synthetic=y)
            taken.append((between - start, time.perf_counter() - between))
        slow, fast = (median(column) for column in zip(*taken, strict=True))
        ratios = [one / other for one, other in taken]
        print(
            f"{n} x {m}: sqrtm {slow:.2f} s, handful {fast:.3f} s, ratio {slow / fast:.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f}), relative difference {abs(value / expected - 1):.1e}"
        )


if __name__ == "__main__":
    main()
