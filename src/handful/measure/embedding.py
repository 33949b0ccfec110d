"""Features drawn in the plane: t-SNE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handful.errors import DataError

PERPLEXITY = 30.0


def tsne(features: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """Return float32 [N, 2], the pictures in the plane so that near neighbours stay near; far distances mean nothing.

    The same features and seed give the same places, on any number of cores. Perplexity 30, or a third of the other
    pictures where there are fewer than 91; started from the first two principal components.

    Args:
        features: float [N, D], N at least 4.

    Raises:
        DataError: fewer than four pictures, or all features equal.

    Source: van der Maaten and Hinton 2008; computed by scikit-learn's `TSNE` (Barnes-Hut).
    """
    if len(features) < 4:
        raise DataError(f"{len(features)} pictures cannot be laid out in the plane; four is the least")
    spread = features.std(axis=0)
    if not spread.any():
        raise DataError("all features are equal: there is nothing to lay out in the plane")
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # of scikit-learn: sums in another order would end elsewhere

    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    with threadpool_limits(1):
        made = TSNE(init="pca", random_state=seed % 2**32, perplexity=perplexity, n_jobs=1).fit_transform(features)
    return np.asarray(made, dtype=np.float32)
