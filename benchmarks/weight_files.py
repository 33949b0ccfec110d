"""VGG16, ResNet50 and InceptionV3 trained from a weight file, on the 30 animals: what they start from, and their loss.

    HANDFUL_DATA=... python benchmarks/weight_files.py --output docs/weight_files.md

Published weights cannot be had everywhere, so each file is made here: the state dict of torchvision's own model with
random weights from a seed, saved by torch. It is read as any file of weights is (`weights_only`), its digest stands in
the result, and with the body frozen what the classifier keeps of it equals the file to the bit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torchvision import models  # type: ignore[import-untyped]

from handful import CNN, Training, View, load, open_source, rng
from handful.classify.tuning import Tuning
from handful.nn.train import one_thread

NETWORKS = ("vgg16", "resnet50", "inception_v3")


def made_file(kind: str, folder: Path) -> Path:
    with rng.forked(0):
        options = {"init_weights": True} if kind == "inception_v3" else {}
        network = models.get_model(kind, **options)
    torch.save(network.state_dict(), folder / f"{kind}.pth")
    return folder / f"{kind}.pth"


def row(kind: str, folder: Path, size: int, steps: int) -> str:
    file = made_file(kind, folder)
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / "animals-caltech101" / "animals-caltech101.zip")
    view = View(size=size, resize="crop")
    whole = load(source, view)
    train = whole.take(np.sort(rng.numpy_rng(0, "some").choice(len(whole), 320, replace=False)))
    training = Training(steps=steps, lr=1e-4, schedule="constant", eval_every=max(1, steps // 4))
    network = {"kind": kind, "weights": str(file), "hidden": [256]}
    started = time.monotonic()
    with one_thread():
        fitted = CNN(network=network, view=view, training=training).fit(train, None, seed=0)  # type: ignore[arg-type]
    minutes = (time.monotonic() - started) / 60
    frozen = training.changed(steps=2, eval_every=2)
    recipe = CNN(network=network, view=view, training=frozen, tuning=Tuning(frozen=True))  # type: ignore[arg-type]
    with one_thread():
        kept = recipe.fit(train.take(np.arange(64)), None, seed=0)
    state = torch.load(file, weights_only=True)
    own = kept.module.network.state_dict()
    tensors = {tuple(value.shape): value for value in own.values()}
    first = next(value for name, value in state.items() if name.endswith("weight"))
    equal = "yes" if torch.equal(tensors[tuple(first.shape)].cpu(), first) else "no"
    losses = [look["classifier"] for look in fitted.history["train_loss"]]
    told = fitted.start["source"].replace(str(folder), "FOLDER")
    shown = " ".join(f"{loss:.2f}" for loss in losses)
    return f"| `{kind}` | {told} | {fitted.start['digest'][:12]} | {equal} | {shown} | {minutes:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--size", type=int, default=80, help="px; InceptionV3 needs 75")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(kind, Path(folder), options.size, options.steps) for kind in options.networks]
    text = "\n".join(
        [
            "# Training from a weight file",
            "",
            f"320 pictures of 30 animals at {options.size} px, {options.steps} steps of 32, all layers trained. The "
            "weights of the files are random, so scores mean nothing and are not shown; the training loss should fall.",
            "",
            "| network | started from | SHA-256 | first layer kept when frozen | training loss by quarter | minutes |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
