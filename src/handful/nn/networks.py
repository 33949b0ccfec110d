"""The table of networks, and reading one from a name or a table of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from handful.config import choose, recipe_from
from handful.nn.backbones import Backbone
from handful.nn.encoders import Encoder
from handful.nn.network import NetworkRecipe
from handful.nn.small import V2, V3, Base
from handful.nn.weights import BACKBONES

NETWORKS: dict[str, type[NetworkRecipe]] = {
    "base": Base,
    "v2": V2,
    "v3": V3,
    "encoder": Encoder,
    **dict.fromkeys(BACKBONES, Backbone),
}


def network_of(given: Any) -> NetworkRecipe:
    """Return a network recipe from a name (also `timm:NAME`), a table of fields with `kind`, or a recipe.

    Raises:
        ConfigError: an unknown name or field, with the nearest one.
    """
    kind = given.get("kind") if isinstance(given, Mapping) else given
    if isinstance(kind, str) and kind.startswith("timm:"):
        return recipe_from(Backbone, given if isinstance(given, Mapping) else {"kind": kind}, "network")
    return choose(NETWORKS, given, "network")


AnyNetwork = Annotated[NetworkRecipe, BeforeValidator(network_of), SerializeAsAny()]
