"""The stage `embedding`: pictures of the first repeat in one plane, real ones and every arm's synthetic ones together.

All features come from the extractor that the study measures with, so that all treatments share one space and one
layout. Nothing reads it but the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.images import LabeledImages
from handful.data.split import Split
from handful.measure.embedding import tsne
from handful.measure.extractors import extractor_of
from handful.rng import numpy_rng
from handful.study.store import Store
from handful.study.stored import get_images, get_synthetic, save_arrays

MOST = {"train": 450, "test": 300, "synthetic": 450}  # points; those of all arms together
SYNTHETIC = "synthetic "  # role of an input: 'synthetic 0', ...


@dataclass(frozen=True)
class Embedding:
    """N points.

    Args:
        points: float32 [N, 2].
        labels: int64 [N].
        origins: str [N]: `train`, `test`, or the key of the result that holds the synthetic pictures.
        rows: int64 [N], row of the source, or of that result.
        extractor: label of the features.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    origins: NDArray[np.str_]
    rows: NDArray[np.int64]
    extractor: str


def embed_pictures(
    spec: Mapping[str, Any],
    inputs: Mapping[str, str],
    store: Store,
    device: str,
    folder: Path,
    seen_at: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> dict[str, Any]:
    """Write the plane of a study into a folder, see `Embedding`.

    Args:
        seen_at: brings synthetic pictures to the view of the real ones.
    """
    images, split = get_images(store, inputs["images"]), Split(**store.arrays(inputs["split"]))
    keys = [key for role, key in sorted(inputs.items()) if role.startswith(SYNTHETIC)]
    chosen = {name: (images, _some(rows, MOST[name], spec["seed"], name)) for name, rows in _parts(split)}
    for key in keys:
        made = get_synthetic(store, key, images.class_names)
        rows = _some(np.arange(len(made)), MOST["synthetic"] // len(keys), spec["seed"], "synthetic")
        chosen[key] = made, rows
    extractor = extractor_of(spec["extractor"])
    features = [extractor.features(_pixels(part, rows, name, seen_at), device) for name, (part, rows) in chosen.items()]
    save_arrays(
        folder / "arrays.npz",
        points=tsne(np.concatenate([one for one in features if len(one)]), spec["seed"]),
        labels=np.concatenate([part.labels[rows] for part, rows in chosen.values()]),
        origins=np.concatenate([np.full(len(rows), name) for name, (_, rows) in chosen.items()]),
        rows=np.concatenate([rows for _, rows in chosen.values()]),
    )
    return {"extractor": extractor.label}


def get_embedding(store: Store, key: str) -> Embedding:
    """Return what a result of the stage `embedding` holds."""
    return Embedding(**store.arrays(key), extractor=str(store.record(key)["result"]["extractor"]))


def embedding_json(made: Embedding, arms: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the points as JSON values, column by column; `arms` names those of each result of synthetic pictures."""
    return {
        "extractor": made.extractor,
        "method": "t-SNE",
        "x": [round(float(x), 3) for x in made.points[:, 0]],
        "y": [round(float(y), 3) for y in made.points[:, 1]],
        "label": made.labels.tolist(),
        "row": made.rows.tolist(),
        "origin": [name if name in ("train", "test") else "synthetic" for name in made.origins.tolist()],
        "arms": [arms.get(name, []) for name in made.origins.tolist()],
    }


def _parts(split: Split) -> list[tuple[str, NDArray[np.int64]]]:
    return [("train", split.train), ("test", split.test)]


def _some(rows: NDArray[np.int64], most: int, seed: int, name: str) -> NDArray[np.int64]:
    return np.sort(numpy_rng(seed, "embedding", name).permutation(rows)[:most])


def _pixels(
    images: LabeledImages,
    rows: NDArray[np.int64],
    name: str,
    seen_at: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    pixels = np.asarray(images.pixels[rows])
    return pixels if name in ("train", "test") else seen_at(pixels)
