"""The training loop against closed forms, plain PyTorch and scripted validation curves."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from small_regression import INPUTS, NUM, TARGETS, equal, fit, gan, make, scripted, weights
from torch import nn
from torch.nn import functional as F

import handful.nn.train as train_module
from handful import rng
from handful.errors import ConfigError, HandfulError
from handful.nn.batches import Batches
from handful.nn.train import History, How, Training, one_thread, train_networks

pytestmark = pytest.mark.usefixtures("alone")


# ---------------------------------------------------------------- stopping and keeping


def test_stopping_early_restores_the_best_weights_truly():
    network, at_look = make(), []
    history = fit(
        network,
        steps=40,
        eval_every=2,
        patience=3,
        evaluate=scripted([5, 3, 4, 2, 2, 3, 9, 1], spy=lambda: at_look.append(weights(network))),
    )
    assert history.stopped_early
    assert history.steps == [2, 4, 6, 8, 10, 12, 14]
    assert history.steps_done == 14
    assert history.best_step == 8
    assert equal(weights(network), at_look[3])
    assert not equal(at_look[3], at_look[-1]), "training went on after the best weights"


def test_a_tie_is_no_improvement():
    history = fit(make(), steps=10, eval_every=1, patience=2, evaluate=scripted([1.0] * 10))
    assert (history.best_step, history.steps_done) == (1, 3)


@pytest.mark.parametrize(
    ("keep", "patience", "kept"),
    [(None, None, "last"), (None, 9, "best"), ("best", None, "best"), ("last", 9, "last"), ("best", 9, "best")],
)
def test_which_weights_are_kept(keep, patience, kept):
    assert Training(keep=keep, patience=patience).keeps_best == (kept == "best")
    network, at_look = make(), []
    fit(
        network,
        keep=keep,
        patience=patience,
        evaluate=scripted([2, 1, 3], spy=lambda: at_look.append(weights(network))),
    )
    assert equal(weights(network), at_look[1 if kept == "best" else 2])


def test_without_validation_the_last_weights_are_kept():
    one, other = make(), make()
    fit(one, keep="best", patience=1)
    fit(other, keep="last")
    assert equal(weights(one), weights(other))


def test_another_value_can_be_watched():
    network, rest = make(), iter([(1, 5), (2, 4), (3, 6)])

    def evaluate():
        return dict(zip(("loss", "error"), next(rest), strict=True))

    def step(batch):
        yield "net", F.mse_loss(network(INPUTS[batch.index]), TARGETS[batch.index])

    recipe = Training(steps=12, eval_every=4, batch_size=8)
    history = train_networks({"net": network}, step, recipe=recipe, num=NUM, seed=0, evaluate=evaluate, watch="error")
    assert history.best_step == 8


def test_validation_sees_networks_in_eval_mode_without_gradients_and_training_in_train_mode():
    network, modes = make(), []

    def look():
        modes.append((network.training, torch.is_grad_enabled()))

    fit(network, evaluate=scripted([1, 2, 3], spy=look), spy=lambda batch: modes.append((network.training, None)))
    assert modes == ([(True, None)] * 4 + [(False, False)]) * 3
    assert not network.training


# ---------------------------------------------------------------- budget and history


def test_history_has_one_entry_per_look_and_the_last_step_is_one():
    history = fit(make(), steps=11, eval_every=4, evaluate=scripted([3, 2, 1]))
    assert history.steps == [4, 8, 11]
    assert len(history.train_loss) == len(history.values) == len(history.lr) == 3
    assert [look["loss"] for look in history.values] == [3, 2, 1]
    assert history.pictures_seen == 11 * 8
    assert set(history.to_json()) == set(vars(History()))


def test_the_training_loss_is_the_mean_since_the_look_before():
    losses, network = [], make()

    def step(batch):
        loss = F.mse_loss(network(INPUTS[batch.index]), TARGETS[batch.index])
        losses.append(loss.item())
        yield "net", loss

    recipe = Training(steps=10, eval_every=4, batch_size=8)
    history = train_networks({"net": network}, step, recipe=recipe, num=NUM, seed=0)
    expected = [np.mean(losses[:4]), np.mean(losses[4:8]), np.mean(losses[8:])]
    np.testing.assert_allclose([look["net"] for look in history.train_loss], expected, rtol=1e-6)
    assert history.values == [{}, {}, {}]


@pytest.mark.parametrize(
    ("epochs", "num", "batch_size", "steps"),
    [(1, 20, 8, 3), (4, 20, 8, 10), (3, 32, 32, 3), (1, 1, 32, 1), (5, 7, 1, 35)],
)
def test_epochs_become_steps(epochs, num, batch_size, steps):
    assert Training(epochs=epochs, batch_size=batch_size).steps_for(num) == steps


def test_epochs_take_the_place_of_steps():
    assert fit(make(), steps=999, epochs=2, batch_size=8).steps_done == 5
    assert Training(steps=7).steps_for(10**6) == 7


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error(bad):
    network = make()

    def step(batch):
        yield "net", network(INPUTS[batch.index]).mean() * (bad if batch.step == 5 else 1.0)

    recipe = Training(steps=12, eval_every=4, batch_size=8)
    with pytest.raises(HandfulError, match=r"the loss of 'net' became \S+ in the 4 steps before step 8; a lower lr"):
        train_networks({"net": network}, step, recipe=recipe, num=NUM, seed=0)


@pytest.mark.parametrize(
    "fields", [{"steps": 0}, {"lr": 0.0}, {"lr": math.inf}, {"momentum": 1.0}, {"gamma": 0.0}, {"patience": 0}]
)
def test_impossible_values_are_refused(fields):
    with pytest.raises(ConfigError, match=rf"Training.{next(iter(fields))}"):
        Training(**fields)


def test_progress_is_told_of_every_step():
    calls = []
    fit(make(), how=How(progress=lambda done, steps: calls.append((done, steps))))
    assert calls == [(step, 12) for step in range(1, 13)]


# ---------------------------------------------------------------- the optimizers


@pytest.mark.parametrize(
    ("fields", "plain"),
    [
        ({"optimizer": "adam", "weight_decay": 0.1, "betas": (0.5, 0.9)}, torch.optim.Adam),
        ({"optimizer": "adamw", "weight_decay": 0.1}, torch.optim.AdamW),
        ({"optimizer": "sgd", "weight_decay": 0.1, "momentum": 0.8}, torch.optim.SGD),
        ({"optimizer": "sgd", "weight_decay": 0.0, "momentum": 0.0}, torch.optim.SGD),
    ],
)
def test_training_is_a_plain_pytorch_loop(fields, plain):
    ours, theirs = make(), make()
    trace = []
    fit(ours, steps=10, **fields, spy=lambda batch: trace.append(weights(ours)))
    options = {"lr": 0.05, "weight_decay": fields["weight_decay"]}
    if plain is torch.optim.SGD:
        options |= {"momentum": fields["momentum"], "nesterov": fields["momentum"] > 0}
    else:
        options["betas"] = fields.get("betas", (0.9, 0.999))
    optimizer, batches = plain(theirs.parameters(), **options), Batches(NUM, 8, 0)
    for step in range(10):
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(trace[step][name], tensor, rtol=1e-5, atol=1e-6)
        optimizer.param_groups[0]["lr"] = 0.05 * 0.5 * (1 + math.cos(math.pi * step / 10))
        index = torch.from_numpy(batches.at(step).index)
        optimizer.zero_grad()
        F.mse_loss(theirs(INPUTS[index]), TARGETS[index]).backward()
        optimizer.step()
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-5, atol=1e-6)


def test_frozen_weights_stay():
    network = make()
    network[0].requires_grad_(False)
    before = weights(network)
    fit(network, weight_decay=0.5)
    assert torch.equal(network[0].weight, before["0.weight"])
    assert not torch.equal(network[4].weight, before["4.weight"])


def parameters_equal(one, other):
    names = [name for name in one if "running" not in name and "num_batches" not in name]
    return all(torch.equal(one[name], other[name]) for name in names)


def test_each_of_two_networks_is_moved_by_its_own_optimizer():
    _, around, history = gan()
    for before, between, after in zip(around[::3], around[1::3], around[2::3], strict=True):
        assert not parameters_equal(before["d"], between["d"])
        assert parameters_equal(before["g"], between["g"])
        assert parameters_equal(between["d"], after["d"])
        assert not parameters_equal(between["g"], after["g"])
    assert [set(look) for look in history.train_loss] == [{"d", "g"}] * 2


def test_the_gradient_of_one_network_s_loss_does_not_leak_into_the_other_s_step():
    """The generator's loss also reaches the discriminator; its next step must not feel it."""
    networks, _, _ = gan(steps=2)
    plain = {"d": make(1), "g": make(2)}
    optimizers = {
        name: torch.optim.Adam(network.parameters(), betas=(0.5, 0.9), weight_decay=1e-4)
        for name, network in plain.items()
    }
    for step in range(2):
        index = torch.from_numpy(Batches(NUM, 8, 0).at(step).index)
        made = plain["g"](INPUTS[index]).expand(-1, 3)
        for name in ("d", "g"):
            optimizers[name].param_groups[0]["lr"] = 0.005 * (1 + math.cos(math.pi * step / 2))
            real = F.softplus(-plain["d"](INPUTS[index])).mean() if name == "d" else 0.0
            if name == "d":
                loss = real + F.softplus(plain["d"](made.detach())).mean()
            else:
                loss = F.softplus(-plain["d"](made)).mean()
            gradients = torch.autograd.grad(loss, list(plain[name].parameters()))
            for parameter, gradient in zip(plain[name].parameters(), gradients, strict=True):
                parameter.grad = gradient
            optimizers[name].step()
    for name, network in plain.items():
        for mine, theirs in zip(networks[name].parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- randomness, batches and what is left as it was


def test_one_seed_gives_one_result_and_the_global_streams_stay():
    one, again, other = (make(dropout=0.5) for _ in range(3))
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    fit(one, seed=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        fit(again, seed=3)
    fit(other, seed=4)
    assert equal(weights(one), weights(again))
    assert not equal(weights(one), weights(other))


def test_the_draws_of_a_step_depend_on_seed_and_step_alone():
    """Validation that draws from the global stream does not move what training draws."""
    quiet, noisy = make(dropout=0.5), make(dropout=0.5)
    fit(quiet, evaluate=scripted([3, 2, 1]))
    fit(noisy, evaluate=scripted([3, 2, 1], spy=lambda: torch.rand(7)))
    assert equal(weights(quiet), weights(noisy))
    drawn = []
    fit(make(), spy=lambda batch: drawn.append(torch.rand(1).item()))
    for step, value in enumerate(drawn):
        with rng.forked(rng.derive(0, "step", step)):
            assert torch.rand(1).item() == value


def test_one_thread_is_one_thread_and_put_back():
    torch.set_num_threads(2)

    def raising():
        with one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError

    with pytest.raises(KeyError):
        raising()
    assert torch.get_num_threads() == 2


def test_balanced_batches_are_used_where_labels_are_given():
    network, seen = make(), []
    labels = np.array([0] * 18 + [1] * 2)

    def step(batch):
        seen.extend(labels[batch.index])
        yield "net", F.mse_loss(network(INPUTS[batch.index]), TARGETS[batch.index])

    recipe = Training(steps=20, batch_size=10, eval_every=20)
    train_networks({"net": network}, step, recipe=recipe, num=NUM, seed=0, balance=labels)
    assert np.bincount(seen).tolist() == [100, 100]


def test_networks_given_are_trained_in_place():
    network = make()
    before, same = copy.deepcopy(network), network[0].weight
    fit(network)
    assert network[0].weight is same
    assert not torch.equal(same, before[0].weight)


# ---------------------------------------------------------------- averages, precision, parts of a batch


def test_the_moving_average_is_the_sum_written_out():
    path, expected = [], weights(make())
    for stop in range(1, 7):
        network = make()
        fit(network, steps=stop, lr=0.05, schedule="constant")
        path.append(weights(network))
    for step, after in enumerate(path):
        decay = min(0.5, (1 + step) / (10 + step))
        for name, tensor in after.items():
            counts = not tensor.is_floating_point()
            expected[name] = tensor if counts else decay * expected[name] + (1 - decay) * tensor
    averaged = make()
    fit(averaged, steps=6, lr=0.05, schedule="constant", ema=0.5)
    for name, tensor in weights(averaged).items():
        torch.testing.assert_close(tensor, expected[name])


def test_validation_sees_the_average_and_training_goes_on_from_the_live_weights():
    seen, network, plain = [], make(), make()
    fit(network, steps=8, eval_every=4, ema=0.9, evaluate=scripted([2, 1], spy=lambda: seen.append(weights(network))))
    at_four = make()
    fit(plain, steps=8, eval_every=4)
    fit(at_four, steps=4, eval_every=4, ema=0.9)
    assert any((seen[0][name] != weights(plain)[name]).any() for name in seen[0])
    for name, tensor in weights(network).items():
        torch.testing.assert_close(tensor, seen[1][name])


def test_two_halves_of_a_batch_give_the_gradient_of_the_whole():
    whole, halves = (nn.Linear(3, 1) for _ in range(2))
    halves.load_state_dict(whole.state_dict())
    fit(whole, steps=20)
    fit(halves, steps=20, accumulate=2)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(halves.state_dict()[name], tensor)


def test_a_batch_that_cannot_be_cut_evenly_is_refused():
    with pytest.raises(ConfigError, match="accumulate=3 does not divide batch_size=8"):
        Training(batch_size=8, accumulate=3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_the_same_and_is_not_the_same(precision, monkeypatch):
    monkeypatch.setattr(train_module, "SLOW_ON_CPU", ())
    full, half = (fit(make(), steps=80, eval_every=80, precision=given) for given in ("float32", precision))
    assert half.train_loss != full.train_loss
    assert half.train_loss[-1]["net"] == pytest.approx(full.train_loss[-1]["net"], rel=0.1)


def test_a_cpu_takes_float32_in_place_of_float16():
    full, half = (fit(make(), steps=8, precision=given) for given in ("float32", "float16"))
    assert half.train_loss == full.train_loss


def test_values_of_the_training_losses_can_be_watched():
    def also(means, step):
        return {"outside": abs(step - 10.0), "net": means["net"]}

    def step(batch):
        yield "net", (network(torch.ones(1, 3)) ** 2).mean()

    network = nn.Linear(3, 1)
    recipe = Training(steps=20, eval_every=5, keep="best")
    history = train_networks({"net": network}, step, recipe=recipe, num=NUM, seed=0, also=also, watch="outside")
    assert history.best_step == 10
    assert [value["net"] for value in history.values] == [mean["net"] for mean in history.train_loss]
