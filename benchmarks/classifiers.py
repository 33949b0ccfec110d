r"""The recommended classifier and what it stands beside, on three sets: a row per classifier with intervals.

    HANDFUL_DATA=... python benchmarks/classifiers.py signs animals land --store build/classifiers --output build/out

`signs`: ten road-sign classes, 205 distinct training and 139 distinct test pictures, five trainings, which are scored
on the 340 test files as published too, copies included. `animals`: 30 classes, 85/15, five splits. `land`: 21 classes
of aerial pictures, 80/20, five splits. What a store has is not computed again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from handful import CNN, Arm, Augmentation, Protocol, Result, Study, View, load, open_source, run
from handful.classify.recommend import recommend
from handful.nn.train import Training
from handful.reproduce.inputs import rebuild_published_signs
from handful.reproduce.weights import without
from handful.scores import SCORES as SCORES_OF
from handful.study.advice import facts_of

SCORES = ("accuracy", "balanced_accuracy", "top3", "macro_f1")
V3 = CNN(network="v3", view=View(size=64))  # type: ignore[arg-type]  # a name is read as its recipe
SIGNS = Path("traffic-signs", "traffic-signs-10.zip")


def scratch(source: Path) -> CNN:
    """What is recommended where no weights are at hand."""
    facts = facts_of(open_source(source), Protocol(val_fraction=0), None, View(size=64))
    return recommend(replace(facts, weights=False)).classifier


def signs(folder: Path, repeats: int) -> Study:
    arms = [
        Arm("baseline", classifier=V3),
        Arm("v3 + augmentation", classifier=V3, augment=Augmentation()),
        Arm("from scratch", classifier=scratch(folder / SIGNS)),
        Arm("default", recommended=True),
    ]
    rules = Protocol(repeats=repeats, val_fraction=0, score="accuracy")
    return Study(folder / SIGNS, arms=arms, classifier=V3, protocol=rules, measures="none")


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


def published_rows(result: Result, archive: Path) -> list[str]:
    """Return a table of the same trainings on every published test file: each, their mean, and their probabilities'."""
    with tempfile.TemporaryDirectory() as place:
        rebuild_published_signs(archive, Path(place))
        source = open_source(Path(place))
        parts = np.array(source.parts)
        lines = ["| classifier | accuracy of each training | mean | of their mean probabilities | balanced |"]
        lines.append("|---|---|---|---|---|")
        for arm in result.arms:
            made = result.classifier(arm)
            files = load(source, made.recipe.view, np.flatnonzero(parts == "test"))
            if files.class_names != made.class_names:
                raise SystemExit(f"{archive}: its classes are {files.class_names}, those trained {made.class_names}")
            probs = np.stack([member.predict_proba(files) for member in made.members])
            each = [SCORES_OF["accuracy"].value(files.labels, one) for one in probs]
            whole = [SCORES_OF[name].value(files.labels, probs.mean(axis=0)) for name in SCORES[:2]]
            shown = " ".join(f"{value:.3f}" for value in each)
            lines.append(f"| {arm} | {shown} | {np.mean(each):.3f} | {whole[0]:.3f} | {whole[1]:.3f} |")
    contents = files.origin.content.tolist()
    trained = sum(content in made.seen for content in contents)
    return [f"The {len(contents)} test files, {len(set(contents))} different, {trained} trained on:", "", *lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", choices=("signs", "animals", "land"))
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
            "signs": lambda: signs(folder, options.repeats),
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
        if table == "signs":
            lines += published_rows(result, folder / SIGNS)
        lines += [f"recommended: {reason}" for reason in result.page["reasons"]]
        (options.output / f"{table}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines))


if __name__ == "__main__":
    main()
