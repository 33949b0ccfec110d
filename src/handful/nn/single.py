"""The table of networks that stand alone, which a fusion chooses its two from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from handful.config import choose, recipe_from
from handful.errors import ConfigError
from handful.nn.backbones import Backbone
from handful.nn.custom import FACTORY, Custom, named_factory
from handful.nn.fast import Fast
from handful.nn.network import NetworkRecipe
from handful.nn.residual import Residual
from handful.nn.small import V2, V3, Base
from handful.nn.weights import BACKBONES
from handful.nn.wide import Wide

SINGLE: dict[str, type[NetworkRecipe]] = {
    "base": Base,
    "v2": V2,
    "v3": V3,
    "wide": Wide,
    "residual": Residual,
    "fast": Fast,
    **dict.fromkeys(BACKBONES, Backbone),
    "custom": Custom,
}


def recipe_of(table: Mapping[str, type[NetworkRecipe]], given: Any) -> NetworkRecipe:
    """Return a recipe of a table from a name, a table of fields with `kind`, a recipe, or a function of one's own.

    A name is one of the table, `timm:NAME` for a model of timm, or `package.module:function` for a function.

    Raises:
        ConfigError: an unknown name or field, with the nearest one; a function that no other process could find.
    """
    if callable(given):
        return Custom(factory=named_factory(given))
    kind = given.get("kind") if isinstance(given, Mapping) else given
    if isinstance(kind, str) and kind.startswith("timm:"):
        return recipe_from(Backbone, given if isinstance(given, Mapping) else {"kind": kind}, "network")
    if isinstance(given, str) and ":" in given:
        if not re.match(FACTORY, given):
            raise ConfigError(
                f"network {given!r}: a function of one's own is called package.module:function, a model of timm "
                "timm:NAME"
            )
        return Custom(factory=given)
    if kind == "custom" and not isinstance(given, Mapping):
        raise ConfigError('network: "custom" needs the function that makes it: {kind = "custom", factory = "mod:func"}')
    return choose(table, given, "network")


def single_of(given: Any) -> NetworkRecipe:
    """Return a recipe of SINGLE; see `recipe_of`."""
    return recipe_of(SINGLE, given)
