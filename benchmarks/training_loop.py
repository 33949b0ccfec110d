"""What the training loop costs over the bare forward, backward and optimizer step of the same network.

    python benchmarks/training_loop.py --output docs/training_loop_speed.md

Both gather the same batches from one uint8 tensor and use the same optimizer. Blocks of steps alternate, in random
order, so that what else the machine does meets both alike; the ratio is that of the medians over blocks. A second table
compares ten DCGANs, one per class, trained one after another and as one program.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from handful.data.images import LabeledImages
from handful.generate.gan import GAN
from handful.nn.batches import Batches
from handful.nn.networks import network_of
from handful.nn.train import How, Training, train_networks

NUM, CLASSES, BATCH = 256, 10, 32
SIZES = (("base", 16), ("v2", 32), ("v3", 64))


def pictures(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return uint8 [NUM, 3, size, size] and labels."""
    stream = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (NUM, 3, size, size), dtype=torch.uint8, generator=stream)
    return pixels, torch.randint(0, CLASSES, (NUM,), generator=stream)


def contenders(name: str, size: int, steps: int) -> tuple[Callable[[int], float], Callable[[int], float]]:
    """Return two functions of a block's number that give the seconds of `steps` steps: bare, and through the loop."""
    pixels, labels = pictures(size)
    recipe = Training(steps=steps, batch_size=BATCH, schedule="constant", eval_every=steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mine, theirs = (network_of(name).build(3, size, CLASSES, None) for _ in range(2))

    def loss(network: nn.Module, index: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(network(pixels[index].float() / 255), labels[index])

    optimizer = torch.optim.AdamW(theirs.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)

    def bare(block: int) -> float:
        order = [torch.from_numpy(Batches(NUM, BATCH, block).at(step).index) for step in range(steps)]
        theirs.train()
        started = time.perf_counter()
        for index in order:
            optimizer.zero_grad(set_to_none=True)
            loss(theirs, index).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return time.perf_counter() - started

    def loop(block: int) -> float:
        started = time.perf_counter()
        train_networks(
            {"network": mine},
            lambda batch: iter([("network", loss(mine, torch.from_numpy(batch.index)))]),
            recipe=recipe,
            num=NUM,
            seed=block,
        )
        return time.perf_counter() - started

    return bare, loop


def overhead(name: str, size: int, blocks: int) -> str:
    """Return a row: milliseconds a step bare and through the loop, and their ratio."""
    steps = {"base": 200, "v2": 60, "v3": 20}[name]
    both = contenders(name, size, steps)
    for run in both:
        run(0)
    seconds: tuple[list[float], list[float]] = ([], [])
    order = np.random.default_rng(0)
    for block in range(1, blocks + 1):
        for place in order.permutation(2):
            seconds[place].append(both[place](block))
    bare, loop = (float(np.median(times)) / steps * 1000 for times in seconds)
    return f"| {name}, {size} px | {bare:.2f} | {loop:.2f} | {loop / bare:.3f} |"


def stacked(device: str, size: int, steps: int) -> str:
    """Return a row: seconds of ten per-class DCGANs one after another and as one program."""
    pixels = np.random.default_rng(0).integers(0, 256, (10 * 20, 3, size, size), dtype=np.uint8)
    train = LabeledImages.of_arrays(pixels, np.repeat(np.arange(10), 20))
    training = GAN().training.changed(steps=10 * steps, eval_every=10 * steps, batch_size=16)
    seconds = []
    for as_one in (False, True):
        recipe = GAN(scope="per-class", stacked=as_one, training=training)
        recipe.changed(training=training.changed(steps=10)).fit(train, None, seed=0, how=How(device=device))
        started = time.perf_counter()
        recipe.fit(train, None, seed=0, how=How(device=device))
        seconds.append(time.perf_counter() - started)
    one_by_one, together = seconds
    return f"| {device} | {size} px | {one_by_one:.1f} | {together:.1f} | {one_by_one / together:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=15, help="blocks of steps per contender")
    parser.add_argument("--device", default="cpu", help="of the stacked comparison")
    parser.add_argument("--sizes", type=int, nargs="*", default=[16, 32], help="pixels of the stacked comparison")
    parser.add_argument("--steps", type=int, default=30, help="steps of each network of the stacked comparison")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    given = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"{platform.system()} {platform.machine()}, torch {torch.__version__}, one thread"
    lines = ["# Speed of the training loop", "", f"`python benchmarks/training_loop.py`: {machine}.", ""]
    lines += [f"Batches of {BATCH}; milliseconds a step, medians of {given.blocks} blocks.", ""]
    lines += ["| network | bare | loop | loop / bare |", "|---|---|---|---|"]
    lines += [overhead(name, size, given.blocks) for name, size in SIZES]
    lines += ["", "Ten DCGANs, one per class, batches of 16, seconds of the whole fit with its last look.", ""]
    lines += ["| device | pictures | one after another | as one program | ratio |", "|---|---|---|---|---|"]
    lines += [stacked(given.device, size, given.steps) for size in given.sizes]
    text = "\n".join([*lines, ""])
    print(text)
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
