"""Reconstruction error on Fashion-MNIST: S4's autoencoder beside its published numbers, and ours at the same codes.

    python benchmarks/s4_autoencoder.py FASHION_MNIST --results RESULTS --output docs/s4_autoencoder.md

FASHION_MNIST is the folder with the four IDX files, RESULTS one for a JSON file per row: a row that is there is not
trained again, and one that was interrupted goes on from its checkpoint. Without `--output` the table goes to the
screen; `--table` trains nothing.

Every network is trained on the 60,000 training pictures for 20 epochs of 600 batches of 100 and scored after every
epoch on the 10,000 test pictures, which choose nothing. None is told the class. The error is the mean over pictures and
pixels of the squared difference, pixels in [0, 1]. `PCA` is the best linear code of the length.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handful import rng
from handful.data.arrays import from_idx
from handful.generate.autoencoder import Autoencoder
from handful.nn.batches import Batch
from handful.nn.train import How, Training, one_thread, train_networks
from handful.study.store import read_json, write_json

SEED, EPOCH, SCORED = 0, 600, 1000
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One training: what it is called, its recipe, and the error S4 printed for it (None: ours)."""

    name: str
    recipe: Autoencoder
    published: float | None = None


def ours(latent: int) -> Autoencoder:
    """Batch norm, strides instead of pooling, a linear code without dropout, AdamW with a cosine schedule."""
    training = Training(epochs=20, batch_size=100, lr=2e-3, weight_decay=0.0, eval_every=EPOCH)
    return Autoencoder(depth=2, latent=latent, training=training)


ROWS = (
    Row("s4 n=64 p=0.2", Autoencoder.preset("s4", latent=64, dropout=0.2), 0.037),
    Row("ours n=128", ours(128)),
    Row("s4 n=128 p=0.01", Autoencoder.preset("s4", latent=128, dropout=0.01), 0.021),
    Row("s4 n=64 p=0.01", Autoencoder.preset("s4", latent=64, dropout=0.01), 0.023),
    Row("s4 n=64 p=0.05", Autoencoder.preset("s4", latent=64, dropout=0.05), 0.025),
    Row("s4 n=128 p=0.2", Autoencoder.preset("s4", latent=128, dropout=0.2), 0.031),
    Row("ours n=64", ours(64)),
    Row("s4 n=256 p=0.2", Autoencoder.preset("s4", latent=256, dropout=0.2), 0.031),
    Row("s4 n=512 p=0.2", Autoencoder.preset("s4", latent=512, dropout=0.2), 0.029),
    Row("ours n=256", ours(256)),
    Row("ours n=512", ours(512)),
)


def slug(row: Row) -> str:
    return row.name.replace(" ", "-").replace("=", "")


def train_row(row: Row, train: Pixels, test: Pixels, folder: Path, device: str) -> dict[str, Any]:
    """Return the curve and the cost of one row."""
    with rng.forked(rng.derive(SEED, "init")):
        nets = row.recipe.networks(1, 28, 0)
    for network in nets.values():
        network.to(device)
    pixels, held = (torch.from_numpy(part).to(device) for part in (train, test))
    labels = torch.zeros(SCORED, dtype=torch.int64, device=device)

    def step(batch: Batch) -> Iterator[tuple[str, torch.Tensor]]:
        images = pixels[torch.from_numpy(batch.index).to(device)].float() / 255
        stream = rng.torch_rng(SEED, "noise", batch.step, device=device)
        noise = row.recipe.noise((len(images), 1, 28, 28), stream, device)
        for name, loss in row.recipe.phases:
            yield name, loss(nets, images, labels[: len(images)], noise, 1.0)

    looks = []

    def evaluate() -> dict[str, float]:
        total = 0.0
        for images in torch.split(held, SCORED):
            real = images.float() / 255
            total += float(((row.recipe.rebuild_with(nets, real, labels) - real) ** 2).mean(dim=(1, 2, 3)).sum())
        print(f"  {time.strftime('%H:%M:%S')} {row.name}: test {total / len(held):.5f}", flush=True)
        looks.append(time.monotonic())
        return {"loss": total / len(held)}

    started = time.monotonic()
    how = How(device=device, checkpoint=folder / "checkpoints" / f"{slug(row)}.pt")
    training = row.recipe.training
    history = train_networks(nets, step, recipe=training, num=len(train), seed=SEED, evaluate=evaluate, how=how)
    return {
        "name": row.name,
        "recipe": row.recipe.to_json(),
        "parameters": sum(tensor.numel() for network in nets.values() for tensor in network.parameters()),
        "test": [values["loss"] for values in history.values],
        "train": [means["autoencoder"] for means in history.train_loss],
        "epoch_seconds": (looks[-1] - started) / len(looks),  # of those since it was started or went on
        "device": device,
        "torch": torch.__version__,
    }


