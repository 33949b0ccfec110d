"""The table of generators, and reading a saved one back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from handful.config import load_part
from handful.generate.autoencoder import Autoencoder
from handful.generate.contract import Generator, GeneratorRecipe
from handful.generate.diffusion import Diffusion
from handful.generate.gan import GAN
from handful.generate.interpolate import Interpolation, InterpolationGenerator
from handful.generate.neural import NeuralGenerator, NeuralRecipe
from handful.generate.vae import VAE

GENERATORS: dict[str, type[GeneratorRecipe]] = {
    "interpolate": Interpolation,
    "autoencoder": Autoencoder,
    "vae": VAE,
    "gan": GAN,
    "diffusion": Diffusion,
}
_LOADERS: dict[str, Callable[[Path, dict[str, Any]], Generator]] = {
    "interpolate": InterpolationGenerator.load,
    **{
        name: partial(NeuralGenerator.load, kind) for name, kind in GENERATORS.items() if issubclass(kind, NeuralRecipe)
    },
}


def load_generator(folder: str | Path) -> Generator:
    """Return the generator that `Generator.save` wrote into a folder.

    Raises:
        StoreError: there is none, or it is not complete.
    """
    return load_part(folder, "generator", _LOADERS)
