"""Predictions for new pictures, and models to take away."""

from __future__ import annotations

import csv
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from handful.classify.table import load_classifier
from handful.data.load import load_unlabeled
from handful.errors import StoreError
from handful.study.engines import pick_device
from handful.study.result import Result
from handful.study.store import Store


@dataclass(frozen=True)
class Predicted:
    """What was written: number of pictures, the arm (None for an exported model), files that could not be read."""

    num: int
    arm: str | None
    faults: tuple[tuple[str, str], ...]


def predict_files(
    model: Path,
    pictures: Path,
    output: Path,
    *,
    arm: str | None = None,
    skip_unreadable: bool = False,
    device: str = "auto",
) -> Predicted:
    """Write a CSV with one row per picture: file, predicted class, and the probability of every class.

    Args:
        model: a store (the mean of an arm's repeats predicts) or a folder that `export_classifier` wrote.
        pictures: a picture, a folder or an archive.
        output: CSV file.
        arm: an arm of a store; None: the best on validation.

    Raises:
        StoreError: there is no model.
        DataError: pictures that cannot be read, unless they are to be skipped.
    """
    where = pick_device(device)
    if (model / "store.json").exists():
        result = Result.of(Store.existing(model))
        arm = arm or result.best
        classifier = result.classifier(arm)
    elif arm is not None:
        raise StoreError(f"{model}: --arm is for a store; an exported model has one arm")
    else:
        classifier = load_classifier(model)  # type: ignore[assignment]
    ids, pixels, faults = load_unlabeled(
        pictures, classifier.recipe.view, classifier.channels, skip_unreadable=skip_unreadable
    )
    probs = classifier.predict_proba(pixels, device=where)
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class", *classifier.class_names])
        for name, row in zip(ids, probs, strict=True):
            writer.writerow([name, classifier.class_names[int(row.argmax())], *(f"{value:.6f}" for value in row)])
    os.replace(aside, output)
    return Predicted(len(ids), arm, tuple((path, why) for path, why in faults))


def export_classifier(result: Result, output: Path, arm: str | None = None) -> Path:
    """Write an arm's classifier, all its repeats as one, into a new folder and return the folder.

    Raises:
        StoreError: the folder is there and is not a model, or the arm has no finished classifier.
    """
    if output.exists() and not (output / "classifier.json").exists():
        raise StoreError(f"{output}: is there and is not a model; choose another folder")
    classifier = result.classifier(arm)
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        classifier.save(aside)
        shutil.rmtree(output, ignore_errors=True)
        os.rename(aside, output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return output
