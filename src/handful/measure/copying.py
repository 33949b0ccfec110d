"""Are generated pictures copies of training pictures? Distances to the training part, and what they say.

`real` is always the part that the generator was trained on, `held_out` are real pictures that it never saw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from handful.errors import ConfigError, DataError
from handful.measure.given import Matrix, feature_sets
from handful.rng import derive

RATIO = 1 / 3
SMALLEST_CELL = 20


def nearest_ratios(*, real: Any, synthetic: Any) -> Matrix:
    """Return [M], distance to the nearest training picture over that to the second nearest; a copy is near 0.

    Training pictures with equal features count once, so that a copy of a picture that is there twice has a ratio of 0
    and not 1.

    Args:
        real: [N, D] features of the training part, at least two different rows.
        synthetic: [M, D], M >= 1.

    Raises:
        DataError: widths that differ, numbers that are not finite, or fewer than two different training pictures.
    """
    x, y = feature_sets("nearest-picture ratio", 1, real=real, synthetic=synthetic)
    x = np.unique(x, axis=0)
    if len(x) < 2:
        raise DataError(f"nearest-picture ratio needs two different training pictures, got {len(x)}")
    near = np.partition(cdist(y, x), 1, axis=1)
    return np.asarray(near[:, 0] / near[:, 1])


def near_copies(*, real: Any, synthetic: Any) -> float:
    """Return the share of synthetic pictures at less than a third of the distance to the second nearest training one.

    Args, Raises: as `nearest_ratios`, and at least two pictures in each set.

    Returns:
        A share in [0, 1], 0 is wanted. Its p-value is Fisher's exact test against held-out pictures, see `audit`.

    Source: Yoon, Choi, Kwon and Ryu (2023), "Diffusion probabilistic models generalize when they fail to memorize",
    who call a sample with a ratio below 1/3 memorised. Checked against a search over all pairs: equal.
    """
    x, y = feature_sets("near copies", 2, real=real, synthetic=synthetic)
    return float((nearest_ratios(real=x, synthetic=y) < RATIO).mean())


def data_copying(*, real: Any, synthetic: Any, held_out: Any, cells: int = 1, seed: int = 0) -> float:
    """Return C_T: whether synthetic pictures are nearer to the training part than held-out real ones; below -3 copies.

    In a cell, Z = (U - m n / 2) / sqrt(m n (m + n + 1) / 12), where U counts the pairs of a synthetic and a held-out
    picture of which the synthetic one is farther from its nearest training picture (ties count half). C_T is the mean
    of Z over cells weighted by their share of held-out pictures. Cells are k-means of the training part; a cell with
    under 20 synthetic or held-out pictures, or no training picture, is left out. One cell, the default, is what a class
    of tens of pictures allows.

    Args:
        real: [L, D] features of the training part.
        synthetic: [M, D].
        held_out: [N, D] features of unseen real pictures.
        cells: how many, at least 1.
        seed: of k-means; without effect on one cell.

    Returns:
        A standard score: about 0 for new real pictures, far below for copies, far above for pictures unlike the
        training part. -3 has a one-sided p of about 0.001 only in one cell; `audit` gives an exact one.

    Raises:
        DataError: widths that differ, numbers that are not finite, an empty set, or no cell that is large enough.
        ConfigError: fewer than one cell.

    Source: Meehan, Chaudhuri and Dasgupta (2020), "A non-parametric test to detect data-copying in generative models",
    sections 3.1 and 3.2. Checked against the formula worked by hand and scipy's U.
    """
    if cells < 1:
        raise ConfigError(f"data copying: cells is at least 1, got {cells}")
    x, y, z = feature_sets("data copying", 1, real=real, synthetic=synthetic, held_out=held_out)
    if cells == 1:
        return _standard_score(_nearest(y, x), _nearest(z, x))
    from sklearn.cluster import KMeans

    means = KMeans(cells, n_init=3, random_state=derive(seed, "data copying") % 2**32).fit(x)
    in_x, in_y, in_z = (means.predict(features) for features in (x, y, z))
    kept = [
        (int((in_z == cell).sum()), _standard_score(_nearest(y[in_y == cell], near), _nearest(z[in_z == cell], near)))
        for cell in range(cells)
        if len(near := x[in_x == cell]) and min((in_y == cell).sum(), (in_z == cell).sum()) >= SMALLEST_CELL
    ]
    if not kept:
        raise DataError(
            f"data copying: none of {cells} cells has {SMALLEST_CELL} of {len(y)} synthetic and of {len(z)} held-out "
            "pictures; ask for fewer cells"
        )
    weights, scores = zip(*kept, strict=True)
    return float(np.average(scores, weights=weights))


def authentic(*, real: Any, synthetic: Any) -> NDArray[np.bool_]:
    """Return [M], whether each synthetic picture is farther from its nearest training picture than that one is from
    the training picture nearest to it.

    Args:
        real: [N, D] features of the training part, N >= 2.
        synthetic: [M, D], M >= 1.

    Raises:
        DataError: widths that differ, numbers that are not finite, or fewer than two training pictures.
    """
    x, y = feature_sets("authenticity", 1, real=real, synthetic=synthetic)
    if len(x) < 2:
        raise DataError(f"authenticity needs two training pictures, got {len(x)}")
    pairs = cdist(y, x)
    return np.asarray(pairs.min(axis=1) > leave_one_out(real=x)[pairs.argmin(axis=1)])


def authenticity(*, real: Any, synthetic: Any) -> float:
    """Return the share of synthetic pictures that are `authentic`; higher is newer, 0 for exact copies.

    Args, Raises: as `authentic`, and at least two pictures in each set.

    Returns:
        A share in [0, 1]; about one half for unseen real pictures.

    Source: Alaa, van Breugel, Saveliev and van der Schaar (2022), "How faithful is your synthetic data?", section 4.
    Checked against a search over all pairs: equal.
    """
    x, y = feature_sets("authenticity", 2, real=real, synthetic=synthetic)
    return float(authentic(real=x, synthetic=y).mean())


def novelty(*, real: Any, synthetic: Any, held_out: Any) -> float:
    """Return the median distance to the training part, synthetic over held-out; 1 is as new as unseen real pictures.

    Args:
        real: [L, D] features of the training part.
        synthetic: [M, D].
        held_out: [N, D], not all of them equal to training pictures.

    Returns:
        A ratio in [0, inf): 0 for exact copies, far above 1 for noise. Its p-value is that of `data_copying`.

    Raises:
        DataError: widths that differ, numbers that are not finite, an empty set, or a held-out median of 0.

    Source: the distances of Meehan et al. (2020), as a ratio. Checked against a closed form on a line: equal.
    """
    x, y, z = feature_sets("novelty", 1, real=real, synthetic=synthetic, held_out=held_out)
    usual = np.median(_nearest(z, x))
    if usual == 0:
        raise DataError("novelty: at least half of the held-out pictures are training pictures; hold out other ones")
    return float(np.median(_nearest(y, x)) / usual)


def exact_copies(*, real: Any, synthetic: Any) -> float:
    """Return the share of synthetic pictures that are bit for bit a training picture; 0 is wanted.

    Args:
        real: uint8 [N, C, H, W], N >= 1.
        synthetic: uint8 [M, C, H, W], M >= 1.

    Returns:
        A share in [0, 1].

    Raises:
        DataError: not two uint8 sets of one shape, or an empty one.

    Source: equality. Checked against comparing all pairs: equal.
    """
    x, y = np.asarray(real), np.asarray(synthetic)
    if x.ndim != 4 or y.ndim != 4 or x.shape[1:] != y.shape[1:] or x.dtype != np.uint8 or y.dtype != np.uint8:
        raise DataError(f"exact copies: two uint8 sets [N, C, H, W] of one shape, got {list(x.shape)}, {list(y.shape)}")
    if not len(x) or not len(y):
        raise DataError(f"exact copies needs at least 1 pictures in each set, got {len(x)} real and {len(y)} synthetic")
    known = {picture.tobytes() for picture in x}
    return sum(picture.tobytes() in known for picture in y) / len(y)


def leave_one_out(*, real: Any) -> Matrix:
    """Return [N], the distance of each training picture to the nearest other one: what is usual among real pictures.

    Args:
        real: [N, D] features, N >= 2.

    Raises:
        DataError: fewer than two pictures, or numbers that are not finite.
    """
    (x,) = feature_sets("leave-one-out distances", 2, real=real)
    pairs = cdist(x, x)
    np.fill_diagonal(pairs, np.inf)
    return np.asarray(pairs.min(axis=1))


def _nearest(features: Matrix, train: Matrix) -> Matrix:
    return np.asarray(cdist(features, train).min(axis=1))


def _standard_score(synthetic: Matrix, held_out: Matrix) -> float:
    m, n = len(synthetic), len(held_out)
    farther = synthetic[:, None] - held_out[None]
    u = (farther > 0).sum() + (farther == 0).sum() / 2
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))
