"""A first look at a set of pictures, as the studies had it: a grid, the classes by part, the channels."""

from __future__ import annotations

import numpy as np

from handful.report.pictures import Sheet, chosen, sheet
from handful.report.svg import ACCENT, REAL, drawing, quiet, short
from handful.reproduce.entry import Section
from handful.reproduce.rows import table_of
from handful.study.result import Result
from handful.study.stored import get_images


def eda_section(result: Result) -> Section:
    """Return random pictures of every class, pictures per class in training and test, mean and sd of every channel."""
    images = get_images(result.store, result.page["jobs"][-1]["inputs"]["images"])
    split = result.store.arrays(result.page["splits"][0]["key"])
    train = images.take(split["train"])
    classes = chosen(train.counts)
    grid = Sheet(
        "random training pictures, a row per class", sheet(train, classes, 0), "Random pictures of each class."
    )
    counts = result.classes
    pixels = np.asarray(train.pixels[:: max(1, len(train) // 5000)]).astype(np.float64) / 255
    means, sds = pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    names = ("red", "green", "blue") if len(means) == 3 else ("grey",)
    channels = table_of(
        "channels",
        "Channels of the training pictures in [0, 1]; a network from random weights is given them with mean 0 and "
        "variance 1, one with weights by the mean and deviation of the pictures that these were trained on",
        ("channel", "mean", "standard deviation"),
        [(name, float(mean), float(sd)) for name, mean, sd in zip(names, means, sds, strict=True)],
    )
    rows = [(row["name"], row["train"], row["val"], row["test"]) for row in counts]
    distribution = table_of("classes", "Pictures per class", ("class", "training", "validation", "test"), rows)
    return Section("The pictures", (), (distribution, channels), (_distribution(counts),), (grid,))


def _distribution(counts: list[dict[str, int | str]]) -> str:
    alt = "Pictures per class, in training and in test."
    with drawing("eda-classes", 7.6, 2.6, alt) as made:
        axes = made.figure.subplots()
        for place, (part, colour) in enumerate((("train", ACCENT), ("test", REAL))):
            at = np.arange(len(counts)) + (place - 0.5) * 0.38
            axes.bar(at, [int(row[part]) for row in counts], width=0.36, color=colour, label=part)
        axes.set_xticks(range(len(counts)), [short(str(row["name"]), 14) for row in counts], rotation=60)
        axes.set_ylabel("pictures")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0)  # above the bars
        quiet(axes)
    return made.svg
