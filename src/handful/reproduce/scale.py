"""How large a published study is run again: as published, or small enough to prove the path within minutes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from handful.data.images import View
from handful.errors import ConfigError, unknown
from handful.generate.autoencoder import Autoencoder
from handful.generate.diffusion import Diffusion
from handful.generate.gan import GAN
from handful.generate.neural import NeuralRecipe
from handful.generate.vae import VAE
from handful.nn.train import Training

ProtocolName = Literal["published", "honest"]


@dataclass(frozen=True)
class Scale:
    """One size of every study.

    Args:
        name: a key of SCALES.
        repeats: of every arm; None: as published, and at least 5 in the honest protocol so that there is a verdict.
        side: side of the pictures in pixels, at most; None: as published.
        steps: optimizer steps of a classifier; None: the published epochs.
        generator_steps: optimizer steps of a whole generator; None: the published epochs.
        per_class: training pictures of a class at most, and a third as many for test; None: all.
        add: synthetic pictures added to a class at most; None: as published.
        note: what its rows say, empty for the published size.
    """

    name: str
    repeats: int | None
    side: int | None
    steps: int | None
    generator_steps: int | None
    per_class: int | None
    add: int | None
    note: str

    @property
    def published(self) -> bool:
        return self.steps is None

    def repeats_for(self, protocol: ProtocolName, published: int) -> int:
        """Return how often every arm is repeated where the study did so `published` times."""
        if self.repeats is not None:
            return self.repeats
        return published if protocol == "published" else max(5, published)

    def repeated(self, times: int) -> Scale:
        """Return this scale with so many repeats of every arm."""
        return replace(self, repeats=times)

    def view(self, size: int, least: int = 1, **fields: Any) -> View:
        """Return a view of the published size, or of this scale's if that is smaller but not under `least`."""
        return View(size=size if self.side is None else min(size, max(least, self.side)), **fields)

    def training(self, *, epochs: int, cost: float = 1, **fields: Any) -> Training:
        """Return a training of the published epochs, or of this scale's steps, fewer by `cost`, with four looks."""
        if self.steps is None:
            return Training(epochs=epochs, **fields)
        steps = max(1, round(self.steps / cost))
        return Training(**{**fields, "steps": steps, "eval_every": max(1, steps // 4)})

    def added(self, published: int) -> int:
        """Return how many synthetic pictures a class gets where the study added `published`."""
        return published if self.add is None else max(1, min(published, published * self.add // 500))

    def generator(self, recipe: NeuralRecipe) -> NeuralRecipe:
        """Return a published recipe as it is, or short, small and told the class."""
        if self.generator_steps is None:
            return recipe
        training = recipe.training.changed(
            steps=self.generator_steps,
            epochs=None,
            batch_size=32,
            accumulate=1,
            warmup_steps=min(recipe.training.warmup_steps, self.generator_steps // 10),
            eval_every=max(1, self.generator_steps // 4),
            patience=None,
            keep="last",
            precision="float32",
        )
        if isinstance(recipe, Diffusion):  # a CPU takes minutes for its steps where others take seconds
            own, steps = Diffusion(width=32), max(1, self.generator_steps // 2)
            short = own.training.changed(steps=steps, eval_every=max(1, steps // 2), keep="last")
            fast = {"drop": 0.0, "guidance": 1.0, "sample_steps": min(10, steps), "augment": recipe.augment}
            return own.changed(**fast, training=short)
        changes: dict[str, Any] = {"training": training, "scope": "conditional", "view": None, "epochs_by_size": ()}
        if isinstance(recipe, VAE):
            changes |= {"network": "conv", "latent": min(recipe.latent, 64)}
        if isinstance(recipe, GAN):
            changes |= {"watch": "distance", "width": min(recipe.width, 32)}
        if isinstance(recipe, Autoencoder) and recipe.network == "s4":
            changes = {"training": training.changed(batch_size=recipe.training.batch_size)}
        return recipe.changed(**changes)


QUICK = "quick: proves the path, not the number"
SCALES = {
    "tiny": Scale("tiny", 2, 8, 2, 2, 8, 20, "tiny: for tests"),
    "quick": Scale("quick", 3, 32, 200, 300, 300, None, QUICK),
    "paper": Scale("paper", None, None, None, None, None, None, ""),
}
OFFERED = ("quick", "paper")


def scale_of(name: str) -> Scale:
    """Return a row of SCALES.

    Raises:
        ConfigError: no such row.
    """
    if name not in SCALES:
        raise ConfigError(unknown("scale", name, OFFERED))
    return SCALES[name]
