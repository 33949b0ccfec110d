"""Training speed of a classifier, in pictures a second, beside a plain PyTorch loop, Keras and fastai.

    pip install keras fastai          # peers; neither is a dependency of handful
    HANDFUL_DATA=... KERAS_BACKEND=torch python benchmarks/classifier_speed.py --output docs/classifier_speed.md

The same network from the same weights (the peers' with torch's own dropout and memory format, as one who writes a loop
has them), the same batch size and optimizer (AdamW), the same pictures, one thread. Each contender trains blocks of the
same number of steps, in random order, so that what else the machine does meets all alike; a block is timed from the
call of its fit to its end, with whatever the contender prepares. The ratio is that of the medians over blocks. The
plain loop is the usual one: a Dataset that gives one float picture and its label, and a DataLoader that shuffles and
collates, here without worker processes, which would take the cores from training.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from handful import CNN, View, load, open_source
from handful.classify.cnn import Normalised, started
from handful.data.images import LabeledImages
from handful.nn.dropout import Dropout
from handful.nn.train import Training

Block = Callable[[], float]
CASES: dict[str, tuple[str, Any, int, int, int]] = {  # data, network, size, batch, steps of a block
    "V3 on CIFAR-10 (JPEG copies)": ("cifar10/cifar10.tar.gz", "v3", 32, 128, 48),
    "S4's classifier on Fashion-MNIST": (
        "fashion-mnist",
        {"kind": "encoder", "family": "s4", "latent": 64, "dropout": 0.2},
        28,
        100,
        100,
    ),
}


class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """One picture as float in [0, 1], and its label."""

    def __init__(self, part: LabeledImages) -> None:
        self.pixels, self.labels = torch.from_numpy(np.array(part.pixels)), part.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return self.pixels[place].float() / 255, self.labels[place]


def timed(work: Callable[[], object]) -> float:
    started_at = time.perf_counter()
    work()
    return time.perf_counter() - started_at


class Plain(nn.Module):
    """A network as torch makes it: its own dropout and memory format, behind the same normalisation."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, ours: Normalised) -> None:
        super().__init__()
        self.network = ours.network.to(memory_format=torch.contiguous_format)
        self.register_buffer("mean", ours.mean)
        self.register_buffer("std", ours.std)
        for parent in self.network.modules():
            for name, child in parent.named_children():
                if isinstance(child, Dropout):
                    setattr(parent, name, nn.Dropout(child.p))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network((images - self.mean) / self.std)
        return logits


def handful_block(recipe: CNN, part: LabeledImages) -> Block:
    return lambda: timed(lambda: recipe.fit(part, None, seed=0))


def plain_block(recipe: CNN, part: LabeledImages, module: nn.Module) -> Block:
    training, data = recipe.training, Pictures(part)
    optimizer = torch.optim.AdamW(module.parameters(), lr=training.lr, weight_decay=training.weight_decay)

    def work() -> None:
        module.train()
        for images, labels in torch.utils.data.DataLoader(data, training.batch_size, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            F.cross_entropy(module(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return lambda: timed(work)


def keras_block(recipe: CNN, part: LabeledImages, module: nn.Module) -> Block:
    import keras

    training = recipe.training
    images = np.asarray(part.pixels, dtype=np.float32) / 255
    wrapped = keras.layers.TorchModuleWrapper(module)
    inputs = keras.Input(shape=images.shape[1:])
    outputs = keras.layers.Lambda(lambda given: wrapped(given), output_shape=(part.num_classes,))(inputs)
    model = keras.Model(inputs, outputs)
    model.wrapped = wrapped  # its weights are trained
    model.compile(
        optimizer=keras.optimizers.AdamW(training.lr, weight_decay=training.weight_decay),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: timed(lambda: model.fit(images, part.labels, training.batch_size, epochs=1, verbose=0))


def fastai_block(recipe: CNN, part: LabeledImages, module: nn.Module) -> Block:
    from fastai.callback.progress import ProgressCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import Adam

    training = recipe.training
    loader = DataLoader(Pictures(part), bs=training.batch_size, shuffle=True, drop_last=True, num_workers=0)
    learner = Learner(
        DataLoaders(loader, loader),
        module,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=Adam,
        wd=training.weight_decay,
        lr=training.lr,
    )

    learner.remove_cb(ProgressCallback)
    learner._do_epoch_validate = lambda *_: None  # the others validate nothing either

    def work() -> None:
        with learner.no_logging():
            learner.fit(1)

    return lambda: timed(work)


def rows(name: str, blocks: int, peers: list[str]) -> list[str]:
    """Return the rows of one case."""
    data, network, size, batch, steps = CASES[name]
    source = open_source(Path(os.environ["HANDFUL_DATA"]) / data)
    train = np.flatnonzero(np.array(source.parts) == "train")[:: max(1, len(source) // (2 * batch * steps))]
    part = load(source, View(size=size), train[: batch * steps])
    training = Training(steps=steps, batch_size=batch, schedule="constant", eval_every=steps)
    recipe = CNN(network=network, view=View(size=size), training=training)
    makers: dict[str, Callable[[CNN, LabeledImages, nn.Module], Block]] = {
        "plain PyTorch loop": plain_block,
        "Keras, torch backend": keras_block,
        "fastai": fastai_block,
    }
    contenders = {"handful": handful_block(recipe, part)}
    for peer, make in makers.items():
        if any(peer.lower().startswith(one) for one in peers):
            contenders[peer] = make(recipe, part, Plain(started(recipe, part, 0)[0]))
    seconds: dict[str, list[float]] = {peer: [] for peer in contenders}
    order = np.random.default_rng(0)
    for block in range(blocks + 1):
        for peer in order.permutation(list(contenders)).tolist():
            spent = contenders[peer]()
            if block:  # the first is a warm-up
                seconds[peer].append(spent)
    speed = {peer: batch * steps / float(np.median(times)) for peer, times in seconds.items()}
    return [
        f"| {name} | {peer} | {pace:,.0f} | {speed['handful'] / pace:.2f} | "
        f"{batch * steps / max(seconds[peer]):,.0f} to {batch * steps / min(seconds[peer]):,.0f} |"
        for peer, pace in speed.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--cases", default="", help="start of a case's name [all]")
    parser.add_argument("--peers", default="plain,keras,fastai")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = [
        line
        for name in CASES
        if name.startswith(given.cases)
        for line in rows(name, given.blocks, given.peers.split(","))
    ]
    text = "\n".join(
        [
            "# Training speed beside others",
            "",
            f"`python benchmarks/classifier_speed.py --blocks {given.blocks}`: {platform.machine()}, torch "
            f"{torch.__version__}, one thread. Medians over blocks; the last column is the range.",
            "",
            "| network and data | contender | pictures a second | handful is times as fast | range |",
            "|---|---|---|---|---|",
            *found,
            "",
        ]
    )
    print(text)
    if given.output is not None:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
