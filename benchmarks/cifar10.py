r"""CIFAR-10, all 50,000 training pictures: a fast residual recipe from scratch, on a GPU.

    HANDFUL_DATA=... python benchmarks/cifar10.py --device cuda --results build/cifar10 --output docs/cifar10.md

The JPEG copies of CIFAR-10 and all 10,000 test pictures, 25 epochs as the networks of S2 have them. `--held-out 5000`
scores on as many of the training pictures instead, which are then not trained on: what the recipe was chosen on. A
training whose file lies in RESULTS is not done again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from handful import CNN, Augmentation, Training, View, load, open_source, rng
from handful.nn.train import How
from handful.scores import SCORES
from handful.study.store import read_json, write_json

SHOWN = ("accuracy", "log_loss")


def recipe(epochs: int) -> CNN:
    """A residual network of 64 filters; shifts and flips, one cycle of Nesterov's momentum, smoothed labels."""
    training = Training(
        epochs=epochs,
        batch_size=512,
        optimizer="sgd",
        lr=0.4,
        weight_decay=5e-4,
        decay_norms=False,
        schedule="one-cycle",
        eval_every=10_000,
    )
    return CNN(
        network={"kind": "residual", "width": 64, "standardised": False},  # type: ignore[arg-type]
        view=View(size=32),
        training=training,
        augment=Augmentation.preset("crop", crop=0.125, flip_horizontal=True),
        label_smoothing=0.1,
        tta="flips",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder for a file per training")
    parser.add_argument("--output", type=Path, help="Markdown [to the screen]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--held-out", type=int, default=0, help="score on so many training pictures [the test part]")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "cifar10" / "cifar10.tar.gz")
    made, parts = recipe(options.epochs), np.array(source.parts)
    train, test = (load(source, made.view, np.flatnonzero(parts == part)) for part in ("train", "test"))
    if options.held_out:
        order = rng.numpy_rng(0, "held out").permutation(len(train))
        train, test = train.take(np.sort(order[options.held_out :])), train.take(np.sort(order[: options.held_out]))
    found = []
    for seed in range(options.seeds):
        path = options.results / f"{options.epochs}-{options.held_out}-{seed}.json"
        facts = read_json(path)
        if facts is None:
            started = time.monotonic()
            fitted = made.fit(train, None, seed=seed, how=How(device=options.device))
            seconds = time.monotonic() - started
            probs = fitted.predict_proba(test, device=options.device)
            facts = {"seconds": seconds, **{name: SCORES[name].value(test.labels, probs) for name in SHOWN}}
            write_json(path, facts)
            print(f"seed {seed}: {facts}", flush=True)
        found.append(facts)
    text = table(found, options.epochs, len(train), len(test))
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def table(found: list[dict[str, float]], epochs: int, num_train: int, num_test: int) -> str:
    each = " ".join(f"{one['accuracy']:.4f}" for one in found)
    accuracy, loss, seconds = (np.mean([one[name] for one in found]) for name in (*SHOWN, "seconds"))
    lines = [
        f"# CIFAR-10 (JPEG copies), {num_train:,} training pictures, from scratch",
        "",
        "| recipe | epochs | accuracy of each training | mean | log loss | s a fit |",
        "|---|---|---|---|---|---|",
        f"| fast residual | {epochs} | {each} | {accuracy:.4f} | {loss:.3f} | {seconds:.0f} |",
        "",
        f"Scored on {num_test:,} pictures; `python benchmarks/cifar10.py --epochs {epochs}`.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
