"""The axes of the search for an autoencoder: every combination once, each optimizer at a rate of its own."""

from __future__ import annotations

import pytest

from handful.errors import ConfigError
from handful.generate.autoencoder import Autoencoder
from handful.generate.grid import grid_recipes

START = Autoencoder(width=4, latent=5)


def test_the_grid_is_every_combination_once_in_s0s_axes():
    recipes = grid_recipes(START)
    assert len(recipes) == 16
    seen = {(one.denoising, one.form["depth"], one.reconstruction, one.training.optimizer) for one in recipes}
    assert seen == {(n, d, r, o) for n in (0.0, 0.1) for d in (2, 3) for r in ("mse", "l1") for o in ("adam", "sgd")}
    assert {one.training.lr for one in recipes if one.training.optimizer == "sgd"} == {0.5}
    assert {one.training.lr for one in recipes if one.training.optimizer == "adam"} == {START.training.lr}
    assert {one.width for one in recipes} == {START.width}


def test_wrong_axes_are_told_all_at_once():
    with pytest.raises(ConfigError) as caught:
        grid_recipes(START, depths=(), losses=("mse", "l3"), denoising=(0.0,))
    assert "'depths' of the grid is empty" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        grid_recipes(START, losses=("mse", "l3"), denoising=(0.0, -1.0))
    assert "'l3'" in str(caught.value)
    assert "-1.0" in str(caught.value)
