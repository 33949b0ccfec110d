"""What generated pictures change, beside classical augmentation: families x networks x selections, with intervals.

    HANDFUL_DATA=... python benchmarks/generators.py traffic-signs --store build/signs
    HANDFUL_DATA=... python benchmarks/generators.py fashion-mnist --store build/fashion --long-tail 78:8

Every arm trains on the same augmented batches as the reference `augment`; what differs is the pictures added to the
training part until all classes are equal. Selections share one fit of a generator. A store that is there is gone on
with. `--minutes` is the training of one generator on one core: its steps are measured off on this machine and printed;
`--steps vae=900,gan=700,diffusion=500` gives them, which a study that is to be gone on with needs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import handful
from handful.config import choose
from handful.data.images import LabeledImages, View
from handful.generate.neural import NeuralRecipe
from handful.generate.table import GENERATORS
from handful.nn.train import one_thread
from handful.study.arms import Arm, arm_named

FAMILIES = ("vae", "gan", "diffusion")
SCOPES = ("per-class", "conditional")
SELECTIONS: dict[str, dict[str, Any]] = {
    "all": {"gate": "none"},
    "ssim": {"gate": "none", "selection": "ssim"},
    "new": {"gate": "copies", "selection": "k-centre"},
}
SOURCES = {"traffic-signs": "traffic-signs/traffic-signs-10.zip", "fashion-mnist": "fashion-mnist"}


def family_recipe(family: str) -> NeuralRecipe:
    recipe = choose(GENERATORS, family, "generator")
    assert isinstance(recipe, NeuralRecipe)
    return recipe


def steps_in(recipe: NeuralRecipe, seconds: float, size: int, channels: int) -> int:
    """Return how many steps of a recipe fit into these seconds on one core, from timing forty of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (160, channels, size, size), dtype=np.uint8)
    train = LabeledImages.of_arrays(pixels, np.arange(160) % 10)

    def timed(steps: int) -> float:
        training = recipe.training.changed(steps=steps, eval_every=10_000, keep="last")
        short = recipe.changed(scope="conditional", training=training)
        started = time.perf_counter()
        with one_thread():
            short.fit(train, None, seed=0)
        return time.perf_counter() - started

    timed(2)
    each = max(1e-4, (timed(42) - timed(2)) / 40)
    return max(50, round(seconds / each))


def arms_of(steps_of: Mapping[str, int], scopes: Sequence[str]) -> list[Arm]:
    """Return the reference and every treatment."""
    augment = arm_named("augment").augment
    arms = [arm_named("augment")]
    for family in FAMILIES:
        recipe, steps = family_recipe(family), steps_of[family]
        training = recipe.training.changed(steps=steps, eval_every=max(1, steps // 4), keep="last")
        for scope in scopes:
            few = (
                {"lr": 1e-3} if (family, scope) == ("gan", "per-class") else {}
            )  # few steps a network need larger ones
            fewer = {"sample_steps": 12} if family == "diffusion" else {}
            made = recipe.changed(scope=scope, training=training.changed(**few), **fewer)
            for selection, fields in SELECTIONS.items():
                arms.append(Arm(f"{family} {scope} {selection}", augment=augment, generator=made, **fields))
    return arms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=SOURCES)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--long-tail", help="LARGEST:SMALLEST training pictures of a class")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=2.0, help="training of one generator on one core")
    parser.add_argument("--steps", help="of each family's generators, instead of --minutes")
    parser.add_argument("--scopes", default=",".join(SCOPES), help="one network per class, or one told the class")
    parser.add_argument("--network", default="v3", help="of the classifier")
    parser.add_argument("--classifier-steps", type=int, default=600)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="markdown file to write the table into")
    given = parser.parse_args()
    where = Path(os.environ["HANDFUL_DATA"]) / SOURCES[given.data]
    largest, _, smallest = (given.long_tail or "").partition(":")
    tail = (int(largest), int(smallest)) if given.long_tail else None
    if given.steps:
        steps_of = {name: int(num) for name, num in (part.split("=") for part in given.steps.split(","))}
    else:
        channels, seconds = handful.open_source(where).channels, 60 * given.minutes
        steps_of = {name: steps_in(family_recipe(name), seconds, given.image_size, channels) for name in FAMILIES}
    print("--steps", ",".join(f"{name}={num}" for name, num in steps_of.items()), file=sys.stderr)
    study = handful.Study(
        str(where),
        arms=tuple(arms_of(steps_of, given.scopes.split(","))),
        protocol=handful.Protocol(reference="augment", repeats=given.repeats, long_tail=tail),
        classifier=handful.CNN(view=View(size=given.image_size), network=given.network),
        steps=given.classifier_steps,
    )
    options = {"budget": None, "workers": given.workers, "device": given.device}
    result = handful.run(study, given.store, say=lambda line: print(line, file=sys.stderr), **options)
    lines = ["| arm | balanced accuracy | difference to augment, points | 95 % | verdict |", "|---|---|---|---|---|"]
    for row in result.table():
        if row["score"] is None:
            lines.append(f"| {row['arm']} | failed | | | |")
            continue
        gap = "" if row["difference"] is None else f"{100 * row['difference']:+.1f}"
        around = row["difference_interval"]
        interval = "" if not around else f"{100 * around[0]:+.1f} to {100 * around[1]:+.1f}"
        lines.append(f"| {row['arm']} | {row['score']:.3f} | {gap} | {interval} | {row['verdict'] or 'no verdict'} |")
    text = "\n".join([*lines, "", result.verdict, ""])
    print(text)
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
