"""What the classifier of an arm is trained on: real pictures, synthetic ones and copies, put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from handful import rng
from handful.config import fields_of
from handful.data.augment import Augmentation, augmented_copies
from handful.data.balance import amounts, capped, copied_rows
from handful.data.images import LabeledImages
from handful.data.split import Split
from handful.study.store import Store
from handful.study.stored import get_images, get_synthetic


def fitted_parts(
    spec: Mapping[str, Any], inputs: Mapping[str, str], store: Store
) -> tuple[LabeledImages, LabeledImages]:
    """Return what the classifier of a job is trained on and what its validation part is."""
    images, split = get_images(store, inputs["images"]), Split(**store.arrays(inputs["split"]))
    train, val = images.take(split.train), images.take(split.val)
    synthetic = get_synthetic(store, inputs["synthetic"], images.class_names) if "synthetic" in inputs else None
    train = training_part(train, synthetic, spec.get("composition", {}), real=spec["real"])
    if spec["real"] and not train.origin.real.all() and spec["val_fraction"] is not None:
        # the flaw synthetic-in-val: everything in one pot, validation drawn from it
        return redrawn(pot_of(train, val), spec["val_fraction"], spec["order_seed"])
    return train, val


def training_part(
    train: LabeledImages, synthetic: LabeledImages | None, made: Mapping[str, Any], *, real: bool = True
) -> LabeledImages:
    """Return what a classifier is trained on: real pictures, then synthetic ones, then copies.

    Args:
        train: the real training part.
        synthetic: a generator's pictures; None: none.
        made: what `composed` returned, with a seed; {} changes nothing.
        real: False leaves the real pictures out.
    """
    if made.get("cap") is not None:
        train = train.take(capped(train.labels, train.counts, made["cap"], made["seed"]))
    parts = [train] if real else []
    added = [synthetic] if synthetic is not None else []
    if "augment" in made:
        augment = Augmentation(**fields_of(made["augment"]))
        if "amount" in made:
            rows = copied_rows(train.labels, amounts(train.counts, made["amount"]))
            added.append(augmented_copies(train, rows, augment, rng.derive(made["seed"], "fill")))
        if made["enlarge"]:
            whole = all_of([*parts, *(added if made["enlarge_synthetic"] else [])])
            rows = np.tile(np.arange(len(whole)), made["enlarge"])
            added.append(augmented_copies(whole, rows, augment, rng.derive(made["seed"], "enlarge")))
    return all_of(parts + added)


def all_of(parts: list[LabeledImages]) -> LabeledImages:
    """Return the pictures of one part after the other."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole


def of_real(images: LabeledImages) -> LabeledImages:
    """Return the real pictures among them."""
    return images.take(np.flatnonzero(images.origin.real))


def pot_of(train: LabeledImages, val: LabeledImages) -> LabeledImages:
    """Return real training pictures, validation, then the synthetic ones."""
    return of_real(train).joined(val).joined(train.take(np.flatnonzero(~train.origin.real)))


def redrawn(pot: LabeledImages, val_fraction: float, seed: int) -> tuple[LabeledImages, LabeledImages]:
    """Return training and validation drawn at random from one pot of real and synthetic pictures."""
    order = rng.numpy_rng(seed, "synthetic-in-val").permutation(len(pot))
    num = max(1, round(val_fraction * len(pot)))
    return pot.take(np.sort(order[num:])), pot.take(np.sort(order[:num]))
