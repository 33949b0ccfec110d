"""Predictions for new pictures, and models to take away."""

from __future__ import annotations

import csv
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handful.classify.contract import Classifier
from handful.classify.ensemble import Ensemble
from handful.classify.predictions import Predictions
from handful.classify.table import load_classifier
from handful.data.export import LEFT_BY_SYSTEMS, replace_folder
from handful.data.files import shown
from handful.errors import ConfigError, StoreError
from handful.onnx_file import require_onnx, write_onnx
from handful.scores import SCORES
from handful.study.engines import pick_device
from handful.study.result import Result
from handful.study.store import Store
from handful.submission import submission_of

_EXPORTED = re.compile(r"model\.onnx|member-\d+|(member-\d+/)?classifier\.(json|safetensors)")


@dataclass(frozen=True)
class Predicted:
    """What was written.

    Args:
        num: rows.
        arm: of a store; None for an exported model.
        faults: (file, why) of each file that could not be read.
        ignored: files among the pictures that are none by their names.
        unasked: pictures that the sample of a submission does not ask for.
        expected: what score to expect, in sentences.
    """

    num: int
    arm: str | None
    faults: tuple[tuple[str, str], ...]
    unasked: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def predict_files(
    model: Path,
    pictures: Path,
    output: Path,
    *,
    arm: str | None = None,
    submission: str | None = None,
    sample: Path | None = None,
    labels: str | None = None,
    calibrated: bool = False,
    skip_unreadable: bool = False,
    trust_code: bool = False,
    device: str = "auto",
) -> Predicted:
    """Write a CSV with one row per picture: file, predicted class, and the probability of every class.

    Args:
        model: a store (the mean of an arm's repeats predicts) or a folder that `export_classifier` wrote.
        pictures: a picture, a folder or an archive.
        output: CSV file.
        arm: an arm of a store; None: the best on validation.
        calibrated: probabilities at the temperatures fitted on validation, see `Ensemble.at_temperatures`.
        trust_code: see `load_classifier`.
        submission, sample, labels: write what a competition asks for instead, see `submission_of`.

    Raises:
        StoreError: there is no model, or it is to be calibrated and has no temperatures.
        ConfigError: columns or labels that do not fit, or a place where no file can be written.
        DataError: pictures that cannot be read, unless they are to be skipped; ids of the sample without a picture.
    """
    where = pick_device(device)
    _check_output(output)
    classifier, name = _model(model, arm, trust_code)
    if calibrated:
        if not isinstance(classifier, Ensemble):
            raise StoreError(f"{model}: a single classifier has no temperature; a store, or what `export` wrote, may")
        classifier = classifier.at_temperatures()
    wanted = None
    if submission is not None or sample is not None or labels is not None:
        wanted = submission_of(submission, sample, labels, classifier.class_names)
    made = classifier.predict(pictures, skip_unreadable=skip_unreadable, device=where)
    unasked: tuple[str, ...] = ()
    if wanted is None:
        columns: Sequence[str] = ("file", "class", *made.class_names)
        rows = _rows(made)
    else:
        columns = wanted.columns
        rows, unasked = wanted.rows(made)
    _write(output, columns, rows)
    expected: tuple[str, ...] = ()
    if isinstance(classifier, Ensemble):
        expected = tuple(expected_scores(classifier.about, calibrated=classifier.calibrated))
    return Predicted(len(rows), name, made.faults, unasked, expected, made.ignored)


