r"""CIFAR-10 with 50 training pictures a class, from scratch on a wide residual network, over seeded draws.

    HANDFUL_DATA=... python benchmarks/few_per_class.py --results build/few --output docs/few_per_class.md

Beside 58.2 %, the tuned cross-entropy baseline on ciFAIR-10 at 50 pictures a class (Brigato et al. 2021): the same
network, WRN-16-8, tuned for the set, on a test part without near copies of training pictures. Ours are the JPEG copies
of CIFAR-10 and all its 10,000 test pictures. A draw whose file lies in RESULTS is not trained again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from handful import CNN, Augmentation, Training, View, load, open_source, rng
from handful.data.images import LabeledImages
from handful.data.mix import Mix
from handful.nn.train import How, one_thread
from handful.study.store import read_json, write_json

PUBLISHED = 0.582


def recipe(steps: int) -> CNN:
    """Strong augmentation with flips and CutMix; a cosine with warm-up; nothing is chosen on the test part."""
    training = Training(steps=steps, lr=2e-3, weight_decay=0.1, warmup_steps=steps // 20, eval_every=steps)
    augment = Augmentation.preset("strong", flip_horizontal=True)
    return CNN(
        network={"kind": "wide", "width": 8},  # type: ignore[arg-type]  # a table of fields is read as a recipe
        view=View(size=32),
        training=training,
        augment=augment,
        mix=Mix(cutmix=1.0),
        tta="flips",
    )


def drawn(train: LabeledImages, per_class: int, draw: int) -> LabeledImages:
    stream = rng.numpy_rng(0, "few per class", draw)
    rows = [
        stream.choice(np.flatnonzero(train.labels == label), per_class, replace=False)
        for label in range(train.num_classes)
    ]
    return train.take(np.sort(np.concatenate(rows)))


def trained(made: CNN, few: LabeledImages, test: LabeledImages, draw: int, device: str) -> dict[str, float]:
    """Return the accuracy on the test part of one fit to a draw, and its minutes."""
    started = time.monotonic()
    with one_thread():
        fitted = made.fit(few, None, seed=draw, how=How(device=device))
        probs = fitted.predict_proba(test, device=device)
    accuracy = float((probs.argmax(1) == test.labels).mean())
    return {"accuracy": accuracy, "minutes": (time.monotonic() - started) / 60}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder for a file per draw")
    parser.add_argument("--output", type=Path, help="Markdown [to the screen]")
    parser.add_argument("--draws", type=int, nargs="+", default=list(range(10)), help="numbers of draws")
    parser.add_argument("--per-class", type=int, default=50)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="draws trained at a time")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "cifar10" / "cifar10.tar.gz")
    made, parts = recipe(options.steps), np.array(source.parts)
    whole, test = (load(source, made.view, np.flatnonzero(parts == part)) for part in ("train", "test"))
    paths = {draw: options.results / f"{options.per_class}-{options.steps}-{draw}.json" for draw in options.draws}
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {
            pool.submit(trained, made, drawn(whole, options.per_class, draw), test, draw, options.device): path
            for draw, path in paths.items()
            if not path.exists()
        }
        for done in as_completed(running):
            write_json(running[done], done.result())
            print(f"{running[done].name}: {done.result()}", flush=True)
    text = table([read_json(path) or {} for path in paths.values()], options.per_class, options.steps, len(test))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def table(found: list[dict[str, float]], per_class: int, steps: int, num_test: int) -> str:
    values = 100 * np.array([one["accuracy"] for one in found])
    minutes = np.mean([one["minutes"] for one in found])
    spread = f"{values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return "\n".join(
        [
            f"# CIFAR-10 (JPEG copies), {per_class} training pictures a class, from scratch",
            "",
            "| what | draws | mean accuracy | sd of the draws | lowest | highest | minutes a fit |",
            "|---|---|---|---|---|---|---|",
            f"| `wide` (WRN-16-8), CutMix, {steps} steps of 32 | {len(values)} | {values.mean():.1f} | {spread} | "
            f"{values.min():.1f} | {values.max():.1f} | {minutes:.1f} |",
            f"| Brigato et al. 2021, tuned cross-entropy, ciFAIR-10 | 10 | {100 * PUBLISHED:.1f} | | | | |",
            "",
            f"Scored on all {num_test:,} test pictures; `python benchmarks/few_per_class.py --steps {steps}`.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
