"""The table of networks, and reading one from a name or a table of fields."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from handful.nn.encoders import Encoder
from handful.nn.fusion import Fusion
from handful.nn.network import NetworkRecipe
from handful.nn.single import SINGLE, recipe_of

NETWORKS: dict[str, type[NetworkRecipe]] = {**SINGLE, "encoder": Encoder, "fusion": Fusion}


def network_of(given: Any) -> NetworkRecipe:
    """Return a recipe of NETWORKS from a name, a table of fields with `kind`, a recipe, or a function of one's own.

    A name is one of the table, `timm:NAME` for a model of timm, or `package.module:function` for a function.

    Raises:
        ConfigError: an unknown name or field, with the nearest one; a function that no other process could find.
    """
    return recipe_of(NETWORKS, given)


AnyNetwork = Annotated[NetworkRecipe, BeforeValidator(network_of), SerializeAsAny()]
