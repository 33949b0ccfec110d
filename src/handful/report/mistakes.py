"""What the report shows of mistakes: the most confident ones of each arm, and all of them by class and prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.data.files import shown
from handful.report.thumbs import Thumb, overlaid, thumb_data
from handful.study.explained import Explained
from handful.study.result import Result
from handful.study.stored import get_images

MOST_CELLS = 60  # confusions whose pictures are listed, the most frequent ones
MOST_NAMES = 20  # pictures listed of one


@dataclass(frozen=True)
class Mistake:
    """A picture the network was sure about and wrong.

    Args:
        name: of its file.
        true, predicted: names of classes.
        confidence, true_probability: probability of the predicted and of the true class.
        looked: the picture, and where the network looked.
        real, made: the nearest training pictures.
    """

    name: str
    true: str
    predicted: str
    confidence: float
    true_probability: float
    looked: tuple[Thumb, ...]
    real: tuple[Thumb, ...]
    made: tuple[Thumb, ...]


@dataclass(frozen=True)
class ArmMistakes:
    """The most confident mistakes of one arm in one repeat.

    Args:
        wrong, test: mistakes and test pictures of that repeat.
        searched_real, searched_made: training pictures among which the nearest were looked for.
        no_heat: why there is no Grad-CAM; often empty.
    """

    name: str
    slug: str
    repeat: int
    wrong: int
    test: int
    searched_real: int
    searched_made: int
    no_heat: str
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True)
class Confused:
    """Test pictures of one class that were taken for another, over repeats; `more` are not listed.

    Args:
        cell: row and column in the confusion matrix.
        pictures: names, each with the number of repeats in which it was so mistaken, most often first.
    """

    cell: tuple[int, int]
    true: str
    predicted: str
    count: int
    pictures: tuple[tuple[str, int], ...]
    more: int


def mistakes_of(result: Result) -> tuple[ArmMistakes, ...]:
    """Return the most confident mistakes of every arm that has them."""
    made = []
    for place, arm in enumerate(result.arms):
        for repeat, key in sorted(result.keys(arm, "explanations").items())[:1]:
            record = result.store.record(key)
            about = record["result"]
            pixels = get_images(result.store, record["inputs"]["images"]).pixels
            found, rows = result.explained(arm)[repeat], result.mistakes(arm)
            made.append(
                ArmMistakes(
                    name=shown(arm),
                    slug=f"arm{place}",
                    repeat=repeat,
                    wrong=about["mistakes"],
                    test=about["test"],
                    searched_real=about["searched"]["real"],
                    searched_made=about["searched"]["made"],
                    no_heat=about["no_heat"],
                    mistakes=tuple(_mistake(row, found, at, pixels) for at, row in enumerate(rows)),
                )
            )
    return tuple(made)


def _mistake(row: dict[str, Any], found: Explained, place: int, pixels: Any) -> Mistake:
    picture, name = np.asarray(pixels[row["row"]]), picture_name(row)
    looked = [Thumb(name, thumb_data(picture))]
    if len(found.heat):
        seen = thumb_data(overlaid(picture, found.heat[place]))
        looked.append(Thumb(f"where it looked for {shown(row['predicted'])}", seen))
    near = {True: [one for one in row["nearest"] if one["real"]], False: [o for o in row["nearest"] if not o["real"]]}
    real = [Thumb(picture_name(one), thumb_data(np.asarray(pixels[one["row"]])), _near(one)) for one in near[True]]
    made = [
        Thumb("synthetic, or a copy made for training", thumb_data(found.made_pixels[place, at]), _near(one))
        for at, one in enumerate(near[False])
    ]
    return Mistake(
        name=name,
        true=shown(row["class"]),
        predicted=shown(row["predicted"]),
        confidence=row["confidence"],
        true_probability=row["true_probability"],
        looked=tuple(looked),
        real=tuple(real),
        made=tuple(made),
    )


def _near(one: dict[str, Any]) -> str:
    return f"{shown(one['class'])}, {one['distance']:.3f}"


def picture_name(row: dict[str, Any]) -> str:
    """Return the name of a picture's file, or its row in the source where names are not kept."""
    return shown(row["picture"]) if row["picture"] is not None else f"picture {row['row']}"


def confused_of(result: Result, arm: str) -> tuple[Confused, ...]:
    """Return which test pictures of an arm were taken for what, the most frequent confusion first."""
    cells: dict[tuple[int, int], Counter[int]] = {}
    for made in result.predictions(arm).values():
        predicted = made["probs"].argmax(axis=1)
        for at in np.flatnonzero(predicted != made["labels"]).tolist():
            cell = (int(made["labels"][at]), int(predicted[at]))
            cells.setdefault(cell, Counter())[int(made["rows"][at])] += 1
    ordered = sorted(cells.items(), key=lambda item: (-item[1].total(), item[0]))[:MOST_CELLS]
    names = result.picture_names
    return tuple(_confused(cell, rows, result.class_names, names) for cell, rows in ordered)


def _confused(
    cell: tuple[int, int], rows: Counter[int], class_names: Sequence[str], names: Sequence[str] | None
) -> Confused:
    ordered = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    listed = [
        (picture_name({"row": row, "picture": names[row] if names else None}), times)
        for row, times in ordered[:MOST_NAMES]
    ]
    true, predicted = (shown(class_names[label]) for label in cell)
    return Confused(cell, true, predicted, rows.total(), tuple(listed), max(0, len(ordered) - MOST_NAMES))
