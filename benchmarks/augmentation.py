"""Pictures per second of the S1 recipe: handful on batches, albumentations and torchvision v2 picture by picture.

    python benchmarks/augmentation.py --output docs/augmentation_speed.md

Every contender starts from 128 uint8 pictures of 64 px and ends with one float tensor of the batch, which is what a
training step takes. In each round all of them run once, in a new random order, so that what else the machine does
meets all alike. Numbers are medians over rounds with 95 % intervals from order statistics.

albumentations is no dependency: where it is not installed, its row says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # before the import: no look at the network
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits gives its core away, also to other processes

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from handful.data.augment import Augmentation
from handful.data.draws import Draws

SIZE, BATCH = 64, 128
Contender = Callable[[int], torch.Tensor]


def smooth_pictures(seed: int) -> NDArray[np.uint8]:
    """Return uint8 [B, H, W, 3], areas and edges rather than noise: colours cost what they cost on photographs."""
    rough = torch.rand(BATCH, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(rough, size=SIZE, mode="bicubic").clamp(0, 1)
    return np.ascontiguousarray((smooth * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy())


def handful_batches(recipe: Augmentation) -> Contender:
    pixels = torch.from_numpy(smooth_pictures(0)).permute(0, 3, 1, 2).contiguous()
    draws, slots = Draws(BATCH, 0), np.arange(BATCH)
    return lambda step: recipe.apply(pixels, draws.at(np.full(BATCH, step), slots))


def albumentations_pictures(recipe: Augmentation) -> tuple[Contender | None, str]:
    try:
        A, cv2 = import_module("albumentations"), import_module("cv2")
    except ImportError:
        return None, "not installed"
    chain = A.Compose(
        [
            A.Rotate(limit=recipe.rotation, interpolation=cv2.INTER_LINEAR, border_mode=cv2.BORDER_REFLECT, p=1.0),
            A.Perspective(scale=recipe.perspective, keep_size=True, border_mode=cv2.BORDER_REFLECT, p=1.0),
            A.ColorJitter(
                brightness=recipe.brightness,
                contrast=recipe.contrast,
                saturation=recipe.saturation,
                hue=recipe.hue,
                p=1.0,
            ),
        ],
        seed=0,
    )
    pictures = smooth_pictures(0)

    def run(step: int) -> torch.Tensor:
        made = np.stack([chain(image=picture)["image"] for picture in pictures])
        return torch.from_numpy(made).permute(0, 3, 1, 2).float().div_(255)

    return run, A.__version__


def torchvision_pictures(recipe: Augmentation) -> tuple[Contender | None, str]:
    try:
        torchvision, v2 = import_module("torchvision"), import_module("torchvision.transforms.v2")
    except ImportError:
        return None, "not installed"
    bilinear = v2.InterpolationMode.BILINEAR
    chain = v2.Compose(
        [
            v2.RandomRotation(recipe.rotation, interpolation=bilinear),  # it has no reflected border
            v2.RandomPerspective(recipe.perspective[1], p=1.0, interpolation=bilinear),
            v2.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue),
        ]
    )
    pictures = torch.from_numpy(smooth_pictures(0)).permute(0, 3, 1, 2).contiguous()
    return lambda step: torch.stack([chain(one) for one in pictures]).float().div_(255), torchvision.__version__


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        import_module("cv2").setNumThreads(threads)
    except ImportError:
        return


def measure(contenders: dict[str, Contender], rounds: int) -> dict[str, list[float]]:
    """Return pictures per second of each round."""
    order = np.random.default_rng(0)
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for name in contenders:
        contenders[name](0)
        contenders[name](1)
    for step in range(rounds):
        for name in order.permutation(list(contenders)).tolist():
            started = time.perf_counter()
            contenders[name](step)
            speeds[name].append(BATCH / (time.perf_counter() - started))
    return speeds


def median(values: list[float]) -> str:
    """Return the median and its 95 % interval from order statistics."""
    ordered, num = sorted(values), len(values)
    low = int(binom.ppf(0.025, num, 0.5))
    return f"{np.median(ordered):.0f} ({ordered[max(0, low - 1)]:.0f} to {ordered[min(num - 1, num - low)]:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("docs/augmentation_speed.md"))
    options = parser.parse_args()
    recipe = Augmentation.preset("s1")
    others = {"albumentations": albumentations_pictures(recipe), "torchvision v2": torchvision_pictures(recipe)}
    names = {"handful, whole batches": handful_batches(recipe)}
    names |= {f"{name} {about}, per picture": run for name, (run, about) in others.items() if run is not None}
    table: dict[str, list[str]] = {name: [] for name in names}
    for threads in (1, 2):
        set_threads(threads)
        for name, speeds in measure(names, options.rounds).items():
            table[name].append(median(speeds))
    missing = {name: [about, about] for name, (run, about) in others.items() if run is None}
    rows = [f"| {name} | {' | '.join(cells)} |" for name, cells in {**table, **missing}.items()]
    command = shlex.join(["python", "benchmarks/augmentation.py", *sys.argv[1:]])
    text = f"""# Classical augmentation: pictures per second

`{command}`

The S1 recipe at {SIZE} px, batches of {BATCH}, from uint8 pictures to the float tensor of the batch: rotation up to
{recipe.rotation:g} degrees with reflected borders (torchvision: black), perspective {recipe.perspective[0]:.0%} to
{recipe.perspective[1]:.0%}, brightness, contrast and saturation within {recipe.brightness:.0%}, hue within
{recipe.hue:g} turns, each on every picture. n = {options.rounds} rounds, contenders in random order within each;
medians with 95 % intervals. {platform.machine()}, {os.cpu_count()} cores; load average over the run
{os.getloadavg()[1]:.1f}, so beyond the number of cores other processes shared them. torch {torch.__version__}, Python
{platform.python_version()}. Waiting threads sleep (OMP_WAIT_POLICY={os.environ["OMP_WAIT_POLICY"]}).

| | one thread | two threads |
|---|---|---|
{chr(10).join(rows)}
"""
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
