"""What the stage `measures` found, as rows: means over repeats, audits, and measures beside the change in recall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.measure.metrics import METRICS
from handful.measure.scale import Scaled
from handful.scores import per_class
from handful.study.measured import MEASURES, MOMENTS

MARKS = ("value", "floor", "copies", "noise")
Measured = Mapping[int, Mapping[str, Any]]  # by repeat, see `measured.get_measures`
Predictions = Mapping[int, Mapping[str, NDArray[Any]]]  # by repeat, see `Result.predictions`


def mean_rows(found: Measured, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return means over repeats, JSON values: first pooled, then by class, each before and after the selection.

    A row has `class` (None: pooled), `moment`, `measure`, `extractor` (empty for a measure of pictures), `value` on all
    pictures with its `sd` and `num_real` and `num_synthetic` (means, rounded), `scaled`: value, floor, copies and noise
    at one size with the `num` of pictures and whether an exact copy does as well as a real picture (`blind`), or None;
    the `repeats` that have a value, and the `fault` where none has.
    """
    grouped: dict[tuple[int | None, str, str], list[Mapping[str, Any]]] = {}
    for repeat in sorted(found):
        for row in found[repeat]["rows"]:
            grouped.setdefault((row["class"], row["moment"], row["measure"]), []).append(row)
    label_of = {made["extractor"] for made in found.values()}
    extractor = label_of.pop() if len(label_of) == 1 else ""
    labels = [None, *range(len(class_names))]
    order = [(label, moment, name) for label in labels for moment in MOMENTS for name in MEASURES]
    return [
        {
            "class": None if key[0] is None else class_names[key[0]],
            "moment": key[1],
            "measure": key[2],
            "extractor": extractor if METRICS[key[2]].needs == "features" else "",
            **_mean(grouped[key]),
        }
        for key in order
        if key in grouped
    ]


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of several repeats."""
    values = [row["value"] for row in rows if row["value"] is not None]
    scaled = [row["scaled"] for row in rows if row["scaled"] is not None and None not in map(row["scaled"].get, MARKS)]
    return {
        "value": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "num_real": round(float(np.mean([row["num_real"] for row in rows]))),
        "num_synthetic": round(float(np.mean([row["num_synthetic"] for row in rows]))),
        "scaled": _mean_scaled(rows[0]["measure"], scaled) if scaled else None,
        "repeats": len(values),
        "fault": "" if values else rows[0]["fault"],
    }


def _mean_scaled(measure: str, scaled: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    marks = {mark: float(np.mean([one[mark] for one in scaled])) for mark in MARKS}
    num = round(float(np.mean([one["num_synthetic"] for one in scaled])))
    whole = Scaled(name=measure, **marks, num_real=num, num_synthetic=num, draws=1, fault="")
    return {**marks, "num": num, "repeats": len(scaled), "blind": whole.beyond_copies}


def audit_rows(found: Measured, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the copying audit says of the kept pictures in every repeat, JSON values; `class` None: pooled."""
    return [
        {**row, "class": None if row["class"] is None else class_names[row["class"]], "repeat": repeat}
        for repeat in sorted(found)
        for row in found[repeat]["audits"]
        if row["moment"] == "after"
    ]


def change_rows(
    found: Measured, mine: Predictions, reference: Predictions, num_classes: int
) -> Iterator[dict[str, Any]]:
    """Yield, per class and repeat of one arm, the measures after selection and the change in recall to the reference.

    Classes without synthetic or without test pictures, and repeats that one of the two arms lacks, are left out.
    """
    for repeat in sorted(set(found) & set(mine) & set(reference)):
        recall, base, support = (
            per_class(one[repeat]["labels"], one[repeat]["probs"].argmax(axis=1), num_classes)[key]
            for one, key in ((mine, "recall"), (reference, "recall"), (mine, "support"))
        )
        values: dict[int, dict[str, Any]] = {}
        for row in found[repeat]["rows"]:
            if row["moment"] == "after" and row["class"] is not None:
                values.setdefault(row["class"], dict.fromkeys(MEASURES))[row["measure"]] = row["value"]
        for label, measures in values.items():
            if support[label]:
                yield {"repeat": repeat, "class": label, "change": float(recall[label] - base[label]), **measures}
