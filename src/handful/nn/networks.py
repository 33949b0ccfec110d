"""The table of networks, and reading one from a name or a table of fields."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from handful.config import choose
from handful.nn.network import NetworkRecipe
from handful.nn.small import V2, V3, Base

NETWORKS: dict[str, type[NetworkRecipe]] = {"base": Base, "v2": V2, "v3": V3}


def network_of(given: Any) -> NetworkRecipe:
    """Return a network recipe from a name, a table of fields with `kind`, or a recipe.

    Raises:
        ConfigError: an unknown name or field, with the nearest one.
    """
    return choose(NETWORKS, given, "network")


AnyNetwork = Annotated[NetworkRecipe, BeforeValidator(network_of), SerializeAsAny()]
