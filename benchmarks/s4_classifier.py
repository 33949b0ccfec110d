"""Accuracy on Fashion-MNIST: S4's classifier on its pre-trained encoder and on a random one, and a recipe of ours.

    python benchmarks/s4_classifier.py FASHION_MNIST --results RESULTS --output docs/s4_classifier.md

FASHION_MNIST is the folder with the four IDX files, RESULTS one for a file per network: a network that is there is not
trained again, and one that was interrupted goes on from its checkpoint. Without `--output` the table goes to the
screen; `--table` trains nothing; `--epochs 1 --networks 2 --pictures 2000` shows in minutes that everything works.

Every network is trained on the 60,000 training pictures in epochs of 600 batches of 100 and looked at after every epoch
on the 10,000 test pictures, as S4 did; nothing is chosen by them: the last weights are scored. As in S4 all pre-trained
networks start from one autoencoder (20 epochs, code of 64, dropout 0.2), so that the interval of the difference holds
for new networks on this encoder and for new pictures; `--autoencoders each` fits one per network. Network k of every
row has the same seed, and so the same order of the pictures and, in S4's two rows, the same last layer. The interval is
that of a study (`handful.compare`), over networks and test pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handful import rng
from handful.classify.cnn import CNN
from handful.compare import compare, estimate_score
from handful.data.arrays import from_idx
from handful.data.augment import Augmentation
from handful.data.images import LabeledImages, View
from handful.generate.autoencoder import Autoencoder
from handful.generate.neural import NeuralGenerator
from handful.generate.table import load_generator
from handful.nn.encoders import Encoder
from handful.nn.inherited import Inherited
from handful.nn.networks import network_of
from handful.nn.train import How, Training, one_thread
from handful.scores import confusion

EPOCH, BATCH, TIMED = 600, 100, 15
VIEW = View(size=28, channels=1)
PUBLISHED = {30: "91.1 ± 0.3", 50: "91.4 ± 0.2"}
NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@dataclass(frozen=True)
class Row:
    """A classifier that is trained several times; `inherits`: from the autoencoder."""

    name: str
    recipe: CNN
    inherits: bool = False


def rows(epochs: int, per_epoch: int, ours: str, relu: bool) -> tuple[Row, ...]:
    """S4's two and ours, at the same number of epochs."""
    network = Encoder(family="s4", latent=64, dropout=0.2, relu=relu)
    published: dict[str, Any] = {"optimizer": "adam", "lr": 1e-3, "weight_decay": 0.0, "schedule": "constant"}
    shared: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH, "eval_every": per_epoch, "keep": "last"}
    s4 = CNN(network=network, view=VIEW, training=Training(**shared, **published))
    given = network_of(json.loads(ours) if ours.startswith("{") else ours)
    light = Augmentation.preset("crop", crop=2 / 28, flip_horizontal=True)
    tuned = Training(**shared, lr=3e-3, weight_decay=0.02, warmup_steps=per_epoch // 2, ema=0.999)
    return (
        Row("S4, pre-trained encoder", s4, inherits=True),
        Row("S4, random encoder", s4),
        Row("ours", CNN(network=given, dropout=0.1, view=VIEW, training=tuned, augment=light)),
    )


@dataclass(frozen=True)
class Data:
    """Training and test part."""

    train: LabeledImages
    test: LabeledImages

    @classmethod
    def read(cls, folder: Path, num: int | None) -> Data:
        given = from_idx(folder)
        parts, labels = np.array(given.parts), np.asarray(given.labels, dtype=np.int64)

        def part(name: str, most: int | None) -> LabeledImages:
            chosen = np.flatnonzero(parts == name)[:most]
            return LabeledImages.of_arrays(np.ascontiguousarray(given.pixels[chosen]), labels[chosen], NAMES)

        return cls(part("train", num), part("test", num))


class Trainer:
    """Fits networks and keeps what they predicted in a folder."""

    def __init__(self, data: Data, folder: Path, device: str, each: bool) -> None:
        self.data, self.folder, self.device, self.each = data, folder, device, each
        self.encoder = cache(self._encoder)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)

    def how(self, name: str) -> How:
        return How(device=self.device, checkpoint=self.folder / "checkpoints" / f"{name}.pt")

    def train(self, row: Row, place: int) -> None:
        name = slug(row.name, place)
        path = self.folder / f"{name}.npz"
        if path.exists():
            return
        encoder = self.encoder(place if self.each else 0) if row.inherits else None
        started = time.monotonic()
        seed = rng.derive(0, "network", place)
        made = row.recipe.fit(self.data.train, self.data.test, seed=seed, encoder=encoder, how=self.how(name))
        probs = made.predict_proba(self.data.test, device=self.device)
        accuracy = [values["accuracy"] for values in made.history["values"]]
        facts = {
            "recipe": row.recipe.to_json(),
            "start": made.start,
            "seconds": time.monotonic() - started,  # of those since it was started or went on
            "accuracy": accuracy,
            "device": self.device,
            "torch": torch.__version__,
        }
        aside = path.with_suffix(".part")
        with aside.open("wb") as file:
            np.savez(file, predicted=probs.argmax(1).astype(np.int64), facts=np.array(json.dumps(facts)))
        os.replace(aside, path)
        print(f"{time.strftime('%H:%M:%S')} {name}: {accuracy[-1]:.4f}", flush=True)

    def _encoder(self, place: int) -> Inherited:
        folder = self.folder / f"autoencoder-{place}"
        if not folder.exists():
            aside = folder.with_name(f"{folder.name}.part")
            recipe = autoencoder(len(self.data.train))
            seed = rng.derive(0, "autoencoder", place)
            recipe.fit(self.data.train, None, seed=seed, how=self.how(folder.name)).save(aside)
            os.replace(aside, folder)
            print(f"{time.strftime('%H:%M:%S')} {folder.name}", flush=True)
        made = load_generator(folder)
        assert isinstance(made, NeuralGenerator)
        seen = frozenset(self.data.train.origin.content.tolist())
        return Inherited(made.encoder_weights(), made.fitted, seen, seen, (0.0,), (1.0,), made.history)


