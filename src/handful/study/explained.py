"""The stage `explanations`: an arm's most confident mistakes, where its network looked, and what is most like them.

Nothing reads them but the report. Near is near in the classifier's own features, by cosine distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.classify.contract import Classifier
from handful.classify.explain import heat_of
from handful.data.images import LabeledImages
from handful.errors import ConfigError, DataError
from handful.measure.embedding import tsne
from handful.rng import numpy_rng
from handful.study.store import Store
from handful.study.stored import save_arrays

NEAREST_REAL, NEAREST_MADE = 3, 2
MOST_SEARCHED = 4000  # training pictures, real and made each, among which the nearest are looked for
MOST_DRAWN = {"train": 120, "test": 100, "made": 80}  # points of the classifier's own map
PARTS = ("train", "test", "made")


@dataclass(frozen=True)
class Explained:
    """What the stage wrote, M mistakes, most confident first.

    Args:
        rows, labels, predicted: int64 [M], rows of the source, true and predicted classes.
        confidence, true_probability: float32 [M], probability of the predicted and of the true class.
        heat: uint8 [M, H, W], Grad-CAM of the predicted class, 255 where it looked most; M is 0 where there is none.
        real_rows, real_distance: [M, 3], the nearest real training pictures, nearest first.
        made_pixels, made_labels, made_distance: [M, 2, ...], the same of made ones (synthetic pictures and copies).
        map_points, map_labels, map_parts: float32 [P, 2], int64 [P], uint8 [P] in PARTS: t-SNE of its own features.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]
    true_probability: NDArray[np.float32]
    heat: NDArray[np.uint8]
    real_rows: NDArray[np.int64]
    real_distance: NDArray[np.float32]
    made_pixels: NDArray[np.uint8]
    made_labels: NDArray[np.int64]
    made_distance: NDArray[np.float32]
    map_points: NDArray[np.float32]
    map_labels: NDArray[np.int64]
    map_parts: NDArray[np.uint8]


def explain(
    classifier: Classifier,
    train: LabeledImages,
    test: LabeledImages,
    probs: NDArray[np.float32],
    *,
    most: int,
    seed: int,
    device: str,
    folder: Path,
) -> dict[str, Any]:
    """Write what the stage found into a folder, see `Explained`, and return what its record says.

    Args:
        train: what the classifier was trained on, made pictures included.
        test: pictures whose probabilities are `probs`.
        most: mistakes kept.
    """
    wrong = mistaken(probs, test.labels)
    kept = test.take(wrong[:most])
    predicted = probs[wrong[:most]].argmax(axis=1).astype(np.int64)
    stream = numpy_rng(seed, "explanations")
    real = _some(train, np.flatnonzero(train.origin.real), MOST_SEARCHED, stream)
    made = _some(train, np.flatnonzero(~train.origin.real), MOST_SEARCHED, stream)
    features = {"train": classifier.features(real, device=device), "made": classifier.features(made, device=device)}
    mine = classifier.features(kept, device=device)
    real_place, real_distance = nearest(mine, features["train"], NEAREST_REAL)
    made_place, made_distance = nearest(mine, features["made"], NEAREST_MADE)
    heat, fault = _heat(classifier, kept, predicted, device)
    drawn = test.take(np.sort(stream.permutation(len(test))[: MOST_DRAWN["test"]]))
    features["test"] = classifier.features(drawn, device=device)
    save_arrays(
        folder / "arrays.npz",
        rows=kept.origin.parent,
        labels=kept.labels,
        predicted=predicted,
        confidence=probs[wrong[:most]].max(axis=1),
        true_probability=probs[wrong[:most], kept.labels],
        heat=heat,
        real_rows=real.origin.parent[real_place],
        real_distance=real_distance,
        made_pixels=made.pixels[made_place],
        made_labels=made.labels[made_place],
        made_distance=made_distance,
        **own_map(features, {"train": real, "test": drawn, "made": made}, seed),
    )
    searched = {"real": len(real), "made": len(made)}
    return {"mistakes": len(wrong), "test": len(test), "searched": searched, "no_heat": fault}


def get_explained(store: Store, key: str) -> Explained:
    """Return what a result of the stage `explanations` holds."""
    return Explained(**store.arrays(key))


