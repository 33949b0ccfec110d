"""Every family on the ten road-sign classes at 32 px: grids, distance to unseen real pictures, and the copying audit.

    HANDFUL_DATA=... python benchmarks/families.py --output docs/generators --folder build/families

Each family is trained once, told the class, on the training part. Kernel distances (EfficientNet-Lite0) are of 205
pictures, in the classes of the training part, to the held-out test part; beside them stand noise, each class's mean
picture, and the real training part itself, whole and by halves. The copying audit is run on the same pictures and on
held-out real ones. A fit that is in the folder is not made again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch

from handful import View, load, open_source
from handful.config import choose
from handful.data.export import folder_names
from handful.data.images import LabeledImages
from handful.generate.neural import NeuralRecipe
from handful.generate.table import GENERATORS, load_generator
from handful.measure.audit import audit
from handful.measure.extractors import extractor_of
from handful.measure.kernel import kernel_estimate
from handful.measure.scale import noise_pictures
from handful.nn.train import How, one_thread
from handful.report.pictures import write_grids

STEPS = {"interpolate": 0, "autoencoder": 2000, "vae": 2500, "gan": 2500, "diffusion": 1000}


def fitted(family: str, train: LabeledImages, folder: Path, steps: int) -> float:
    """Fit a family into its folder, where it is not there already; return minutes of one core."""
    place = folder / family
    if (place / "generator.json").exists():
        return float((place / "minutes.txt").read_text())
    recipe = choose(GENERATORS, family, "generator")
    if isinstance(recipe, NeuralRecipe):
        training = recipe.training.changed(steps=steps, eval_every=max(1, steps // 4), keep="last")
        recipe = recipe.changed(training=training)
    started = time.process_time()
    with one_thread():
        recipe.fit(train, None, seed=0, how=How(checkpoint=folder / f"{family}.checkpoint")).save(place)
    minutes = (time.process_time() - started) / 60
    (place / "minutes.txt").write_text(f"{minutes:.3f}")
    return minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for generators and grids")
    parser.add_argument("--families", default=",".join(STEPS))
    parser.add_argument("--output", type=Path, help="markdown file to write")
    given = parser.parse_args()
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "traffic-signs" / "traffic-signs-10.zip")
    part, view = np.array(source.parts), View(size=32, channels=3)
    train, test = (load(source, view, np.flatnonzero(part == name)) for name in ("train", "test"))
    lite0 = extractor_of("lite0")
    real, held_out = lite0.features(train.pixels), lite0.features(test.pixels)
    halves = np.random.default_rng(0).permutation(len(test))
    means = np.stack([train.of_class(label).pixels.mean(axis=0).round() for label in range(train.num_classes)])
    sets = {
        "noise": noise_pictures(len(train), (3, 32, 32)),
        "the mean picture of each class": means.astype(np.uint8)[train.labels],
        "exact copies of the training part": np.array(train.pixels),
    }
    minutes = {}
    for family in given.families.split(","):
        minutes[family] = fitted(family, train, given.folder, STEPS[family])
        print(f"{family}: {minutes[family]:.1f} minutes", file=sys.stderr)
        made = load_generator(given.folder / family).sample(train.labels, seeds=range(len(train)))
        sets[family] = made.pixels
        grids = given.folder / f"grids-{family}"
        if not grids.exists():
            write_grids(grids, train, made, folder_names(train.class_names), most=16)
    lines = [
        f"Kernel distance ({lite0.label}, x 1000, 95 %) to the {len(test)} test pictures; {len(train)} pictures each.",
        "",
        "| pictures | minutes on one core | kernel distance | near copies | authenticity | p (copying) |",
        "|---|---|---|---|---|---|",
    ]
    for name, pixels in sets.items():
        features = lite0.features(pixels)
        found = kernel_estimate(real=held_out, synthetic=features)
        told = audit(real=real, synthetic=features, held_out=held_out)
        p = "" if told.p is None else f"{told.p:.2g}"
        lines.append(
            f"| {name} | {f'{minutes[name]:.1f}' if name in minutes else ''} | {1000 * found.value:.1f} "
            f"({1000 * found.low:.1f} to {1000 * found.high:.1f}) | {told.near_copies:.3f} | "
            f"{told.authenticity:.2f} | {p} |"
        )
    one, other = np.split(halves[: len(halves) // 2 * 2], 2)
    found = kernel_estimate(real=held_out[one], synthetic=held_out[other])
    told = audit(real=real, synthetic=held_out[one], held_out=held_out[other])
    p = "" if told.p is None else f"{told.p:.2g}"
    lines.append(
        f"| one half of the test part, against the other | | {1000 * found.value:.1f} ({1000 * found.low:.1f} to "
        f"{1000 * found.high:.1f}) | {told.near_copies:.3f} | {told.authenticity:.2f} | {p} |"
    )
    text = "\n".join([*lines, "", f"One thread, {platform.machine()}, torch {torch.__version__}.", ""])
    print(text)
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
