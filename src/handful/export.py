"""The pictures an arm's classifier was trained on, to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.export import write_pictures
from handful.data.images import LabeledImages
from handful.errors import StoreError
from handful.study.parts import fitted_parts
from handful.study.result import Result
from handful.study.stored import get_images

WHILE_TRAINING = ("balance", "augment", "mix")


def export_pictures(result: Result, output: Path, arm: str | None = None, *, repeat: int = 0) -> Path:
    """Write what an arm's classifier was trained on in one repeat into a new folder and return the folder.

    `original/`, `generated/` and `balanced/` are those of `write_pictures`; `balanced/` is the training set itself.
    Originals are named by the file they came from, or by their row where the store was written without names.

    Args:
        arm: by default the best on validation.
        repeat: counts from 0.

    Raises:
        StoreError: the arm has no finished classifier in this repeat, or the folder is there and is not an export.
    """
    name = arm or result.best
    keys = result.keys(name, "classifier")
    if repeat not in keys:
        finished = ", ".join(str(one) for one in sorted(keys))
        raise StoreError(
            f"arm {name!r} has no finished classifier in repeat {repeat} "
            f"(finished: {finished or 'none; `handful run` computes what is missing'})"
        )
    record = result.store.record(keys[repeat])
    original, trained = _trained_on(result, record)
    if trained.counts.tolist() != record["result"]["train"]:
        raise StoreError(
            f"arm {name!r}, repeat {repeat}: its classifier was trained on {record['result']['train']} pictures per "
            f"class, found are {trained.counts.tolist()}; the store was written by another version, run the study again"
        )
    is_real = trained.origin.real
    synthetic = None if is_real.all() else trained.take(np.flatnonzero(~is_real))
    kept = np.isin(original.origin.parent, trained.origin.parent[is_real])
    names = result.store.ids(result.page["source"]["digest"])
    ids = None if names is None else [names[row] for row in original.origin.parent.tolist()]
    card = _about(result, name, repeat, record) | {"notes": _notes(name, record["spec"], synthetic, kept)}
    return write_pictures(original, synthetic, output, card=card, ids=ids, kept=kept)


def _trained_on(result: Result, record: dict[str, Any]) -> tuple[LabeledImages, LabeledImages]:
    """The real pictures there were, and what the classifier of this record was trained on."""
    store, inputs = result.store, record["inputs"]
    trained, _ = fitted_parts(record["spec"], inputs, store)
    if _redrawn(record["spec"], trained):
        return trained.take(np.flatnonzero(trained.origin.real)), trained
    return get_images(store, inputs["images"]).take(store.arrays(inputs["split"])["train"]), trained


def _redrawn(spec: dict[str, Any], synthetic: LabeledImages | None) -> bool:
    """Whether validation was drawn from real and synthetic pictures together, a flaw."""
    return bool(spec["real"] and spec["val_fraction"] is not None and synthetic and not synthetic.origin.real.all())


def _about(result: Result, name: str, repeat: int, record: dict[str, Any]) -> dict[str, Any]:
    """What the card says of an export."""
    arm, spec, page = result.study.arm(name), record["spec"], result.page
    split = next(one for one in page["splits"] if one["repeat"] == repeat and one["arm"] in ("", name))
    generator = result.keys(name, "generator").get(repeat)
    view = spec["recipe"]["view"]
    return {
        "arm": name,
        "repeat": repeat,
        "study": page["digest"],
        "source": page["source"]["name"],
        "data": page["source"]["digest"],
        "split": split["digest"],
        "size": view["size"],
        "resize": view["resize"],
        "generator": result.store.record(generator)["spec"]["recipe"] if generator else None,
        "amount": arm.amount if generator else None,
        "selection": arm.selection.to_json() if generator else None,
        "composition": spec.get("composition"),
        "while training": {key: spec["recipe"].get(key) for key in WHILE_TRAINING},
        "flaws": list(result.protocol.all_flaws),
        "inflated": result.inflated,
    }


def _notes(name: str, spec: dict[str, Any], synthetic: LabeledImages | None, kept: NDArray[np.bool_]) -> list[str]:
    if _redrawn(spec, synthetic):
        parts = (
            "Validation was drawn from the real and the synthetic pictures together, so real pictures of the "
            "validation part are here; pictures of the test part are not."
        )
    else:
        parts = "Only pictures of the training part of one repeat are here, none of validation or test."
    notes = [parts]
    if synthetic is None and kept.all():
        notes.append(f"The arm {name} adds no pictures: its balanced set is the original set.")
    elif not kept.any():
        notes.append(f"The arm {name} trains on synthetic pictures alone: its balanced set has no real ones.")
    elif not kept.all():
        notes.append(f"The arm {name} leaves {int((~kept).sum())} real pictures out: they are in `original/` alone.")
    if "augment" in (spec.get("composition") or {}):
        notes.append("Copies that augmentation made before training are among the synthetic pictures.")
    if any(spec["recipe"].get(key) not in (None, "none") for key in WHILE_TRAINING):
        notes.append("Weights, repeated draws and random changes while training are not in these files.")
    return notes
