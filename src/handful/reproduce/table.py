"""The table of reproduced studies."""

from __future__ import annotations

from handful.errors import ConfigError, unknown
from handful.reproduce import (
    animals_transfer,
    cifar_cnn,
    fashion_autoencoder,
    satellite_fusion,
    signs_autoencoders,
    signs_diffusion,
)
from handful.reproduce.entry import Reproduction

MODULES = (signs_autoencoders, signs_diffusion, cifar_cnn, satellite_fusion, animals_transfer, fashion_autoencoder)
STUDIES: dict[str, Reproduction] = {one.ENTRY.name: one.ENTRY for one in MODULES}


def reproduction(name: str) -> Reproduction:
    """Return a row of STUDIES.

    Raises:
        ConfigError: no such study.
    """
    if name not in STUDIES:
        raise ConfigError(unknown("published study", name, STUDIES))
    return STUDIES[name]
