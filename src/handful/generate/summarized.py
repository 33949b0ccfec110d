"""The networks of a generator, built to be looked at."""

from __future__ import annotations

import torch

from handful import rng
from handful.generate.neural import NeuralRecipe
from handful.nn.summary import Summary, summarize_together


def networks_of(recipe: NeuralRecipe, channels: int, size: int, num_classes: int) -> Summary:
    """Return the summary of all networks that a family trains, from the pass of one picture that its last loss makes.

    Args:
        channels, size: of the pictures, [1, channels, size, size].
        num_classes: told to the networks where the recipe's scope is `conditional`; else it is one set for each class.

    Raises:
        ConfigError, DataError: the family does not take such pictures.
    """
    with rng.forked(0):
        networks = recipe.networks(channels, size, num_classes if recipe.scope == "conditional" else 0)
    images, labels = torch.full((1, channels, size, size), 0.5), torch.zeros(1, dtype=torch.int64)
    noise = recipe.noise((1, channels, size, size), rng.torch_rng(0, "summary"), "cpu")
    _, loss = recipe.phases[-1]
    return summarize_together(networks, (channels, size, size), lambda: loss(networks, images, labels, noise, 1.0))
