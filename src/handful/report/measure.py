"""What `handful measure` found, as one HTML page with pictures that opens offline."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from handful.data.aligned import Aligned
from handful.data.files import shown
from handful.data.images import LabeledImages
from handful.measure.audit import Pair
from handful.measure.measured import Measured
from handful.report.html import environment
from handful.report.look import Row
from handful.report.measure_lines import MARKS, faults, measure_lines, number, told_of
from handful.report.pictures import PER_CLASS, Gallery, Sheet, chosen, sheet
from handful.report.thumbs import Thumb, thumb_data

ROWS_OF_ONE = 5
COMPARED = ("near_copies", "kernel", "density", "coverage", "vendi", "ssim_within")
TITLES = {"real": "real", "synthetic": "synthetic", "held_out": "held-out"}


@dataclass(frozen=True)
class Track:
    """Where a number and its marks stand on a line from the smallest to the largest of them, in percent."""

    value: float
    floor: float
    copies: float
    noise: float


def write_measured(path: str | Path, aligned: Aligned, measured: Measured) -> Path:
    """Write the page into one HTML file, aside and renamed, and return its path."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
    try:
        aside.write_text(render_measured(aligned, measured), encoding="utf-8")
        os.replace(aside, final)
    finally:
        aside.unlink(missing_ok=True)
    return final


def render_measured(aligned: Aligned, measured: Measured) -> str:
    """Return the page as HTML; the same sets and numbers give the same text."""
    told = told_of(aligned, measured)
    lines = measure_lines(told)
    classes = [
        (group, pairs_shown(aligned, one.pairs)) for group, one in zip(told["classes"], measured.classes, strict=True)
    ]
    text = (
        environment()
        .get_template("measure.html.j2")
        .render(
            told=told,
            lines=[line for line in lines if line.tone != "fact" or line.text.startswith(("fidelity", "diversity"))],
            facts=[line for line in lines if line.tone == "fact"],
            floor=MARKS[told["marks"]],
            pairs=pairs_shown(aligned, measured.whole.pairs),
            classes=classes,
            compared=COMPARED,
            by_name=[{row["name"]: row for row in group["rows"]} for group in told["classes"]],
            tracks={row["name"]: track(row) for row in told["whole"]["rows"]},
            faults=faults,
            number=number,
            gallery=_gallery(aligned, measured.seed),
            shown=shown,
        )
    )
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def track(row: dict[str, Any]) -> Track | None:
    """Return the places of a row's numbers, None where one is missing or all are equal."""
    values = [row[name] for name in ("value", "floor", "copies", "noise")]
    if None in values or max(values) == min(values):
        return None
    low, span = min(values), max(values) - min(values)
    return Track(*(round(100 * (value - low) / span, 1) for value in values))


def pairs_shown(aligned: Aligned, pairs: Sequence[Pair]) -> tuple[Row, ...]:
    """Return synthetic pictures beside the training pictures nearest to them, worst first."""
    made, real = aligned.synthetic, aligned.real
    return tuple(
        Row(
            "exact copy" if pair.distance == 0 else f"ratio {pair.ratio:.2f}",
            (
                _thumb(made, pair.synthetic, aligned.ids["synthetic"], "synthetic"),
                _thumb(real, pair.real, aligned.ids["real"], "training"),
            ),
        )
        for pair in pairs
    )


def _thumb(images: LabeledImages, place: int, ids: Sequence[str], what: str) -> Thumb:
    name = f", {shown(images.class_names[images.labels[place]])}" if images.num_classes > 1 else ""
    return Thumb(shown(ids[place]), thumb_data(images.pixels[place]), f"{what}{name}")


def _gallery(aligned: Aligned, seed: int) -> Gallery:
    """Pictures of every set, drawn by the seed, a row per class; without classes a few rows of each set."""
    sets = {"real": aligned.real, "synthetic": aligned.synthetic}
    if aligned.held_out is not None:
        sets["held_out"] = aligned.held_out
    names, note = aligned.real.class_names, ""
    if len(names) == 1:
        classes = list(range(ROWS_OF_ONE))
        sets = {role: _in_rows(images) for role, images in sets.items()}
        names = ("",) * ROWS_OF_ONE
    else:
        classes = chosen(aligned.real.counts)
        if len(classes) < len(names):
            note = f"{len(classes)} of {len(names)} classes, evenly from the largest to the smallest"
        names = tuple(shown(names[label]) for label in classes)
    made = tuple(
        Sheet(TITLES[role], sheet(images, classes, seed), f"{TITLES[role]} pictures drawn at random, a row per class")
        for role, images in sets.items()
    )
    return Gallery(names, PER_CLASS, note, made)


def _in_rows(images: LabeledImages) -> LabeledImages:
    """The pictures of one class dealt out to the rows of a sheet."""
    return replace(
        images,
        labels=np.arange(len(images)) % ROWS_OF_ONE,
        class_names=tuple(str(row) for row in range(ROWS_OF_ONE)),
    )
