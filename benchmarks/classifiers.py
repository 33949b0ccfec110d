r"""The recommended classifier and what it stands beside, on three sets: a row per classifier with intervals.

    HANDFUL_DATA=... python benchmarks/classifiers.py signs published animals land \
        --store build/classifiers --output build/out

`signs`: ten road-sign classes, 205 distinct training and 139 distinct test pictures, five trainings. `published`: the
same on the files as published, 520 and 340, their copies kept in both parts, which its result calls inflated.
`animals`: 30 classes, 85/15, five splits. `land`: 21 classes of aerial pictures, 80/20, five splits. What a store has
is not computed again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from handful import CNN, Arm, Augmentation, Protocol, Result, Study, View, run
from handful.classify.recommend import Facts, recommend
from handful.nn.train import Training
from handful.reproduce.inputs import rebuild_published_signs
from handful.reproduce.weights import without

SCORES = ("accuracy", "balanced_accuracy", "top3", "macro_f1")
V3 = CNN(network="v3", view=View(size=64))  # type: ignore[arg-type]  # a name is read as its recipe
SIGNS_PER_CLASS = (39, 11, 18, 50, 15, 17, 15, 9, 21, 10)


def scratch(counts: tuple[int, ...], side: int) -> CNN:
    """What is recommended where no weights are at hand."""
    return recommend(Facts(counts=counts, side=side, weights=False)).classifier


def signs(folder: Path, published: bool, repeats: int) -> Study:
    source = folder / "traffic-signs" / "traffic-signs-10.zip"
    protocol: dict[str, Any] = {"repeats": repeats, "val_fraction": 0, "score": "accuracy"}
    if published:
        place = Path(tempfile.mkdtemp()) / "published"
        rebuild_published_signs(source, place)
        source, protocol["copies"] = place, "keep"
    arms = [
        Arm("baseline", classifier=V3),
        Arm("v3 + augmentation", classifier=V3, augment=Augmentation()),
        Arm("from scratch", classifier=scratch(SIGNS_PER_CLASS, 64)),
        Arm("default", recommended=True),
    ]
    return Study(source, arms=arms, classifier=V3, protocol=Protocol(**protocol), measures="none")


def animals(folder: Path, repeats: int) -> Study:
    rules = Protocol(repeats=repeats, val_fraction=0, test_fraction=0.15, score="accuracy", reference="default")
    source = folder / "animals-caltech101" / "animals-caltech101.zip"
    return Study(source, arms=[Arm("default", recommended=True)], protocol=rules, measures="none")


def land(folder: Path, repeats: int, steps: int) -> Study:
    """Networks from random weights at 128 px and the default; `steps` are those of the networks from random weights."""
    rules = Protocol(repeats=repeats, val_fraction=0, test_fraction=0.2, score="accuracy", reference="alexnet")
    training = Training(steps=steps, lr=5e-4, warmup_steps=steps // 10)
    view, augment = View(size=128), Augmentation.preset("strong", flip_horizontal=True, flip_vertical=True)
    plain = {name: {"kind": name, "weights": "random"} for name in ("alexnet", "mobilenet_v2")}
    networks: dict[str, Any] = {
        **plain,
        "fusion": {"kind": "fusion", "first": plain["alexnet"], "second": plain["mobilenet_v2"]},
    }
    arms = [
        Arm(name, classifier=CNN(network=network, view=view, training=training, augment=augment))
        for name, network in networks.items()
    ]
    source = folder / "uc-merced" / "uc-merced-128.zip"
    return Study(source, arms=[*arms, Arm("default", recommended=True)], protocol=rules, measures="none")


def rows(result: Result) -> list[str]:
    """Return a line of a table for each arm: scores with their intervals, and seconds of training."""
    lines = ["| classifier | " + " | ".join(SCORES) + " |", "|---|" + "---|" * len(SCORES)]
    for arm in result.arms:
        scores = result.scores(arm)
        cells = []
        for name in SCORES:
            made = scores.get(name)
            span = "" if made is None or made["interval"] is None else " ({:.3f} to {:.3f})".format(*made["interval"])
            cells.append("" if made is None else f"{made['mean']:.3f}{span}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", choices=("signs", "published", "animals", "land"))
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500, help="of the networks from random weights of `land`")
    parser.add_argument("--arms", nargs="+", help="run these alone [all of the table]")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    folder = Path(os.environ["HANDFUL_DATA"])
    options.output.mkdir(parents=True, exist_ok=True)
    for table in options.tables:
        study = {
            "signs": lambda: signs(folder, False, options.repeats),
            "published": lambda: signs(folder, True, options.repeats),
            "animals": lambda: animals(folder, options.repeats),
            "land": lambda: land(folder, options.repeats, options.steps),
        }[table]()
        if options.arms:
            names = [arm.name for arm in study.arms or ()]
            left = without(study, {name: "not asked for" for name in names if name not in options.arms})
            if left is None:
                parser.error(f"--arms {' '.join(options.arms)}: {table} has {', '.join(names)}")
            study = left
        started = time.monotonic()
        result = run(study, options.store, budget=None, workers=options.workers, say=print)
        minutes = (time.monotonic() - started) / 60
        lines = [f"## {table}, {result.protocol.repeats} repeats, {minutes:.0f} minutes", "", *rows(result), ""]
        lines += [f"recommended: {reason}" for reason in result.page["reasons"]]
        (options.output / f"{table}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines))


if __name__ == "__main__":
    main()
