"""Every classifier of the table, small enough to be fitted in a test."""

from __future__ import annotations

import pytest

from handful.classify.table import CLASSIFIERS
from handful.data.images import View

STEPS = 12
TINY = View(size=8)
NETWORKS = ("base", "v2", "v3", {"kind": "wide", "depth": 10, "width": 1}, {"kind": "residual", "width": 4})


def small(recipe, steps=STEPS):
    """The same recipe at 8 px with few steps."""
    training = recipe.training.changed(steps=steps, batch_size=16, eval_every=5, patience=None)
    return recipe.changed(view=TINY, training=training)


def variants():
    """Every row of the table, with every network where it has a choice of them."""
    for kind, family in CLASSIFIERS.items():
        for network in NETWORKS if "network" in family.model_fields else (None,):
            chosen = family() if network is None else family(network=network)
            name = network if isinstance(network, str) else network and network["kind"]
            yield pytest.param(small(chosen), id=kind if network is None else f"{kind}-{name}")


RECIPES = list(variants())
FIRST = RECIPES[0].values[0]
every_recipe = pytest.mark.parametrize("recipe", RECIPES)
