"""The axes of S0's search for an autoencoder: plain and denoising, depths, losses and optimizers.

Each recipe is an arm of a study (`handful reproduce signs-autoencoders`), which trains it, keeps it and scores how it
rebuilds pictures. S0 chose by the lowest validation loss. That compares losses in different units: of two networks that
rebuild alike, one trained on MSE has a far lower loss than one trained on L1, because |e| < 1 makes e^2 < |e|.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from handful.errors import ConfigError
from handful.generate.autoencoder import Autoencoder


def grid_recipes(
    start: Autoencoder,
    *,
    denoising: Sequence[float] = (0.0, 0.1),
    depths: Sequence[int] = (2, 3),
    losses: Sequence[Any] = ("mse", "l1"),
    optimizers: Sequence[Any] = ("adam", "sgd"),
    sgd_lr: float = 0.5,
) -> list[Autoencoder]:
    """Return every combination as a recipe of its own, the last axis varying first.

    Args:
        start: what they have in common; its own noise, depth, loss and optimizer are replaced.
        denoising: standard deviations of the added noise, pixels in [0, 1]; 0 is a plain autoencoder.
        depths: numbers of halvings.
        losses, optimizers: see `Autoencoder` and `Training`.
        sgd_lr: learning rate of sgd, which needs a larger one than adam; the others have that of `start`.

    Raises:
        ConfigError: an empty axis, or values that no recipe can have, all at once.
    """
    axes = {"denoising": denoising, "depths": depths, "losses": losses, "optimizers": optimizers}
    faults = [f"the axis {name!r} of the grid is empty" for name, values in axes.items() if not len(values)]
    recipes = []
    for noise, depth, loss, optimizer in product(*axes.values()):
        try:
            lr = sgd_lr if optimizer == "sgd" else start.training.lr
            training = start.training.changed(optimizer=optimizer, lr=lr)
            given = {"denoising": float(noise), "depth": depth, "reconstruction": loss}
            recipes.append(start.changed(**given, training=training))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    return recipes
