"""The table of extractors: what turns a picture into the features that distances between sets are taken on.

    from handful.measure.extractors import extractor_of

    lite0 = extractor_of("lite0")
    lite0.label                # 'lite0/1280/bicubic224', part of the name of every number
    lite0.features(pixels)     # uint8 [N, C, H, W] => float32 [N, 1280]

A study's own classifier is `own_classifier.OwnClassifier`, which needs a network and so has no name here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast, get_args

from handful.errors import ConfigError, DataError, unknown
from handful.measure.extractor import Extractor as Extractor
from handful.measure.feature_cache import Features as Features
from handful.measure.own_classifier import OwnClassifier as OwnClassifier
from handful.measure.pixel_values import Pixels
from handful.measure.pretrained import DinoV2, Inception, Layer, Lite0, Timm
from handful.nn.weights import at_hand

EXTRACTORS: dict[str, Callable[..., Extractor]] = {
    "lite0": Lite0,
    "inception": Inception,
    "dinov2": DinoV2,
    "timm": Timm,
    "pixels": Pixels,
}


def extractor_of(given: str | Extractor) -> Extractor:
    """Return the extractor of a name in EXTRACTORS, of `inception/LAYER` or of `timm:NAME`; an extractor as it is.

    Raises:
        ConfigError: an unknown name or layer.
    """
    if isinstance(given, Extractor):
        return given
    if given.startswith("timm:"):
        return Timm(model=given.removeprefix("timm:"))
    name, _, layer = given.partition("/")
    if name == "inception" and layer:
        if layer not in get_args(Layer):
            raise ConfigError(unknown("layer of inception", layer, get_args(Layer)))
        return Inception(layer=cast(Layer, layer))
    names = [name if name != "timm" else "timm:NAME" for name in EXTRACTORS]
    if given not in names:
        raise ConfigError(unknown("extractor", given, [*names, "inception/LAYER"]))
    return EXTRACTORS[given]()


def installed_extractor() -> Extractor | None:
    """Return Lite0 where its weights are on this machine, in a package or in the folder of weights; else None."""
    return Lite0() if at_hand("lite0") else None


def require_same(*labels: str) -> str:
    """Return the one label that all of these are.

    Raises:
        DataError: two differ; features of other extractors, layers or resizers are on another scale.
    """
    different = list(dict.fromkeys(labels))
    if len(different) != 1:
        raise DataError(
            f"numbers of different extractors cannot be compared: {', '.join(different) or 'none given'}; measure all "
            "sets with one extractor, layer and resizer"
        )
    return different[0]
