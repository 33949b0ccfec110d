"""What a fit looks at while it trains."""

from __future__ import annotations

import numpy as np
import pytest

from handful import rng
from handful.data.images import LabeledImages, View
from handful.generate import fitting
from handful.generate.autoencoder import Autoencoder
from handful.generate.diffusion import Diffusion
from handful.generate.neural import NeuralRecipe
from handful.generate.vae import VAE
from handful.nn.train import Training

SMALL = {"view": View(size=8, channels=1), "training": Training(steps=2, eval_every=1)}
RECIPES: tuple[NeuralRecipe, ...] = (
    Autoencoder(width=4, latent=4, dropout=0.3, denoising=0.1, **SMALL),
    VAE(width=4, latent=4, **SMALL),
    Diffusion(width=32, multiples=(1,), attention=(False,), sample_steps=2, **SMALL),
)


def part(num: int) -> LabeledImages:
    pixels = rng.numpy_rng(0, "pixels", num).integers(0, 256, (num, 1, 8, 8), dtype=np.uint8)
    return LabeledImages.of_arrays(pixels, np.arange(num) % 2, ("a", "b"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.kind)
def test_the_loss_on_validation_does_not_depend_on_how_many_go_through_together(
    recipe: NeuralRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, val = part(12), part(7)
    whole = recipe.fit(train, val, seed=0).history["all"]["values"]
    monkeypatch.setattr(fitting, "LOOKED_AT", 3)
    parts = recipe.fit(train, val, seed=0).history["all"]["values"]
    assert [look["loss"] for look in parts] == pytest.approx([look["loss"] for look in whole], rel=1e-5)
    assert whole[0]["loss"] != whole[1]["loss"]
