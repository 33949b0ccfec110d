r"""Steps a second of EfficientNet-Lite0 by one process and by several that share a device.

    python benchmarks/side_by_side.py --device cuda --processes 1 10

Each process trains the recommended classifier (128 px, batches of 32, strong augmentation) on pictures of noise; the
first steps, which load the device's code, are not counted. What several do together is the sum of what each does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from handful.classify.recommend import Facts, for_steps, recommend
from handful.data.images import LabeledImages
from handful.nn.train import How, one_thread

CLASSES, EACH, SIZE, WARM = 10, 20, 128, 10


def steps_a_second(steps: int, device: str, seed: int) -> float:
    facts = Facts(counts=(EACH,) * CLASSES, side=SIZE, weights=True, size=SIZE)
    made = for_steps(recommend(facts).classifier, WARM + steps)
    pixels = np.random.default_rng(seed).integers(0, 256, (CLASSES * EACH, 3, SIZE, SIZE), dtype=np.uint8)
    images = LabeledImages.of_arrays(pixels, np.repeat(np.arange(CLASSES), EACH), tuple("abcdefghij"))
    at: dict[int, float] = {}
    with one_thread():
        how = How(device=device, progress=lambda step, whole: at.update({step: time.monotonic()}))
        made.changed(training=made.training.changed(eval_every=WARM)).fit(images, None, seed=seed, how=how)
    return steps / (at[WARM + steps] - at[WARM])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print("| processes | steps a second of each | together |\n|---|---|---|")
    for num in options.processes:
        with ProcessPoolExecutor(num, mp_context=multiprocessing.get_context("spawn")) as pool:
            each = list(pool.map(partial(steps_a_second, options.steps, options.device), range(num)))
        print(f"| {num} | {min(each):.2f} to {max(each):.2f} | {sum(each):.1f} |", flush=True)


if __name__ == "__main__":
    main()