def mistaken(probs: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return positions int64 of wrongly predicted pictures, the most confident first, equal ones in their order."""
    wrong = np.flatnonzero(probs.argmax(axis=1) != labels)
    return wrong[np.argsort(-probs[wrong].max(axis=1, initial=0.0), kind="stable")]


def nearest(
    mine: NDArray[np.floating], others: NDArray[np.floating], num: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return places int64 [M, n] in `others` of the n = min(num, N) nearest, nearest first, and their cosine distances.

    1 - a.b / (|a| |b|), in [0, 2]; a vector of zeros is at 1 from everything.
    """
    num = min(num, len(others))
    if not num or not len(mine):
        return np.zeros((len(mine), num), dtype=np.int64), np.zeros((len(mine), num), dtype=np.float32)
    distance = np.clip(1 - _unit(mine) @ _unit(others).T, 0, 2)
    place = np.argsort(distance, axis=1, kind="stable")[:, :num]
    return place.astype(np.int64), np.take_along_axis(distance, place, axis=1).astype(np.float32)


def _unit(features: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = features.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def mistake_rows(
    found: Explained, labels: NDArray[np.int64], class_names: Sequence[str], names: Sequence[str] | None, repeat: int
) -> list[dict[str, Any]]:
    """Return one row per mistake as JSON values.

    Args:
        labels: int64, the classes of all pictures of the source.
        names: of all pictures of the source; None where they are not kept.
    """

    def picture(row: int) -> dict[str, Any]:
        return {"row": row, "picture": names[row] if names is not None else None}

    def near(place: int) -> list[dict[str, Any]]:
        real = [
            {**picture(row), "class": class_names[labels[row]], "distance": distance, "real": True}
            for row, distance in zip(found.real_rows[place].tolist(), found.real_distance[place].tolist(), strict=True)
        ]
        made = zip(found.made_labels[place].tolist(), found.made_distance[place].tolist(), strict=True)
        return real + [
            {"row": None, "picture": None, "class": class_names[label], "distance": distance, "real": False}
            for label, distance in made
        ]

    return [
        {
            "repeat": repeat,
            **picture(row),
            "class": class_names[found.labels[place]],
            "predicted": class_names[found.predicted[place]],
            "confidence": float(found.confidence[place]),
            "true_probability": float(found.true_probability[place]),
            "nearest": near(place),
        }
        for place, row in enumerate(found.rows.tolist())
    ]


def own_map(
    features: dict[str, NDArray[np.float32]], pictures: dict[str, LabeledImages], seed: int
) -> dict[str, NDArray[Any]]:
    """Return `map_points`, `map_labels` and `map_parts` of some pictures of each part; none where there are too few."""
    stream, rows = numpy_rng(seed, "map"), {}
    for name in PARTS:
        rows[name] = np.sort(stream.permutation(len(pictures[name]))[: MOST_DRAWN[name]])
    chosen = [features[name][rows[name]] for name in PARTS if len(rows[name])]
    try:
        points = tsne(np.concatenate(chosen), seed)
    except DataError:
        rows, points = {name: rows[name][:0] for name in PARTS}, np.zeros((0, 2), dtype=np.float32)
    labels = [pictures[name].labels[rows[name]] for name in PARTS]
    parts = [np.full(len(rows[name]), place, dtype=np.uint8) for place, name in enumerate(PARTS)]
    return {"map_points": points, "map_labels": np.concatenate(labels), "map_parts": np.concatenate(parts)}


def _some(images: LabeledImages, rows: NDArray[np.int64], most: int, stream: np.random.Generator) -> LabeledImages:
    return images.take(rows if len(rows) <= most else np.sort(stream.choice(rows, most, replace=False)))


def _heat(
    classifier: Classifier, images: LabeledImages, classes: NDArray[np.int64], device: str
) -> tuple[NDArray[np.uint8], str]:
    """Heat uint8 [M, H, W], and why there is none: some networks have no places to look at."""
    try:
        heat = heat_of(classifier, images.pixels, classes, device=device)
    except ConfigError as error:
        return np.zeros((0, *images.pixels.shape[2:]), dtype=np.uint8), str(error)
    return (255 * heat).round().astype(np.uint8), ""
