"""A study that takes a second: three digits of 8 px, twenty pictures of each, a small network and a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from handful import CNN, VAE, Arm, Protocol, Study, Training, View

NAMES = ("zero", "one", "two")
TRAINING = Training(steps=4, eval_every=2, batch_size=8)
CLASSIFIER = CNN(network="base", view=View(size=8), training=TRAINING)
VAE_ARM = Arm("vae", generator=VAE(width=4, depth=2, latent=4, training=TRAINING), add=5)
STUDY_FILE = """
source = "pictures"
measures = "none"
mistakes = 0
arms = [
    "baseline",
    {name = "vae", add = 5, generator = {kind = "vae", width = 4, latent = 4, training = {steps = 4, eval_every = 2}}},
]

[protocol]
repeats = 2

[classifier]
kind = "cnn"
network = "base"
view = {size = 8}
training = {steps = 4, eval_every = 2, batch_size = 8}
"""


def digits(*per_class: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Pixels uint8 [N, 1, 8, 8], labels and names of the first digits, 20 of each of three unless told otherwise."""
    found, counts = load_digits(), per_class or (20, 20, 20)
    rows = np.concatenate([np.flatnonzero(found.target == label)[:num] for label, num in enumerate(counts)])
    return (
        (found.images[rows] * 15).astype(np.uint8)[:, None],
        found.target[rows].astype(np.int64),
        NAMES[: len(counts)],
    )


def write_pictures(folder: Path, *per_class: int) -> Path:
    """The same as PNG files in class folders."""
    pixels, labels, names = digits(*per_class)
    for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        place = folder / names[label] / f"{row:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0]).save(place)
    return folder


def write_study(folder: Path, text: str = STUDY_FILE) -> Path:
    """A study file beside its pictures."""
    write_pictures(folder / "pictures")
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder / "study.toml"


def tiny(*arms: Any, source: Any = None, **fields: Any) -> Study:
    """A study of these arms (baseline and a VAE unless told otherwise); what `Protocol` has goes to the protocol."""
    protocol = {"repeats": 2, **{name: fields.pop(name) for name in list(fields) if name in Protocol.model_fields}}
    fields = {"classifier": CLASSIFIER, "measures": "none", "mistakes": 0, **fields}
    return Study(source or digits(), arms=arms or ("baseline", VAE_ARM), protocol=Protocol(**protocol), **fields)


def results(store: Path) -> dict[str, bytes]:
    """Every file of every result, by its path inside the store."""
    files = sorted(path for path in (store / "results").rglob("*") if path.is_file())
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def stages(store: Path) -> dict[str, int]:
    """How many results of each stage a store has."""
    from handful.study.store import Store

    names = (
        "images",
        "split",
        "generator",
        "encoder",
        "synthetic",
        "classifier",
        "predictions",
        "reconstruction",
        "measures",
        "explanations",
        "embedding",
    )
    return {name: num for name in names if (num := len(list(Store(store).records(name))))}
