"""What a training has against overfitting, against plain PyTorch and sums written out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import handful.nn.train as train_module
from handful import rng
from handful.errors import ConfigError
from handful.nn.batches import Batches
from handful.nn.train import How, Training, one_thread, train_networks

NUM = 20
GENERATOR = torch.Generator().manual_seed(0)
INPUTS, TARGETS = torch.randn(NUM, 3, generator=GENERATOR), torch.randn(NUM, 1, generator=GENERATOR)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def make(seed=0, dropout=0.0):
    with rng.forked(seed):
        return nn.Sequential(
            nn.Linear(3, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 1)
        )


def fit(network, how=None, after=None, **fields):
    """Train on a small regression; `after` is called with the weights before each step."""
    fields = {"steps": 12, "batch_size": 8, "eval_every": 4, "lr": 0.05, **fields}

    def step(batch):
        if after is not None:
            after(weights(network))
        loss = F.mse_loss(network(INPUTS[batch.index]), TARGETS[batch.index])
        yield "net", loss, {"step": torch.tensor(float(batch.step))}

    def evaluate():
        return {"loss": F.mse_loss(network(INPUTS[:6]), TARGETS[:6]).item()}

    recipe = Training(**fields)
    return train_networks({"net": network}, step, recipe=recipe, num=NUM, seed=0, evaluate=evaluate, how=how)


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def plain(network, steps=12, *, optimizer, extra=None, clip=None, accumulate=1):
    """The same training written out: constant rate, L1 and clipping by torch."""
    batches = Batches(NUM, 8, 0)
    for step in range(steps):
        optimizer.zero_grad()
        for index in np.split(batches.at(step).index, accumulate):
            loss = F.mse_loss(network(INPUTS[index]), TARGETS[index])
            ((loss if extra is None else loss + extra(network)) / accumulate).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
    return network


def assert_close(one, other):
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(one.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


SGD = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}


# ---------------------------------------------------------------- schedules


@pytest.mark.parametrize(("steps", "pct_start"), [(100, 0.3), (37, 0.5), (10, 0.25)])
def test_the_one_cycle_schedule_is_that_of_pytorch(steps, pct_start):
    recipe = Training(lr=0.4, schedule="one-cycle", pct_start=pct_start)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.4, total_steps=steps, pct_start=pct_start, cycle_momentum=False
    )
    for step in range(steps):
        assert recipe.lr_at(step, steps, NUM) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        if step < steps - 1:
            theirs.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_one_cycle_schedule_of_a_few_steps_is_a_rate(steps):
    rates = [Training(lr=0.4, schedule="one-cycle").lr_at(step, steps, NUM) for step in range(steps)]
    assert all(0 < rate <= 0.4 for rate in rates)


def test_time_based_decay_is_that_of_keras():
    recipe = Training(lr=1e-4, decay=1e-3, schedule="constant")
    assert [recipe.lr_at(step, 5000, NUM) for step in (0, 1000, 3000)] == pytest.approx([1e-4, 5e-5, 2.5e-5])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"decay": 1e-7}, "decay=1e-07 and schedule='cosine' both lower the rate"),
        ({"schedule": "one-cycle", "warmup_steps": 5}, "'one-cycle' warms up by itself"),
        ({"pct_start": 0.2}, "pct_start=0.2 is for schedule='one-cycle', not 'cosine'"),
        ({"swa_start": 0.5, "ema": 0.9}, "leave ema=0.9 out"),
        ({"swa_start": 0.5, "patience": 2}, "leave patience=2 out"),
        ({"swa_start": 0.5, "keep": "best"}, "leave keep='best' out"),
        ({"swa_start": 1.0}, "Training.swa_start"),
        ({"clip_norm": 0.0}, "Training.clip_norm"),
        ({"l1": -1.0}, "Training.l1"),
    ],
)
def test_what_does_not_go_together_is_refused(fields, says):
    with pytest.raises(ConfigError, match=says):
        Training(**fields)


# ---------------------------------------------------------------- penalties and clipping


@pytest.mark.parametrize("accumulate", [1, 2])
def test_l1_is_the_sum_of_absolute_weights_without_biases_and_norms(accumulate):
    ours, theirs = make(), make()
    history = fit(ours, l1=0.03, accumulate=accumulate, **SGD, eval_every=1)

    def penalty(network):
        return 0.03 * (network[0].weight.abs().sum() + network[4].weight.abs().sum())

    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    assert_close(ours, plain(theirs, optimizer=optimizer, extra=penalty, accumulate=accumulate))
    without = fit(make(), accumulate=accumulate, **SGD, eval_every=1)
    assert history.train_loss[0] == without.train_loss[0], "the history has the loss without the penalty"
    assert history.train_loss[5] != without.train_loss[5]


def test_l1_of_a_network_without_weights_for_it_is_an_error():
    def step(batch):
        yield "net", network(INPUTS[batch.index]).mean()

    network = nn.BatchNorm1d(3)
    with pytest.raises(ConfigError, match="l1: 'net' has no convolution or linear layer"):
        train_networks({"net": network}, step, recipe=Training(l1=0.1), num=NUM, seed=0)


def test_a_long_gradient_is_shortened_as_pytorch_does():
    ours, theirs = make(), make()
    fit(ours, clip_norm=0.2, **SGD)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    assert_close(ours, plain(theirs, optimizer=optimizer, clip=0.2))
    assert not torch.equal(ours[0].weight, plain(make(), optimizer=torch.optim.SGD(make().parameters()))[0].weight)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_clipping_measures_the_gradient_itself_not_the_scaled_one(precision, monkeypatch):
    monkeypatch.setattr(train_module, "SLOW_ON_CPU", ())
    path = []
    fit(make(), clip_norm=1e-3, precision=precision, after=path.append, **{**SGD, "lr": 1.0})
    names = [name for name, _ in make().named_parameters()]
    moves = [
        torch.cat([(after[name] - before[name]).flatten() for name in names]).norm().item()
        for before, after in pairwise(path)
    ]
    moves = moves[1:] if precision == "float16" else moves  # the first scale is too large, its step is left out
    assert moves == pytest.approx([1e-3] * len(moves), rel=0.02)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weight_decay_leaves_biases_and_norms_alone_where_asked(optimizer):
    ours, theirs = make(), make()
    fit(ours, optimizer=optimizer, momentum=0.0, weight_decay=0.3, decay_norms=False, schedule="constant")
    groups = [
        {"params": [one for one in theirs.parameters() if one.ndim > 1], "weight_decay": 0.3},
        {"params": [one for one in theirs.parameters() if one.ndim == 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if optimizer == "adamw" else torch.optim.SGD
    assert_close(ours, plain(theirs, optimizer=kind(groups, lr=0.05)))
    everything = make()
    fit(everything, optimizer=optimizer, momentum=0.0, weight_decay=0.3, schedule="constant")
    assert not torch.allclose(everything[1].weight, ours[1].weight)


# ---------------------------------------------------------------- stochastic weight averaging


def test_the_average_is_equal_over_the_last_steps_and_norms_are_measured_for_it():
    path, ours, at_end = [], make(), make()
    fit(ours, swa_start=0.5, after=path.append)
    fit(at_end)
    last = [*path[7:12], weights(at_end)]  # after steps 6 to 11, counted from 0
    for name, tensor in ours.named_parameters():
        torch.testing.assert_close(tensor.data, torch.stack([state[name] for state in last]).mean(0))
    measured = make()
    measured.load_state_dict(ours.state_dict())
    norm = measured[1]
    norm.momentum = None
    norm.reset_running_stats()
    measured.train()
    for step in (12, 13, 14):  # one pass: 20 pictures in batches of 8
        measured(INPUTS[Batches(NUM, 8, 0).at(step).index])
    torch.testing.assert_close(ours[1].running_mean, norm.running_mean)
    torch.testing.assert_close(ours[1].running_var, norm.running_var)
    assert ours[1].momentum == 0.1
    assert not ours.training


def test_looks_see_the_weights_that_are_trained():
    averaged, without = fit(make(), swa_start=0.25), fit(make())
    assert averaged.values == without.values


# ---------------------------------------------------------------- history and resuming


def test_what_a_step_tells_is_in_the_history_as_means():
    history = fit(make(), accumulate=2)
    assert [value["step"] for value in history.train_values] == [1.5, 5.5, 9.5]
    assert set(history.train_loss[0]) == {"net"}


class StoppedError(Exception):
    pass


EVERYTHING = (
    {"schedule": "one-cycle", "l1": 0.01, "clip_norm": 0.5, "decay_norms": False, "swa_start": 0.4},
    {"schedule": "plateau", "plateau_patience": 1, "decay": 1e-2, "swa_start": 0.0, "accumulate": 2},
    {"schedule": "constant", "l1": 0.01, "ema": 0.9, "precision": "float16", "clip_norm": 0.1},
)


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("stop", [1, 6, 12])
@pytest.mark.parametrize("fields", EVERYTHING)
def test_a_resumed_run_equals_the_undisturbed_one(fields, stop, leaves, tmp_path, monkeypatch):
    monkeypatch.setattr(train_module, "SLOW_ON_CPU", ())

    def progress(done, steps):
        if done == stop:
            raise StoppedError

    whole, first, second = make(dropout=0.3), make(dropout=0.3), make(seed=9, dropout=0.3)
    expected = fit(whole, **fields)
    checkpoint = tmp_path / "run.pt"
    with pytest.raises(StoppedError):
        fit(first, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=progress), **fields)
    again = How(checkpoint=checkpoint, leaves_checkpoint=leaves)
    assert fit(second, how=again, **fields) == expected
    if leaves:
        second = make(seed=8, dropout=0.3)
        assert fit(second, how=again, **fields) == expected
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in whole.state_dict().items())
