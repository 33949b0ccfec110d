"""The published presets on the road signs at 64 px: started, stopped at a checkpoint and gone on with.

    HANDFUL_DATA=... python benchmarks/presets.py --output docs/presets.md

Every preset of a 64 px generator is fitted with its published number of epochs to the ten classes, is stopped after
`--seconds` of steps and one checkpoint, and is started again: it must go on from the checkpoint, not from the first
step. On a CPU nothing is trained to its end; with `--whole` (a GPU) everything is, and the time is that of the fit.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from handful import View, load, open_source
from handful.data.images import LabeledImages
from handful.generate.autoencoder import Autoencoder
from handful.generate.diffusion import Diffusion
from handful.generate.gan import GAN
from handful.generate.neural import NeuralRecipe
from handful.generate.vae import VAE
from handful.nn.train import How, one_thread

VIEW = View(size=64, channels=3)
PRESETS: dict[str, NeuralRecipe] = {
    "S0 autoencoder": Autoencoder.preset("s0"),
    "S0 VAE": VAE.preset("s0"),
    "S0 GAN, experiment 1": GAN.preset("s0-1"),
    "S0 GAN, experiment 2": GAN.preset("s0-2"),
    "S0 GAN, experiment 3": GAN.preset("s0-3"),
    "S1 VAE": VAE.preset("s1"),
    "S1 DCGAN": GAN.preset("s1"),
    "S1 diffusion": Diffusion.preset("s1"),
}


class StoppedOnPurpose(Exception):  # noqa: N818  # not a fault
    """The fit has been stopped on purpose."""


class Clock:
    """Stops a fit some seconds after its first step, and remembers which steps it saw."""

    def __init__(self, seconds: float, at_least: int = 1) -> None:
        self.seconds, self.at_least = seconds, at_least
        self.first, self.last, self.total, self.started = 0, 0, 0, 0.0

    def __call__(self, done: int, total: int) -> None:
        if not self.first:
            self.first, self.started = done, time.perf_counter()
        self.last, self.total = done, total
        if done - self.first >= self.at_least and time.perf_counter() - self.started > self.seconds:
            raise StoppedOnPurpose


def stopped(recipe: NeuralRecipe, train: LabeledImages, val: LabeledImages, how: How, clock: Clock) -> None:
    try:
        with one_thread():
            recipe.fit(train, val, seed=0, how=how)
    except StoppedOnPurpose:
        return
    raise SystemExit("the fit ended before it was stopped; give fewer --seconds")


def row(name: str, recipe: NeuralRecipe, parts: tuple[LabeledImages, LabeledImages], seconds: float) -> str:
    """Return a row: steps of the whole fit, where it was stopped, where it went on, and hours that are left."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fit.checkpoint"
        first, again = Clock(seconds, 2), Clock(0.0)
        stopped(recipe, *parts, How(checkpoint=file, checkpoint_seconds=0.0, progress=first), first)
        kept = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        stopped(recipe, *parts, How(checkpoint=file, checkpoint_seconds=1e9, progress=again), again)
    pace = (time.perf_counter() - again.started) / max(1, again.last - again.first)
    if again.first <= 1:
        raise SystemExit(f"{name}: started again from step {again.first}, not from the checkpoint")
    epochs = ", ".join(str(epochs) for _, epochs in recipe.epochs_by_size) or str(recipe.training.epochs)
    hours = pace * again.total / 3600
    return (
        f"| {name} | {recipe.scope} | {epochs} | {again.total:,} | {first.last} | {again.first} | {kept:.0f} | "
        f"{pace:.2f} | {hours:,.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of steps before the stop")
    parser.add_argument("--whole", action="store_true", help="train to the end instead, for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    given = parser.parse_args()
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "traffic-signs" / "traffic-signs-10.zip")
    rows = np.flatnonzero(np.array(source.parts) == "train")
    held = np.concatenate([rows[source.labels[rows] == label][:2] for label in range(source.num_classes)])
    parts = load(source, VIEW, np.setdiff1d(rows, held)), load(source, VIEW, held)
    lines = [
        "| preset | networks | epochs | steps in all | stopped after step | went on with step | checkpoint, MiB | "
        "seconds a step | hours in all |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, recipe in PRESETS.items():
        if given.whole:
            started = time.perf_counter()
            made = recipe.fit(*parts, seed=0, how=How(device=given.device))
            steps = sum(part["steps_done"] for part in made.history.values())
            hours = (time.perf_counter() - started) / 3600
            lines.append(f"| {name} | {recipe.scope} | | {steps:,} | | | | {3600 * hours / steps:.2f} | {hours:.2f} |")
        else:
            lines.append(row(name, recipe, parts, given.seconds))
        print(lines[-1], flush=True)
    text = "\n".join(
        [
            "# Published presets at 64 px, started and gone on with",
            "",
            f"`python benchmarks/presets.py`, {len(parts[0])} training pictures of ten road signs, "
            f"{given.device}, {platform.machine()}, torch {torch.__version__}, one thread. "
            + ("Trained to the end." if given.whole else "The pace is that of one or two steps; none was trained on."),
            "",
            *lines,
            "",
        ]
    )
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
