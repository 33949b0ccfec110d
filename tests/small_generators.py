"""Generators small enough to be fitted in a test."""

from __future__ import annotations

STEPS = 12
TRAIN, VAL = (0, (20, 9, 14, 0)), (40, (5, 5, 5, 0))  # scanned digits: three classes; the fourth, 'seven', is absent


def small(recipe, steps=STEPS):
    """The same recipe with few steps of a narrow network, where it has these."""
    fields = type(recipe).model_fields
    narrow = {name: value for name, value in {"latent": 6, "width": 8}.items() if name in fields}
    if "training" in fields:
        lr = max(recipe.training.lr, 1e-3)  # a few steps must show in the pictures
        narrow["training"] = recipe.training.changed(steps=steps, eval_every=5, batch_size=16, lr=lr)
    return recipe.changed(**narrow)