def linear_errors(train: Pixels, test: Pixels, lengths: tuple[int, ...]) -> dict[int, float]:
    """Return the test error of the first principal components of the training pictures, by their number."""
    flat, held = (part.reshape(len(part), -1).astype(np.float64) / 255 for part in (train, test))
    mean = flat.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(flat - mean, rowvar=False))
    errors = {}
    for length in lengths:
        basis = vectors[:, -length:]
        errors[length] = float((((held - mean) @ basis @ basis.T - (held - mean)) ** 2).mean())
    return errors


def table(found: dict[str, dict[str, Any]], linear: dict[int, float]) -> str:
    """Return the rows that are there as Markdown, by code length and dropout."""
    best = {
        length: min(row.published for row in ROWS if row.published and row.recipe.latent == length) for length in linear
    }
    lines = [
        "| network | code | dropout | S4 printed | test | training, last epoch | of S4's best at this code | "
        "parameters | seconds an epoch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(ROWS, key=lambda row: (row.recipe.latent, row.published is None, -row.recipe.dropout)):
        if row.name not in found:
            continue
        made, length = found[row.name], row.recipe.latent
        printed = "" if row.published is None else f"{row.published:.3f}"
        lines.append(
            f"| {'ours' if row.published is None else 'S4'} | {length} | {row.recipe.dropout:g} | {printed} | "
            f"{made['test'][-1]:.4f} | {made['train'][-1]:.4f} | {made['test'][-1] / best[length]:.2f} | "
            f"{made['parameters']:,} | {made['epoch_seconds']:.0f} |"
        )
    for length, error in linear.items():
        lines.append(f"| PCA | {length} | | | {error:.4f} | | {error / best[length]:.2f} | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rows", help="start of the names of the rows to train, such as s4 or ours [all]", default="")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    given = from_idx(options.pictures)
    parts = np.array(given.parts)
    train, test = (np.ascontiguousarray(given.pixels[parts == part]) for part in ("train", "test"))
    found = {}
    for row in (row for row in ROWS if row.name.startswith(options.rows)):
        path = options.results / f"{slug(row)}.json"
        made = read_json(path)
        if made is None and not options.table:
            print(f"{time.strftime('%H:%M:%S')} {row.name}", flush=True)
            with one_thread():
                made = train_row(row, train, test, options.results, options.device)
            write_json(path, made)
        if made is not None:
            found[row.name] = made
    text = table(found, linear_errors(train, test, tuple(sorted({row.recipe.latent for row in ROWS}))))
    if options.output is None:
        print(text)
        return
    lead = f"# S4's autoencoder on Fashion-MNIST\n\n{' '.join((__doc__ or '').split(chr(10) * 2)[-1].split())}\n\n"
    command = shlex.join(["python", "benchmarks/s4_autoencoder.py", *sys.argv[1:]])
    tail = f"\n\nSeed {SEED}, one thread, {platform.processor() or platform.machine()}, torch {torch.__version__}.\n"
    options.output.write_text(f"{lead}    {command}\n\n{text}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
