"""The networks of a study as drawings, a box for each stage, and their sizes as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from handful.classify.cnn import CNN
from handful.generate.neural import NeuralRecipe
from handful.generate.summarized import networks_of
from handful.nn.summary import Stage
from handful.report.network import diagram
from handful.reproduce.entry import Finished, Section
from handful.reproduce.rows import table_of
from handful.reproduce.weights import UNASKED
from handful.study.result import Result
from handful.study.summarized import looked_at


def networks_section(finished: Finished, key: str, arms: Sequence[str]) -> Section:
    """Return a drawing and the size of the network of every arm that was run or lacks weights; none are needed here.

    Args:
        key: of the study that the arms are of, which was run.
    """
    result = finished.result(key)
    assert result is not None
    rows, figures = [], []
    for arm, recipe in _recipes(finished, result, key, arms):
        found = looked_at(recipe, len(result.class_names))
        picture = " x ".join(map(str, found.picture))
        rows.append((arm, picture, f"{found.parameters:,}", f"{found.trained:,}", f"{found.multiply_adds:,}"))
        figures.append(diagram(found))
    columns = ("network of", "pictures", "parameters", "trained", "multiply-adds")
    legend = f"Drawn in turn: {', '.join(row[0] for row in rows)}." if rows else ""
    return Section("Networks", (), (table_of("networks", "Sizes", columns, rows),), tuple(figures), legend=legend)


def autoencoder_section(recipe: NeuralRecipe, channels: int, size: int, num_classes: int) -> Section:
    """Return a drawing of a generator's networks, a box for each layer with weights, and the same as a table."""
    found = networks_of(recipe, channels, size, num_classes)
    layers = [one for one in found.layers if one.parameters]
    stages = tuple(Stage(**{**vars(one), "name": one.name.split(".", 1)[-1]}) for one in layers)
    rows = [(one.name, one.kind, " x ".join(map(str, one.output)), f"{one.parameters:,}") for one in layers]
    rows.append(("all", "", "", f"{found.parameters:,}"))
    table = table_of("autoencoder", "Layers with weights", ("layer", "kind", "output", "parameters"), rows)
    return Section("The autoencoder", (), (table,), (diagram(replace(found, stages=stages)),))


def _recipes(finished: Finished, result: Result, key: str, arms: Sequence[str]) -> Iterator[tuple[str, CNN]]:
    """What each arm is called, and its classifier."""
    absent = [arm for arm in arms if finished.missing.get(arm, UNASKED) != UNASKED and arm not in result.arms]
    left = {}
    if absent:
        study = finished.entry.studies(finished.scale, "honest", finished.inputs)[key]
        left = {arm.name: arm.classifier for arm in study.arms or () if arm.name in absent}
    for arm in arms:
        recipe = result.study.classifier_of(result.study.arm(arm)) if arm in result.arms else left.get(arm)
        if isinstance(recipe, CNN):
            yield arm if arm in result.arms else f"{arm} (not run)", recipe
