"""An arm's features of the test pictures in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handful.classify.table import load_classifier
from handful.errors import DataError
from handful.reproduce.figures import scatter
from handful.study.result import Result
from handful.study.stored import get_images

MOST = 600


def feature_plane(result: Result, arm: str, device: str) -> str:
    """Return t-SNE of the features of the first repeat's classifier, of its test pictures; empty where it cannot be."""
    keys = result.keys(arm, "predictions")
    if not keys:
        return ""
    repeat = min(keys)
    key = result.keys(arm, "classifier")[repeat]
    record = result.store.record(key)
    split = result.store.arrays(record["inputs"]["split"])
    test = get_images(result.store, record["inputs"]["images"]).take(
        split["test"][:: max(1, len(split["test"]) // MOST)]
    )
    features = load_classifier(result.store.folder(key)).features(test, device=device)
    try:
        points = _tsne(features)
    except DataError:
        return ""
    name = f"tsne-{result.arms.index(arm)}"
    alt = f"{arm}: features of {len(test)} test pictures in the plane, each class named at the middle of its points."
    return scatter(name, alt, points, test.labels, result.class_names, title=arm)


def _tsne(features: NDArray[np.floating]) -> NDArray[np.floating]:
    from sklearn.manifold import TSNE

    if len(features) < 4 or not features.std(axis=0).any():
        raise DataError("nothing to lay out in the plane")
    perplexity = min(30.0, (len(features) - 1) / 3)
    made: NDArray[np.floating] = TSNE(init="pca", random_state=0, perplexity=perplexity, n_jobs=1).fit_transform(
        features
    )
    return made
