"""Which stages of a network are trained when, at what rate, and what a frozen one keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from handful.classify import cnn
from handful.classify.cnn import CNN, Normalised
from handful.classify.tuning import Tuning
from handful.data.augment import Augmentation
from handful.data.images import LabeledImages, View
from handful.errors import ConfigError
from handful.nn.train import How, Training, one_thread

SIZE, STEPS = 16, 12


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


def pictures(num, seed):
    """Four classes that differ in their mean colour, with noise."""
    stream = np.random.default_rng(seed)
    labels = np.arange(num) % 4
    base = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [160, 160, 60]])[labels]
    noise = stream.integers(-50, 50, (num, 3, SIZE, SIZE))
    return LabeledImages.of_arrays((base[:, :, None, None] + noise).astype(np.uint8), labels)


TRAIN, VAL = pictures(40, 0), pictures(16, 1)


def recipe(network="v2", **fields):
    training = Training(steps=STEPS, batch_size=16, eval_every=5, weight_decay=0.1)
    return CNN(**{"network": network, "view": View(size=SIZE), "training": training, **fields})


def states_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.fixture
def watched(monkeypatch):
    """watched(recipe): the weights before every step and at the end, and the stages of the network."""

    def fit(given, how=None):
        seen, networks, plain = [], [], Tuning.set_modes

        def spy(self, network, step):
            networks.append(network)
            seen.append(states_of(network))
            plain(self, network, step)

        monkeypatch.setattr(Tuning, "set_modes", spy)
        made = given.fit(TRAIN, VAL, seed=0, how=how)
        return [*seen, states_of(made.module.network)], networks[0]

    return fit


def names_of(network, stage):
    """The names that a stage's tensors have in the network's state."""
    own = {id(tensor) for tensor in stage.state_dict(keep_vars=True).values()}
    return [name for name, tensor in network.state_dict(keep_vars=True).items() if id(tensor) in own]


def moved(states, names, step):
    """Whether a step moved any of these tensors."""
    return any(not torch.equal(states[step][name], states[step + 1][name]) for name in names)


# ---------------------------------------------------------------- what is trained when


@pytest.mark.parametrize(
    "tuning",
    [Tuning(frozen=True), Tuning(freeze_steps=5), Tuning(freeze_steps=2, gradual_steps=8), Tuning(gradual_steps=6)],
)
@pytest.mark.parametrize("network", ["base", "v2", "v3"])
def test_a_frozen_stage_keeps_weights_and_statistics_to_the_bit_until_its_step(tuning, network, watched):
    states, fitted = watched(recipe(network, tuning=tuning, augment=Augmentation()))
    num = len(fitted.stages)
    for place, stage in enumerate(fitted.stages):
        names = names_of(fitted, stage)
        begins = STEPS if tuning.frozen else tuning.starts(place, num)
        assert [moved(states, names, step) for step in range(STEPS)] == [step >= begins for step in range(STEPS)]
    head = names_of(fitted, fitted.head)
    assert all(moved(states, head, step) for step in range(STEPS))


def test_stages_join_from_the_last_to_the_first_at_equal_distances():
    tuning = Tuning(freeze_steps=10, gradual_steps=30)
    assert [tuning.starts(place, 3) for place in range(3)] == [30, 20, 10]
    assert [Tuning(freeze_steps=10).starts(place, 3) for place in range(3)] == [10, 10, 10]


def test_the_whole_of_a_frozen_body_is_in_evaluation_mode():
    """Also what has no parameters and stands between the stages, such as dropout."""
    module = recipe("v3", tuning=Tuning(frozen=True)).network.build(3, SIZE, 4, 0.5)
    module.train()
    Tuning(frozen=True).set_modes(module, 0)
    assert not any(one.training for one in module.body.modules() if isinstance(one, nn.BatchNorm2d | nn.Dropout))
    assert module.head.training


def test_rates_fall_by_the_decay_from_stage_to_stage():
    built = recipe().network.build(3, SIZE, 4, None)
    num = len(built.stages)
    factors = [group.factor(0) for group in Tuning(decay=0.5).groups(built)]
    assert factors == [0.5 ** (num - place) for place in range(num)] + [1.0]


def test_every_trained_parameter_is_in_one_group():
    for name in ("base", "v2", "v3"):
        built = recipe(name).network.build(3, SIZE, 4, None)
        module = Normalised(built, torch.zeros(3), torch.ones(3))
        grouped = [id(one) for group in Tuning().groups(built, module) for one in group.parameters]
        assert sorted(grouped) == sorted(id(one) for one in module.parameters())


@pytest.mark.parametrize("norms", [True, False])
def test_each_stage_is_trained_at_its_documented_rate(norms, monkeypatch):
    rates, plain = [], torch.optim.SGD.step

    def spy(self, *args, **options):
        rates.append(
            {id(one): group["lr"] for group in self.param_groups for one in group["params"] if one.grad is not None}
        )
        return plain(self, *args, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    training = Training(
        steps=6, batch_size=16, optimizer="sgd", lr=0.02, schedule="constant", eval_every=6, decay_norms=norms
    )
    tuning = Tuning(freeze_steps=2, gradual_steps=4, decay=0.3)
    made = recipe(training=training, tuning=tuning).fit(TRAIN, VAL, seed=0)
    network = made.module.network
    num = len(network.stages)
    for step, seen in enumerate(rates):
        for place, stage in enumerate(network.stages):
            trained = step >= tuning.starts(place, num)
            found = [seen[id(one)] for one in stage.parameters() if id(one) in seen]
            expected = [0.02 * 0.3 ** (num - place)] * len(list(stage.parameters())) if trained else []
            assert found == pytest.approx(expected)
        assert {seen[id(one)] for one in network.head.parameters()} == {0.02}


def test_stages_trained_at_nearly_one_rate_end_where_one_rate_ends():
    training = Training(steps=STEPS, batch_size=16, optimizer="sgd", lr=0.01)
    fits = [recipe(training=training, tuning=Tuning(decay=decay)).fit(TRAIN, VAL, seed=0) for decay in (1.0, 0.9999999)]
    plain, nearly = (made.module.state_dict() for made in fits)
    for name, tensor in plain.items():
        torch.testing.assert_close(nearly[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_block_of_a_small_network_is_a_stage():
    for name, num in (("base", 3), ("v2", 4), ("v3", 5)):
        assert len(recipe(name).network.build(3, SIZE, 4, None).stages) == num


@pytest.mark.parametrize("fields", [{"freeze_steps": 3}, {"gradual_steps": 3}, {"decay": 0.5}])
def test_frozen_is_for_good(fields):
    with pytest.raises(ConfigError, match="frozen leaves no stage to thaw"):
        Tuning(frozen=True, **fields)


# ---------------------------------------------------------------- features kept once


@pytest.mark.parametrize("network", ["base", "v2", "v3"])
def test_features_kept_once_give_what_features_made_anew_give(network, monkeypatch):
    given = recipe(network, tuning=Tuning(frozen=True), balance="oversample")
    kept = given.fit(TRAIN, VAL, seed=0)
    monkeypatch.setattr(cnn, "MOST_KEPT", 0)
    anew = given.fit(TRAIN, VAL, seed=0)
    np.testing.assert_allclose(kept.predict_proba(VAL), anew.predict_proba(VAL), atol=1e-5)
    for name, tensor in kept.module.state_dict().items():
        torch.testing.assert_close(anew.module.state_dict()[name], tensor, atol=1e-5, rtol=1e-5)


def test_features_are_made_once_where_pictures_do_not_change(monkeypatch):
    calls, plain = [], Normalised.maps

    def spy(self, images):
        calls.append(self.training)
        return plain(self, images)

    monkeypatch.setattr(Normalised, "maps", spy)
    recipe(tuning=Tuning(frozen=True)).fit(TRAIN, None, seed=0)
    assert calls == [False, False], "once before training and once for the scores at its end"


# ---------------------------------------------------------------- resuming


class StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    "tuning", [Tuning(frozen=True), Tuning(freeze_steps=4, gradual_steps=6, decay=0.5), Tuning(freeze_steps=7)]
)
@pytest.mark.parametrize("stop", [1, 5, 9])
def test_a_resumed_fit_equals_the_undisturbed_one(tuning, stop, tmp_path):
    given = recipe(tuning=tuning)
    whole = given.fit(TRAIN, VAL, seed=0)

    def progress(done, steps):
        if done == stop:
            raise StoppedError

    checkpoint = tmp_path / "fit.pt"
    with pytest.raises(StoppedError):
        given.fit(TRAIN, VAL, seed=0, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=progress))
    resumed = given.fit(TRAIN, VAL, seed=0, how=How(checkpoint=checkpoint))
    assert resumed.history == whole.history
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], tensor)