def expected_scores(about: dict[str, Any], *, calibrated: bool = False) -> list[str]:
    """Return what to expect of the study's score, and of accuracy, on new pictures, in sentences.

    Args:
        about: of the `Ensemble` of an arm; nothing is said of one without scores.
        calibrated: its probabilities are others than those that were scored: scores that look at them are left out.

    The interval is the study's: for new pictures like those of the test part and one new training run. The mean of all
    repeats, which predicts, has a score of its own only where the repeats share one test part, see `Result.ensemble`:
    else no real picture is new to all of its members.
    """
    scores, said = about.get("scores") or {}, []
    for name in dict.fromkeys([about.get("score", "balanced_accuracy"), "accuracy"]):
        if (score := scores.get(name)) is None or (calibrated and SCORES[name].of == "probabilities"):
            continue
        num, interval = len(score["values"]), score["interval"]
        by = "{:.3f} to {:.3f} (95 %)".format(*interval) if interval else "no interval from so few"
        said.append(
            f"expected {name.replace('_', ' ')} on pictures like the test part: {score['mean']:.3f}, {by}; from "
            f"{num} repeat{'s' if num > 1 else ''}, each scored alone on pictures new to it"
        )
    if (whole := about.get("ensemble")) is not None and not calibrated:
        low, high = whole["accuracy_interval"]
        said.append(
            f"the mean of the repeats, which predicts, has accuracy {whole['values']['accuracy']:.3f} on the test "
            f"part's {whole['num']} pictures, {low:.3f} to {high:.3f} (95 %) for new pictures"
        )
    if said and about.get("inflated"):
        said.append(f"these scores are {about['inflated']}")
    return said


def _model(model: Path, arm: str | None, trust_code: bool) -> tuple[Classifier, str | None]:
    """The classifier of a store's arm, with the arm's name, or an exported one."""
    if (model / "store.json").exists():
        result = Result.of(Store.existing(model))
        name = arm or result.best
        return result.classifier(name, trust_code=trust_code), name
    if arm is not None:
        raise StoreError(f"{model}: --arm is for a store; an exported model has one arm")
    return load_classifier(model, trust_code=trust_code), None


def _rows(made: Predictions) -> list[list[str]]:
    return [
        [file, name, *(f"{value:.6f}" for value in row)]
        for file, name, row in zip(made.ids, made.names, made.probs, strict=True)
    ]


def _check_output(output: Path) -> None:
    """Raise ConfigError where no CSV can be written: a folder is there, or a file where a folder is needed."""
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a folder; give a file, such as {output / 'predictions.csv'}")
    above = _above(output)
    if not above.is_dir():
        raise ConfigError(f"--output {output}: {above} is a file, not a folder; give a place in a folder")
    if not os.access(above, os.W_OK):
        raise ConfigError(f"--output {output}: {above.absolute()} may not be written to; give another place")


def _above(place: Path) -> Path:
    """What is there of the folders above a place, the nearest one."""
    return next((one for one in place.parents if one.exists()), Path())


def _write(output: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        os.replace(aside, output)
    finally:
        aside.unlink(missing_ok=True)


def export_classifier(
    result: Result, output: Path, arm: str | None = None, *, onnx: bool = False, trust_code: bool = False
) -> Path:
    """Write an arm's classifier, all its repeats as one, into a new folder and return it; an older model is replaced.

    Args:
        onnx: also as `model.onnx`, see `handful.onnx_file.write_onnx`.
        trust_code: see `load_classifier`.

    Raises:
        StoreError: the folder is there and is not a model or holds other files too, or the arm has no finished
            classifier.
        ConfigError: the packages of the extra `export` are missing.
    """
    _require_model(output)
    if onnx:
        require_onnx()
    classifier = result.classifier(arm, trust_code=trust_code)
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        classifier.save(aside)
        if onnx:
            write_onnx(classifier, aside / "model.onnx")
        replace_folder(output, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return output


def _require_model(output: Path) -> None:
    """Raise StoreError unless there is nothing at this place, or a model with nothing of the user's in it."""
    if not (above := _above(output)).is_dir():
        raise StoreError(f"{output}: {above} is a file, not a folder; choose another folder")
    if not output.is_symlink() and not output.exists():
        return
    if output.is_symlink() or not (output / "classifier.json").exists():
        raise StoreError(f"{output}: is there and is not a model; choose another folder")
    within = sorted(path.relative_to(output).as_posix() for path in output.rglob("*"))
    strangers = [name for name in within if not _EXPORTED.fullmatch(name) and Path(name).name not in LEFT_BY_SYSTEMS]
    if strangers:
        more = f" and {len(strangers) - 5} more" if len(strangers) > 5 else ""
        raise StoreError(
            f"{output}: holds {shown(', '.join(strangers[:5]))}{more} beside an older model; move that or choose "
            "another folder"
        )
