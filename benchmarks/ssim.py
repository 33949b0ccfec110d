"""SSIM of all pairs of 78 x 100 pictures, 3 x 64 x 64: handful and scikit-image in a loop, in one run.

    python benchmarks/ssim.py [--rounds 5]

In every round both run once, scikit-image first and last in turns, so that what else the machine does meets both.
Prints the seconds, the ratio of the medians with the smallest and largest ratio of a round, and the largest difference.
"""

from __future__ import annotations

import argparse
import os
import time
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits gives its core away, also to other processes

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from handful.measure.ssim import ssim_pairs

NUM, SIZE = (78, 100), 64
Pictures = NDArray[np.uint8]


def smooth(num: int, seed: int) -> Pictures:
    """Return uint8 [num, 3, SIZE, SIZE], areas and edges rather than noise."""
    rough = torch.rand(num, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    return np.asarray((torch.nn.functional.interpolate(rough, size=SIZE, mode="bicubic").clamp(0, 1) * 255).byte())


def loop(first: Pictures, second: Pictures) -> NDArray[np.float64]:
    return np.array(
        [[structural_similarity(one, other, channel_axis=0, data_range=255) for other in second] for one in first]  # type: ignore[no-untyped-call]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    first, second = smooth(NUM[0], 0), smooth(NUM[1], 1)
    seconds: dict[str, list[float]] = {"scikit-image": [], "handful": []}
    made: dict[str, NDArray[np.float64]] = {}
    contenders = [("scikit-image", loop), ("handful", ssim_pairs)]
    for number in range(given.rounds):
        for name, contender in contenders if number % 2 == 0 else contenders[::-1]:
            start = time.perf_counter()
            made[name] = contender(first, second)
            seconds[name].append(time.perf_counter() - start)
    ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
    for name, taken in seconds.items():
        print(f"{name:13} {median(taken):7.3f} s  ({min(taken):.3f} to {max(taken):.3f}, {given.rounds} rounds)")
    ratio = median(seconds["scikit-image"]) / median(seconds["handful"])
    print(f"ratio         {ratio:7.1f}    ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"difference    {np.abs(made['scikit-image'] - made['handful']).max():7.1e}")


if __name__ == "__main__":
    main()