def autoencoder(num: int) -> Autoencoder:
    """S4's, without looks on the way; fewer epochs where a trial has fewer pictures."""
    recipe = Autoencoder.preset("s4", view=VIEW)
    steps = recipe.training.steps_for(num)
    return recipe.changed(training=recipe.training.changed(eval_every=steps))


def slug(name: str, place: int) -> str:
    return f"{name.replace(', ', '-').replace(' ', '-').lower()}-{place}"


def expected_minutes(chosen: tuple[Row, ...], data: Data, networks: int, encoders: int) -> dict[str, float]:
    """Minutes that each row and the autoencoder take, from a few steps of each on this machine as it is now."""
    train, test = data.train.take(np.arange(500)), data.test.take(np.arange(100))

    def seconds(recipe: Any) -> float:
        spent = []
        for steps in (1, 1 + TIMED):
            short = recipe.training.changed(epochs=None, steps=steps, eval_every=10_000, warmup_steps=0)
            started = time.perf_counter()
            recipe.changed(training=short).fit(train, test, seed=0)
            spent.append(time.perf_counter() - started)
        return max(spent[1] - spent[0], 1e-4) / TIMED

    num = len(data.train)
    recipes = {row.name: (row.recipe, networks) for row in chosen}
    found = {
        name: many * seconds(recipe) * recipe.training.steps_for(num) / 60 for name, (recipe, many) in recipes.items()
    }
    if any(row.inherits for row in chosen):
        first = autoencoder(num)
        found["autoencoder"] = encoders * seconds(first) * first.training.steps_for(num) / 60
    return found


Found = dict[str, tuple[NDArray[np.int64], list[dict[str, Any]]]]


def collect(chosen: tuple[Row, ...], folder: Path, networks: int) -> Found:
    """Predicted classes [R, m] of a row's networks, and their facts."""
    found: Found = {}
    for row in chosen:
        made = [
            np.load(path) for place in range(networks) if (path := folder / f"{slug(row.name, place)}.npz").exists()
        ]
        if made:
            facts = [json.loads(str(one["facts"])) for one in made]
            found[row.name] = np.stack([one["predicted"] for one in made]), facts
    return found


