"""The table of reproduced studies."""

from __future__ import annotations

from handful.errors import ConfigError, unknown
from handful.reproduce import cifar_cnn, fashion_autoencoder, signs_autoencoders, signs_diffusion
from handful.reproduce.entry import Reproduction

STUDIES: dict[str, Reproduction] = {
    one.ENTRY.name: one.ENTRY for one in (signs_autoencoders, signs_diffusion, cifar_cnn, fashion_autoencoder)
}


def reproduction(name: str) -> Reproduction:
    """Return a row of STUDIES.

    Raises:
        ConfigError: no such study.
    """
    if name not in STUDIES:
        raise ConfigError(unknown("published study", name, STUDIES))
    return STUDIES[name]
