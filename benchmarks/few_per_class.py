r"""CIFAR-10 with 50 training pictures a class, from scratch on the small wide residual network, over seeded draws.

    HANDFUL_DATA=... python benchmarks/few_per_class.py --results build/few --output docs/few_per_class.md

Beside 58.2 %, the tuned cross-entropy baseline on ciFAIR-10 at 50 pictures a class (Brigato et al. 2021): a larger
network (WRN-16-8) trained for longer, on a test part without near copies of training pictures. Ours are the JPEG copies
of CIFAR-10 and all its 10,000 test pictures. A draw whose file lies in RESULTS is not trained again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from handful import CNN, Augmentation, Training, View, load, open_source, rng
from handful.data.images import LabeledImages
from handful.nn.train import How, one_thread
from handful.study.store import read_json, write_json

PUBLISHED = 0.582


def recipe(steps: int) -> CNN:
    """Crop, flip and colour; a cosine with warm-up; nothing is chosen on the test part."""
    training = Training(steps=steps, lr=2e-3, weight_decay=0.1, warmup_steps=steps // 20, eval_every=steps)
    augment = Augmentation.preset("strong", flip_horizontal=True)
    return CNN(network="wide", view=View(size=32), training=training, augment=augment)  # type: ignore[arg-type]


def drawn(train: LabeledImages, per_class: int, draw: int) -> LabeledImages:
    stream = rng.numpy_rng(0, "few per class", draw)
    rows = [
        stream.choice(np.flatnonzero(train.labels == label), per_class, replace=False)
        for label in range(train.num_classes)
    ]
    return train.take(np.sort(np.concatenate(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder for a file per draw")
    parser.add_argument("--output", type=Path, help="Markdown [to the screen]")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--per-class", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "cifar10" / "cifar10.tar.gz")
    made, parts = recipe(options.steps), np.array(source.parts)
    whole, test = (load(source, made.view, np.flatnonzero(parts == part)) for part in ("train", "test"))
    found = []
    for draw in range(options.draws):
        path = options.results / f"{options.per_class}-{options.steps}-{draw}.json"
        facts = read_json(path)
        if facts is None:
            started = time.monotonic()
            few = drawn(whole, options.per_class, draw)
            with one_thread():
                fitted = made.fit(few, None, seed=draw, how=How(device=options.device))
                probs = fitted.predict_proba(test, device=options.device)
            accuracy = float((probs.argmax(1) == test.labels).mean())
            facts = {"accuracy": accuracy, "minutes": (time.monotonic() - started) / 60}
            write_json(path, facts)
            print(f"draw {draw}: {accuracy:.4f}, {facts['minutes']:.1f} minutes", flush=True)
        found.append(facts)
    text = table(found, options.per_class, options.steps, len(test))
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
            f"| `wide` (WRN-16-2), {steps} steps of 32 | {len(values)} | {values.mean():.1f} | {spread} | "
            f"{values.min():.1f} | {values.max():.1f} | {minutes:.1f} |",
            f"| Brigato et al. 2021, tuned cross-entropy, ciFAIR-10 | 10 | {100 * PUBLISHED:.1f} | | | | |",
            "",
            f"Scored on all {num_test:,} test pictures; `python benchmarks/few_per_class.py --steps {steps}`.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
