"""Generators that train networks: one program for many of them, their budget, and what is watched on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handful.config import choose
from handful.errors import ConfigError, DataError
from handful.generate.table import GENERATORS
from handful.generate.vae import VAE
from small_generators import small

pytestmark = pytest.mark.usefixtures("alone")

STACKABLE = [
    pytest.param(small(family(scope=scope)), id=f"{kind}-{scope}")
    for kind, family in GENERATORS.items()
    if "scope" in family.model_fields and family.stackable
    for scope in ("per-class", "specialised")
]


@pytest.mark.parametrize("recipe", STACKABLE)
def test_stacked_training_equals_one_network_after_another(recipe, train):
    training = recipe.training.changed(keep="last", patience=None, schedule="cosine", steps=18)
    exact = training.changed(optimizer="sgd", lr=1e-4)  # adam makes steps of rounding where a gradient is 0
    for one, other in pairs(recipe.changed(training=exact), train):
        for key in one:
            torch.testing.assert_close(one[key], other[key], atol=1e-4, rtol=1e-4)
    loop, stacked = (recipe.changed(training=training, stacked=how).fit(train, None, seed=0) for how in (False, True))
    labels, seeds = [0, 1, 2, 2], [0, 1, 2, 3]
    gap = stacked.sample(labels, seeds=seeds).pixels.astype(int) - loop.sample(labels, seeds=seeds).pixels
    assert np.abs(gap).max() <= 3
    assert stacked.fitted != loop.fitted


def pairs(recipe, train):
    """The weights of each network, trained as one program and one after another."""
    loop, stacked = (recipe.changed(stacked=how).fit(train, None, seed=0).networks for how in (False, True))
    for mine, theirs in zip(stacked, loop, strict=True):
        yield from ((mine[name].state_dict(), theirs[name].state_dict()) for name in mine)


NEURAL = [kind for kind, family in GENERATORS.items() if "scope" in family.model_fields]


@pytest.mark.parametrize("kind", NEURAL)
def test_the_budget_is_that_of_the_whole_fit_for_every_scope(kind, train):
    def steps(**fields):
        recipe = small(GENERATORS[kind](**fields), 24)
        history = recipe.fit(train, None, seed=0).history
        return {name: part["steps_done"] for name, part in history.items()}

    assert steps() == {"all": 24}
    assert steps(scope="per-class") == {"0": 8, "1": 8, "2": 8}
    assert steps(scope="specialised", pooled=0.25) == {"all": 6, "0": 6, "1": 6, "2": 6}


def test_epochs_follow_the_size_of_the_class(train):
    recipe = small(VAE(scope="per-class", epochs_by_size=((0, 8), (10, 4), (20, 2))))
    done = {name: part["steps_done"] for name, part in recipe.fit(train, None, seed=0).history.items()}
    assert done == {"0": 3, "1": 5, "2": 4}  # 20, 9 and 14 pictures in batches of 16: 2, 8 and 4 epochs


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stacked": True}, "nothing to stack"),
        ({"epochs_by_size": ((0, 5),)}, "needs scope 'per-class'"),
        ({"scope": "per-class", "epochs_by_size": ((5, 5),)}, "in rising order"),
        ({"watch": "distance", "training": {"keep": "last"}}, "chooses nothing"),
        ({"watch": "window", "training": {"keep": "best"}}, "'vae' has no window of losses"),
        ({"scope": "per-class", "stacked": True, "training": {"epochs": 3}}, "budget in steps"),
        ({"scope": "per-class", "stacked": True, "training": {"keep": "best"}}, "keep='last'"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        choose(GENERATORS, {"kind": "vae", **fields}, "generator")


def test_the_distance_needs_validation_pictures_of_every_network(train, digits):
    training = {"keep": "best", "steps": 4}
    recipe = choose(GENERATORS, {"kind": "vae", "watch": "distance", "training": training, "scope": "per-class"}, "")
    with pytest.raises(DataError, match="needs two validation pictures for network '1', there are 1"):
        recipe.fit(train, digits(40, (5, 1, 5, 0)), seed=0)


def test_the_history_tells_what_was_seen_on_the_way(train, val):
    recipe = small(VAE(), 40)
    history = recipe.fit(train, val, seed=0).history["all"]
    assert {"loss", "distance", "diversity", "copied"} <= set(history["values"][-1])
    assert all({"step", "kind", "said"} == set(alarm) for alarm in history["alarms"])
    lonely = small(VAE(), 10).fit(train, None, seed=0).history["all"]
    assert lonely["alarms"][0]["said"] == "no validation pictures: the last weights are kept"
