"""The training loop against closed forms, plain PyTorch and scripted validation curves."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import handful.nn.train as train_module
from handful import rng
from handful.errors import ConfigError, HandfulError
from handful.nn.batches import Batches
from handful.nn.train import History, How, Training, one_thread, train_networks

NUM = 20
GENERATOR = torch.Generator().manual_seed(0)
INPUTS, TARGETS = torch.randn(NUM, 3, generator=GENERATOR), torch.randn(NUM, 1, generator=GENERATOR)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


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


# ---------------------------------------------------------------- schedules


def test_the_cosine_schedule_falls_from_lr_to_zero():
    recipe = Training(lr=0.2, schedule="cosine")
    for step in range(100):
        assert recipe.lr_at(step, 100, 1) == pytest.approx(0.1 * (1 + math.cos(math.pi * step / 100)))
    assert recipe.lr_at(0, 100, 1) == 0.2
    assert recipe.lr_at(100, 100, 1) == pytest.approx(0)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "plateau"])
def test_warm_up_rises_linearly_to_lr_and_the_schedule_starts_there(schedule):
    recipe = Training(lr=0.2, schedule=schedule, warmup_steps=10)
    np.testing.assert_allclose([recipe.lr_at(step, 50, 1) for step in range(10)], 0.02 * np.arange(1, 11))
    assert recipe.lr_at(10, 50, 1) == pytest.approx(0.2)
    if schedule == "cosine":
        assert recipe.lr_at(30, 50, 1) == pytest.approx(0.1)
        assert recipe.lr_at(50, 50, 1) == pytest.approx(0)


def test_the_step_schedule_is_that_of_pytorch():
    recipe = Training(lr=0.3, schedule="step", step_size=7, gamma=0.4)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    plain = torch.optim.lr_scheduler.StepLR(optimizer, 7, gamma=0.4)
    for step in range(30):
        assert recipe.lr_at(step, 30, 1) == pytest.approx(plain.get_last_lr()[0])
        optimizer.step()
        plain.step()


def test_the_constant_schedule_is_constant():
    assert {Training(lr=0.3, schedule="constant").lr_at(step, 30, 1) for step in range(31)} == {0.3}


def test_every_step_is_taken_at_the_rate_of_the_schedule(monkeypatch):
    rates = []
    plain = torch.optim.SGD.step

    def spy(self, *args, **options):
        rates.append(self.param_groups[0]["lr"])
        return plain(self, *args, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    history = fit(make(), optimizer="sgd", warmup_steps=3, steps=10)
    expected = [Training(lr=0.05, warmup_steps=3).lr_at(step, 10, 1) for step in range(10)]
    assert rates == pytest.approx(expected)
    assert history.lr == pytest.approx([expected[3], expected[7], expected[9]]), "the rate of the step just taken"


def test_the_plateau_schedule_lowers_the_rate_after_evaluations_without_improvement():
    """Improvements at looks 1, 2 and 7; patience 2: lowered after looks 4, 6, 9 and 11."""
    curve = [5, 4, 4, 4.5, 4, 4, 3, 3, 3, 3, 3, 3]
    history = fit(
        make(),
        schedule="plateau",
        plateau_patience=2,
        gamma=0.5,
        steps=12,
        eval_every=1,
        evaluate=scripted(curve),
    )
    halvings = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4]  # taken at look n: those decided at looks before it
    np.testing.assert_allclose(history.lr, 0.05 * 0.5 ** np.array(halvings))
    assert not history.stopped_early


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


# ---------------------------------------------------------------- randomness and resuming


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


class StoppedError(Exception):
    pass


def interrupted(network, checkpoint, stop, **fields):
    def progress(done, steps):
        if done == stop:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(network, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=progress), **fields)


RESUMED = {"optimizer": "adamw", "schedule": "plateau", "plateau_patience": 1, "steps": 16, "eval_every": 3}


def measured(network):
    """A validation that is a function of the weights, as a real one is."""

    def evaluate():
        return {"loss": F.mse_loss(network(INPUTS[:6]), TARGETS[:6].roll(1, 0)).item()}

    return evaluate


@pytest.mark.parametrize("stop", [1, 3, 4, 8, 15])
def test_a_resumed_run_equals_the_undisturbed_one(stop, tmp_path):
    whole, first, second = make(dropout=0.3), make(dropout=0.3), make(seed=9, dropout=0.3)
    expected = fit(whole, **RESUMED, keep="best", patience=4, evaluate=measured(whole))
    checkpoint = tmp_path / "new" / "run.pt"
    interrupted(first, checkpoint, stop, **RESUMED, keep="best", patience=4, evaluate=measured(first))
    steps = []
    history = fit(
        second,
        **RESUMED,
        keep="best",
        patience=4,
        evaluate=measured(second),
        how=How(checkpoint=checkpoint),
        spy=lambda batch: steps.append(batch.step),
    )
    assert steps == list(range(stop, expected.steps_done)), "it goes on where it stopped"
    assert history == expected
    assert equal(weights(second), weights(whole))
    assert not checkpoint.exists()


def test_a_checkpoint_holds_the_state_of_the_optimizer(tmp_path):
    """The checkpoint of a resumed run equals that of an undisturbed one at the same step, moments included."""
    once, first, second = make(dropout=0.3), make(dropout=0.3), make(seed=9, dropout=0.3)
    interrupted(once, tmp_path / "once.pt", 10, **RESUMED, evaluate=measured(once))
    interrupted(first, tmp_path / "twice.pt", 5, **RESUMED, evaluate=measured(first))
    interrupted(second, tmp_path / "twice.pt", 10, **RESUMED, evaluate=measured(second))
    one, other = (torch.load(tmp_path / name, weights_only=True) for name in ("once.pt", "twice.pt"))
    assert one["state"] == other["state"]
    for place, moments in one["optimizers"]["net"]["state"].items():
        assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}
        assert equal(moments, other["optimizers"]["net"]["state"][place])
    assert equal(one["best_weights"]["net"], other["best_weights"]["net"])


def test_two_networks_resume_too(tmp_path):
    def progress(done, steps):
        if done == 5:
            raise StoppedError

    whole, _, expected = gan()
    with pytest.raises(StoppedError):
        gan(How(checkpoint=tmp_path / "gan.pt", checkpoint_seconds=0, progress=progress))
    resumed, _, history = gan(How(checkpoint=tmp_path / "gan.pt"))
    assert history == expected
    assert all(equal(weights(resumed[name]), weights(whole[name])) for name in whole)


def test_an_interruption_puts_the_global_stream_back_and_leaves_no_part_behind(tmp_path):
    before = torch.get_rng_state()
    interrupted(make(dropout=0.5), tmp_path / "run.pt", 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_checkpoints_are_no_more_frequent_than_asked(tmp_path):
    network = make()

    def progress(done, steps):
        assert not (tmp_path / "run.pt").exists()

    fit(network, how=How(checkpoint=tmp_path / "run.pt", checkpoint_seconds=600, progress=progress))


def test_the_parts_of_how_have_checkpoints_of_their_own(tmp_path):
    how = How(device="cpu", checkpoint=tmp_path / "run.pt", checkpoint_seconds=3)
    assert how.part("a").checkpoint == tmp_path / "run.pt.a"
    assert how.part("a").checkpoint_seconds == 3
    assert How().part("a") == How()


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


def test_steps_of_the_schedule_can_be_counted_in_epochs():
    recipe = Training(lr=1.0, schedule="step", step_size=2, step_unit="epochs", gamma=0.5, batch_size=5)
    assert [recipe.lr_at(step, 100, 10) for step in (0, 3, 4, 7, 8)] == [1.0, 1.0, 0.5, 0.5, 0.25]


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
