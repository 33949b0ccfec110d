"""A regression that is trained in a moment, scripted validation of it, and two networks trained in turn."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from handful.nn.train import Training, train_networks

NUM = 20
GENERATOR = torch.Generator().manual_seed(0)
INPUTS, TARGETS = torch.randn(NUM, 3, generator=GENERATOR), torch.randn(NUM, 1, generator=GENERATOR)


def make(seed=0, dropout=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(3, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 1)
        )


def fit(network, *, evaluate=None, seed=0, how=None, spy=None, **fields):
    """Train `network` on a small regression."""
    fields = {"steps": 12, "batch_size": 8, "eval_every": 4, "lr": 0.05, **fields}

    def step(batch):
        if spy is not None:
            spy(batch)
        yield "net", F.mse_loss(network(INPUTS[batch.index]), TARGETS[batch.index])

    return train_networks(
        {"net": network}, step, recipe=Training(**fields), num=NUM, seed=seed, evaluate=evaluate, how=how
    )


def scripted(values, spy=None):
    """A validation that returns these losses, one after another."""
    rest = iter(values)

    def evaluate():
        if spy is not None:
            spy()
        return {"loss": next(rest)}

    return evaluate


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def gan(how=None, steps=8):
    """Two networks with two yields a step, and the weights around each yield."""
    networks, around = {"d": make(1), "g": make(2)}, []
    source = nn.Linear(1, 3)
    source.load_state_dict({"weight": torch.ones(3, 1), "bias": torch.zeros(3)})
    source.requires_grad_(False)

    def step(batch):
        around.append({name: weights(network) for name, network in networks.items()})
        made = source(networks["g"](INPUTS[batch.index]))
        real = networks["d"](INPUTS[batch.index])
        yield "d", F.softplus(networks["d"](made.detach())).mean() + F.softplus(-real).mean()
        around.append({name: weights(network) for name, network in networks.items()})
        yield "g", F.softplus(-networks["d"](made)).mean()
        around.append({name: weights(network) for name, network in networks.items()})

    recipe = Training(steps=steps, batch_size=8, eval_every=4, optimizer="adam", betas=(0.5, 0.9), lr=0.01)
    history = train_networks(networks, step, recipe=recipe, num=NUM, seed=0, how=how)
    return networks, around, history