def table(found: Found, labels: NDArray[np.int64], epochs: int) -> str:
    """Return scores, the curve, the paired difference and confusions as Markdown."""
    lines = [
        "| classifier | networks | mean | sd | interval, 95 % | S4 printed | minutes a network |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (predicted, facts) in found.items():
        last = 100 * (predicted == labels).mean(axis=1)
        printed = PUBLISHED.get(epochs, "") if "pre-trained" in name else ""
        interval = ""
        if len(predicted) > 1:
            made = estimate_score(predicted, labels, score="accuracy", num_classes=len(NAMES))
            interval = f"{100 * made.interval[0]:.2f} to {100 * made.interval[1]:.2f}"
        minutes = np.mean([one["seconds"] for one in facts]) / 60
        scores = f"{last.mean():.2f} | {spread(last)} | {interval}"
        lines.append(f"| {name} | {len(predicted)} | {scores} | {printed} | {minutes:.1f} |")
    lines += ["", difference(found, labels), "", *curves(found, epochs)]
    for name, (predicted, _) in found.items():
        total = np.sum([confusion(labels, one, len(NAMES)) for one in predicted], axis=0)
        lines += ["", f"Confusion of {name}, per cent of the true class (rows), over its networks:", ""]
        lines += [f"| | {' | '.join(NAMES)} |", "|---" * (len(NAMES) + 1) + "|"]
        share = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
        lines += [
            f"| {label} | {' | '.join(f'{one:.1f}' for one in row)} |" for label, row in zip(NAMES, share, strict=True)
        ]
    return "\n".join(lines)


def spread(values: NDArray[np.float64]) -> str:
    return f"{values.std(ddof=1):.2f}" if len(values) > 1 else ""


def difference(found: Found, labels: NDArray[np.int64]) -> str:
    """The pre-trained networks against the random ones, paired by network and picture, in words."""
    names = [name for name in found if name.startswith("S4")]
    if len(names) < 2:
        return "No difference: one of S4's rows is missing."
    (one, _), (other, _) = (found[name] for name in names)
    num = min(len(one), len(other))
    if num < 2:
        return f"No interval of the difference: it takes two networks of each, there are {num}."
    made = compare(one[:num], other[:num], labels, score="accuracy", num_classes=len(NAMES))
    low, high = (100 * bound for bound in made.interval)
    p_value = "" if made.p_value is None else f", p = {made.p_value:.3g}"
    return (
        f"Pre-trained minus random encoder, {num} pairs: {100 * made.value:+.2f} points of accuracy, interval (95 %) "
        f"{low:+.2f} to {high:+.2f}{p_value}."
    )


def curves(found: Found, epochs: int) -> list[str]:
    """Mean and standard deviation of the accuracy after some epochs."""
    shown = sorted({1, 2, 3, 5, 10, 15, 20, 25, 30, 40, epochs} & set(range(1, epochs + 1)))
    lines = ["Accuracy in per cent after an epoch, mean ± sd over networks:", ""]
    lines += [f"| epoch | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for epoch in shown:
        cells = []
        for _, facts in found.values():
            values = 100 * np.array([one["accuracy"][epoch - 1] for one in facts if len(one["accuracy"]) >= epoch])
            cells.append(f"{values.mean():.2f} ± {spread(values)}".rstrip(" ±") if len(values) else "")
        lines.append(f"| {epoch} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures_at", metavar="FASHION_MNIST", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--networks", type=int, default=5, help="networks per row [5]; S4 trained 15")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--pictures", type=int, help="the first so many of either part, for a trial [all]")
    parser.add_argument("--ours", default="v2", help="network of our row: a name, or a JSON table with kind [v2]")
    parser.add_argument("--relu", action="store_true", help="S4's ReLU before the softmax; without it plain logits")
    parser.add_argument("--rows", default="", help="start of the names of the rows to train, S4 or ours [all]")
    parser.add_argument("--autoencoders", choices=("one", "each"), default="one")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    data = Data.read(options.pictures_at, options.pictures)
    per_epoch = max(1, len(data.train) // BATCH)
    every = rows(options.epochs, per_epoch, options.ours, options.relu)
    chosen = tuple(row for row in every if row.name.startswith(options.rows))
    with one_thread():
        if not options.table:
            encoders = options.networks if options.autoencoders == "each" else 1
            for name, minutes in expected_minutes(chosen, data, options.networks, encoders).items():
                print(f"expected for {name}: {minutes:.1f} minutes", flush=True)
            trainer = Trainer(data, options.results, options.device, options.autoencoders == "each")
            for place in range(options.networks):  # a network of each row in turn, so that a part of it compares
                for row in chosen:
                    trainer.train(row, place)
        text = table(collect(every, options.results, options.networks), data.test.labels, options.epochs)
    if options.output is None:
        print(text)
        return
    lead = f"# S4's classifier on Fashion-MNIST\n\n{' '.join((__doc__ or '').split(chr(10) * 2)[-1].split())}\n\n"
    command = shlex.join(["python", "benchmarks/s4_classifier.py", *sys.argv[1:]])
    tail = f"\n\nOne thread, {platform.processor() or platform.machine()}, torch {torch.__version__}.\n"
    options.output.write_text(f"{lead}    {command}\n\n{text}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
