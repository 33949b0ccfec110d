"""What stages write into a store and read from it: pictures, splits, synthetic pictures, ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from handful.config import digest_of
from handful.data.images import LabeledImages, Origin, View
from handful.data.split import Split
from handful.generate.ledger import Ledger
from handful.study.store import Store


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays into a .npz."""
    np.savez(path, **arrays)


def images_key(data: str, view: View) -> str:
    return digest_of({"stage": "images", "data": data, "view": view.describe()})


def put_images(store: Store, images: LabeledImages, data: str, view: View) -> str:
    """Put the pictures of a source in one view into the store, and return their key."""
    key = images_key(data, view)

    def write(folder: Path) -> None:
        np.save(folder / "pixels.npy", images.pixels)
        save_arrays(folder / "arrays.npz", labels=images.labels, **images.origin.to_arrays())

    if not store.has(key):
        record = {"stage": "images", "spec": view.to_json(), "class_names": list(images.class_names)}
        store.put(key, record, write)
    return key


def get_images(store: Store, key: str) -> LabeledImages:
    """Return pictures from the store, memory-mapped."""
    arrays = store.arrays(key)
    labels = arrays.pop("labels")
    pixels = np.load(store.folder(key) / "pixels.npy", mmap_mode="r", allow_pickle=False)
    return LabeledImages(pixels, labels, tuple(store.record(key)["class_names"]), Origin(**arrays))


def put_split(store: Store, split: Split, data: str) -> str:
    """Put a split into the store, and return its key."""
    key = digest_of({"stage": "split", "data": data, "split": split.digest})
    if not store.has(key):
        store.put(key, {"stage": "split"}, lambda folder: save_arrays(folder / "arrays.npz", **split.to_arrays()))
    return key


def get_ledger(store: Store, key: str) -> Ledger:
    """Return the ledger of a result of the stage `synthetic`."""
    return Ledger.of_arrays(store.arrays(key, "ledger"))


def get_candidates(store: Store, key: str) -> LabeledImages:
    """Return every candidate of a result of the stage `synthetic`, in the generator's view and its ledger's order."""
    arrays = store.arrays(key, "candidates")
    class_names = tuple(store.record(store.record(key)["inputs"]["images"])["class_names"])
    return LabeledImages(arrays.pop("pixels"), arrays.pop("labels"), class_names, Origin(**arrays))


def get_synthetic(store: Store, key: str, class_names: tuple[str, ...]) -> LabeledImages:
    """Return the synthetic pictures of a result."""
    arrays = store.arrays(key)
    return LabeledImages(arrays.pop("pixels"), arrays.pop("labels"), class_names, Origin(**arrays))
