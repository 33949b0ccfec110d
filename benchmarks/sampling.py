"""Few steps of DPM-Solver++ against 1000 ancestral steps of the same trained diffusion model: time and distance.

    HANDFUL_DATA=... python benchmarks/sampling.py --steps 2000 --pictures 128 --output docs/sampling_speed.md

A conditional `Diffusion` is trained on the ten road-sign classes at 32 px (or read with --generator). Every sampler
draws the same labels from the same seeds, in the shares of the training part. Seconds are processor seconds of one
thread, so that what else the machine does is left out. Kernel distances are to the held-out test pictures, in features
of EfficientNet-Lite0, with the interval of `handful.measure.kernel` (jackknife over pictures: a bootstrap draws
pictures twice, which biases an unbiased estimate). The bar is the interval of the ancestral sampler.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from handful import View, load, open_source
from handful.data.images import LabeledImages
from handful.generate.contract import Generator
from handful.generate.diffusion import Diffusion
from handful.generate.table import load_generator
from handful.measure.extractors import extractor_of
from handful.measure.kernel import kernel_estimate
from handful.nn.train import How

CONTENDERS = (("ddpm", 1000), ("dpm-solver++", 20), ("dpm-solver++", 25), ("ddim", 25), ("ddpm", 25))
GOAL = 30.0


def parts() -> tuple[LabeledImages, LabeledImages]:
    """Training and test pictures of the road signs, 32 px."""
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "traffic-signs" / "traffic-signs-10.zip")
    part, view = np.array(source.parts), View(size=32, channels=3)
    return load(source, view, np.flatnonzero(part == "train")), load(source, view, np.flatnonzero(part == "test"))


def trained(train: LabeledImages, steps: int) -> Generator:
    recipe = Diffusion()
    recipe = recipe.changed(training=recipe.training.changed(steps=steps, eval_every=steps))
    started = time.monotonic()

    def progress(done: int, of: int) -> None:
        if done % 100 == 0:
            print(f"step {done} of {of}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)

    return recipe.fit(train, None, seed=0, how=How(progress=progress))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="training steps")
    parser.add_argument("--generator", type=Path, help="a saved diffusion generator instead of training one")
    parser.add_argument("--pictures", type=int, default=128, help="pictures drawn by each sampler")
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    train, test = parts()
    generator = load_generator(given.generator) if given.generator else trained(train, given.steps)
    recipe = generator.recipe
    if not isinstance(recipe, Diffusion):
        sys.exit(f"{given.generator} holds a generator of kind {recipe.kind!r}, not 'diffusion'")
    labels = train.labels[np.linspace(0, len(train) - 1, given.pictures).astype(int)]
    extractor = extractor_of("lite0")
    real = extractor.features(test.pixels)
    rows, bar, slow = [], None, 0.0
    for sampler, steps in CONTENDERS:
        one = replace(generator, recipe=recipe.changed(sampler=sampler, sample_steps=steps))
        started = time.process_time()
        made = one.sample(labels, seeds=range(given.pictures))
        seconds = time.process_time() - started
        found = kernel_estimate(real=real, synthetic=extractor.features(made.pixels))
        bar, slow = bar or found, slow or seconds
        inside = "yes" if bar.low <= found.value <= bar.high else "no"
        rows.append(
            f"| {sampler} | {steps} | {seconds / given.pictures:.3f} | {slow / seconds:.1f} | "
            f"{found.value:.4f} | {found.low:.4f} to {found.high:.4f} | {inside} |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    ceiling = kernel_estimate(real=real, synthetic=extractor.features(train.pixels))
    text = "\n".join(
        [
            "# Sampling speed",
            "",
            f"`python {shlex.join(sys.argv)}`, {platform.machine()}, torch {torch.__version__}, one thread; "
            f"{given.pictures} pictures of 32 px, {len(test)} real test pictures, guidance {recipe.guidance}, trained "
            f"for {recipe.training.steps} steps. Goal: at least {GOAL:.0f} times faster at 20 to 25 steps, inside the "
            "interval of 1000 ancestral steps.",
            "",
            "| sampler | steps | CPU s a picture | times faster | kernel distance (lite0) | 95 % interval | inside |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"The training pictures themselves: {ceiling.value:.4f} ({ceiling.low:.4f} to {ceiling.high:.4f}).",
        ]
    )
    print(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
