"""The table of generators, and reading a saved one back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.config import load_part
from handful.generate.contract import Generator, GeneratorRecipe
from handful.generate.interpolate import Interpolation, InterpolationGenerator
from handful.generate.vae import VAE, VAEGenerator

GENERATORS: dict[str, type[GeneratorRecipe]] = {"interpolate": Interpolation, "vae": VAE}
_LOADERS: dict[str, Callable[[Path, dict[str, Any]], Generator]] = {
    "interpolate": InterpolationGenerator.load,
    "vae": VAEGenerator.load,
}


def load_generator(folder: str | Path) -> Generator:
    """Return the generator that `Generator.save` wrote into a folder.

    Raises:
        StoreError: there is none, or it is not complete.
    """
    return load_part(folder, "generator", _LOADERS)
