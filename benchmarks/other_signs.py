r"""From scratch on road signs of other classes, whose test part is of another day: what a recipe is chosen on.

    HANDFUL_DATA=... python benchmarks/other_signs.py --groups 1 2 --steps 1400 --output build/other_signs.md

The archive of 58 classes has 48 that are not among the ten of docs/classifiers.md. Of the thirty with nine training and
four test pictures or more, three groups of ten are drawn, with as many training pictures as the ten have (9 to 50 a
class, 205 in all) and at most 20 test pictures a class. Their test part was taken in other places, in other light and
from other distances than their training part, as that of the ten was; no picture of the ten is looked at. One fit a
group and recipe.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handful import CNN, View, load, open_source
from handful.classify.recommend import Facts, recommend
from handful.nn.networks import network_of
from handful.nn.train import How, one_thread
from handful.scores import SCORES

TEN = {"06", "12", "13", "24", "38", "39", "44", "46", "49", "50"}
TRAINED = (50, 39, 21, 18, 17, 15, 15, 11, 10, 9)  # pictures of each class, as the ten have
MOST_TESTED, SEED, SHOWN = 20, 7, ("accuracy", "balanced_accuracy", "log_loss")

Change = Callable[[CNN], CNN]
# changes of what is recommended without weights, which is the row `CutMix`
RECIPES: dict[str, Change] = {
    "plain": lambda made: made.changed(mix=None),
    "plain, not standardised": lambda made: made.changed(
        mix=None, network=network_of({"kind": "residual", "standardised": False})
    ),
    "zoom 0.5 to 2": lambda made: zoomed(made).changed(mix=None),
    "CutMix": lambda made: made,
    "zoom 0.5 to 2, CutMix": lambda made: zoomed(made),
    "zoom 0.5 to 2, CutMix, 96 px": lambda made: zoomed(made).changed(view=View(size=96)),
}


def zoomed(made: CNN) -> CNN:
    assert made.augment is not None
    return made.changed(augment=made.augment.changed(zoom=(0.5, 2.0)))


def write_groups(archive: Path, place: Path) -> None:
    """Write group g as PLACE/g/{train,test}/CLASS/FILE."""
    stream = random.Random(SEED)
    with zipfile.ZipFile(archive) as packed:
        parts: dict[str, dict[str, list[str]]] = {}
        for name in sorted(one for one in packed.namelist() if one.endswith(("jpg", "png"))):
            part, label, _ = name.split("/")
            parts.setdefault(label, {"train": [], "test": []})[part].append(name)
        enough = sorted(c for c in set(parts) - TEN if len(parts[c]["train"]) >= 9 and len(parts[c]["test"]) >= 4)
        stream.shuffle(enough)
        for group in range(len(enough) // len(TRAINED)):
            mine = enough[group * len(TRAINED) :][: len(TRAINED)]
            mine = sorted(mine, key=lambda label: -len(parts[label]["train"]) + stream.random() * 30)
            for label, num in zip(mine, TRAINED, strict=True):
                for part, most in (("train", num), ("test", MOST_TESTED)):
                    given = parts[label][part]
                    for name in stream.sample(given, min(most, len(given))):
                        target = place / str(group) / name
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(packed.read(name))


def scored(folder: Path, change: Change, steps: int, seed: int, device: str) -> dict[str, float]:
    """Return the scores on a group's test part of one fit to its training part."""
    source = open_source(folder)
    parts = np.array(source.parts)
    rows = np.flatnonzero(parts == "train")
    made = recommend(Facts(counts=tuple(np.bincount(source.labels[rows]).tolist()), side=75)).classifier
    training = made.training.changed(steps=steps, warmup_steps=steps // 20, eval_every=steps)
    made = change(made.changed(training=training))
    with one_thread():
        fitted = made.fit(load(source, made.view, rows), None, seed=seed, how=How(device=device))
    test = load(source, made.view, np.flatnonzero(parts == "test"))
    probs = fitted.predict_proba(test, device=device)
    return {name: SCORES[name].value(test.labels, probs) for name in SHOWN}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--groups", nargs="+", type=int, choices=(0, 1, 2), default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="Markdown [to the screen]")
    options = parser.parse_args()
    archive = Path(os.environ["HANDFUL_DATA"], "traffic-signs", "traffic-signs-58-96px.zip")
    lines = ["| recipe | steps | accuracy of each group | mean | balanced | log loss | s a fit |", "|---|" + "---|" * 6]
    with tempfile.TemporaryDirectory() as place:
        write_groups(archive, Path(place))
        for name in options.recipes:
            started = time.monotonic()
            found = [
                scored(Path(place, str(group)), RECIPES[name], options.steps, group, options.device)
                for group in options.groups
            ]
            seconds = (time.monotonic() - started) / len(found)
            each = " ".join(f"{one['accuracy']:.3f}" for one in found)
            means = " | ".join(f"{np.mean([one[score] for one in found]):.3f}" for score in SHOWN)
            lines.append(f"| {name} | {options.steps} | {each} | {means} | {seconds:.0f} |")
            print(lines[-1], flush=True)
    if options.output:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
