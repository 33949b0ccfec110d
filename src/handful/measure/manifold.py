"""Fidelity and variety from nearest neighbours, and the Vendi score.

Every set is described by balls: around each picture, as far as its `neighbours`-th nearest other picture of the set. A
point belongs to a ball when its distance is *smaller* than the radius: a tie is outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from handful.errors import ConfigError, DataError
from handful.measure.given import Matrix, feature_sets

NEIGHBOURS = 5


def precision(*, real: Any, synthetic: Any, neighbours: int = NEIGHBOURS) -> float:
    """Return the share of synthetic pictures that lie in a ball of a real one; higher is more lifelike.

    Args:
        real: [N, D], N > neighbours.
        synthetic: [M, D], M > neighbours.
        neighbours: which neighbour sets the radius, at least 1.

    Returns:
        A share in [0, 1]. One outlier among the real pictures has a ball that lets much in; density is the sturdier.

    Raises:
        DataError: widths that differ, numbers that are not finite, or too few pictures.
        ConfigError: fewer than one neighbour.

    Source: Kynkäänniemi et al. (2019), "Improved precision and recall metric", eq. 2. Checked against prdc: equal.
    """
    x, y = _given("precision", neighbours, real, synthetic)
    return float((cdist(x, y) < _radii(x, neighbours)[:, None]).any(axis=0).mean())


def recall(*, real: Any, synthetic: Any, neighbours: int = NEIGHBOURS) -> float:
    """Return the share of real pictures that lie in a ball of a synthetic one; higher is more varied.

    Noise has wide balls and a high recall: read it beside precision.

    Args, Raises, Source: as `precision`. Range [0, 1]. Checked against prdc: equal.
    """
    x, y = _given("recall", neighbours, real, synthetic)
    return float((cdist(x, y) < _radii(y, neighbours)[None]).any(axis=1).mean())


def density(*, real: Any, synthetic: Any, neighbours: int = NEIGHBOURS) -> float:
    """Return in how many real balls a synthetic picture lies on average, over `neighbours`; higher is more lifelike.

    About 1 for real pictures, more for pictures that crowd where real ones are dense. Range [0, inf).

    Args, Raises: as `precision`.

    Source: Naeem et al. (2020), "Reliable fidelity and diversity metrics", eq. 3. Checked against prdc: equal.
    """
    x, y = _given("density", neighbours, real, synthetic)
    return float((cdist(x, y) < _radii(x, neighbours)[:, None]).sum(axis=0).mean() / neighbours)


def coverage(*, real: Any, synthetic: Any, neighbours: int = NEIGHBOURS) -> float:
    """Return the share of real pictures with a synthetic one in their ball; higher is more varied.

    About 1 - 2^-neighbours for equally many real pictures. Range [0, 1].

    Args, Raises: as `precision`.

    Source: Naeem et al. (2020), eq. 5. Checked against prdc: equal.
    """
    x, y = _given("coverage", neighbours, real, synthetic)
    return float((cdist(x, y).min(axis=1) < _radii(x, neighbours)).mean())


def vendi_score(*, synthetic: Any) -> float:
    """Return how many wholly different pictures would be as varied as these; higher is more varied.

    exp(entropy of the eigenvalues of K / M), K the cosine similarities of the features.

    Args:
        synthetic: [M, D], M >= 2, no row all zero.

    Returns:
        A number in [1, min(M, D)]: 1 where all are alike, M where all are at right angles. It knows no real pictures;
        read it beside that of as many real ones.

    Raises:
        DataError: fewer than two pictures, numbers that are not finite, or a row of zeros.

    Source: Friedman and Dieng (2023), "The Vendi Score", eq. 1. Checked against closed forms, 1e-9.
    """
    (y,) = feature_sets("Vendi score", 2, synthetic=synthetic)
    length = np.linalg.norm(y, axis=1, keepdims=True)
    if not length.all():
        raise DataError(f"Vendi score: {int((length == 0).sum())} of {len(y)} pictures have features that are all zero")
    y = y / length
    values = np.linalg.eigvalsh(y @ y.T if len(y) <= y.shape[1] else y.T @ y) / len(y)
    values = values[values > 0]
    return float(np.exp(max(0.0, -(values * np.log(values)).sum())))


def _given(measure: str, neighbours: int, real: Any, synthetic: Any) -> list[Matrix]:
    if neighbours < 1:
        raise ConfigError(f"{measure}: neighbours is at least 1, got {neighbours}")
    return feature_sets(measure, neighbours + 1, real=real, synthetic=synthetic)


def _radii(features: Matrix, neighbours: int) -> Matrix:
    """Distance from each picture to its `neighbours`-th nearest other one; the nearest of all is itself."""
    return np.partition(cdist(features, features), neighbours, axis=1)[:, neighbours]
