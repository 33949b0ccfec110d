"""Published networks as classifiers: torchvision's and timm's, from the weights published for them or from random ones.

A network keeps everything but its last layer. AlexNet, VGG16 and SqueezeNet keep the head they were published with, so
that their hidden layers start from published weights too; `hidden` puts the dense layers of one's own in its place.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from handful import rng
from handful.errors import ConfigError, WeightsError
from handful.nn.network import Network, NetworkRecipe, PooledHead, Start, with_dropout
from handful.nn.timm_models import timm_body
from handful.nn.weight_files import file_digest, fill, given_weights, locate_weights, read_weights, state_digest
from handful.nn.weights import Timm, backbone

HIDDEN_DROPOUT = 0.5  # of dense layers of one's own


class Backbone(NetworkRecipe):
    """A published network with a last layer for one's own classes.

    Args:
        kind: `alexnet`, `vgg16`, `squeezenet1_1`, `resnet18`, `resnet50`, `inception_v3`, `mobilenet_v2` (torchvision),
            `lite0`, `lite1`, `lite2` (EfficientNet-Lite), `dinov2`, or `timm:NAME` for any model of timm.
        weights: `pretrained`: those that were published, from an installed package, the folder HANDFUL_WEIGHTS or a
            download; `random`: trained from scratch; anything else is the path of a file of weights for this network,
            safetensors or a state dict of torch, whose last layer is not used.
        hidden: widths of dense layers (ReLU, dropout 0.5 unless told otherwise) between the pooled maps and the last
            layer, in place of the network's own head; `()`: none; None: its own head.
        sha256: of the file of weights; another content is an error. Empty: any. A study fills it in when it is
            planned, so its results belong to the content of the weights. The path of a file belongs to the recipe too:
            the same file at another place is another recipe.

    With weights that expect three channels, grey pictures are seen as three equal ones; from random weights the network
    has one. Frozen and differently fast parts (`Tuning`) follow the stages that the network was published with.
    """

    kind: str
    weights: Annotated[str, Field(min_length=1)] = "pretrained"
    hidden: tuple[Annotated[int, Field(gt=0)], ...] | None = None
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        backbone(kind)
        return kind

    @model_validator(mode="after")
    def _random_weights_have_no_digest(self) -> Self:
        if self.weights == "random" and self.sha256:
            raise ValueError("sha256 is that of a file of weights, but these are random; leave one of the two")
        return self

    @property
    def least(self) -> int:
        return least_size(self.kind)

    @property
    def pretrained(self) -> bool:
        return self.weights != "random"

    def takes(self, channels: int) -> int:
        return 3 if self.pretrained else channels

    def resolved(self, size: int) -> Self:
        self._require(size)
        return self if self.weights == "random" else self.changed(sha256=_content(self._file()[0]))

    def build(self, channels: int, size: int, num_classes: int, dropout: float | None) -> BackboneNetwork:
        """Return the network, its head drawn from torch's global stream.

        The rest is drawn too where `weights` is `random`; else it is unset until `start` or a state dict fills it.
        """
        self._require(size)
        known, channels, drawn = backbone(self.kind), self.takes(channels), self.weights == "random"
        if isinstance(known, Timm):
            found = timm_body(known.architecture, channels, size, drawn)
            rate = _rate(dropout, self.hidden, found.dropout)
            head = PooledHead(found.width, num_classes, hidden=self.hidden or (), dropout=rate)
            return BackboneNetwork(found.body, head, found.stages, found.body, found.last)
        return _of_torchvision(known.architecture, channels, num_classes, self.hidden, dropout, drawn)

    def start(self, network: Network) -> Start:
        if self.weights == "random":
            return Start()
        assert isinstance(network, BackboneNetwork)
        path, source = self._file()
        known = backbone(self.kind)
        state = known.as_here(read_weights(path), network.plain, source)
        fill(network.plain, network.completed(state), source)
        mean, std = known.scale()
        return Start(source, state_digest(state), mean, std)

    def _file(self) -> tuple[Path, str]:
        """The file of its weights, with the content that was planned, and where it came from."""
        if self.weights == "pretrained":
            path, source = locate_weights(self.kind, backbone(self.kind).published().origin)
        else:
            path, source = given_weights(self.kind, Path(self.weights).expanduser())
        if self.sha256 and _content(path) != self.sha256:
            raise WeightsError(f"{source}: its SHA-256 is not {self.sha256}; these are other weights than were planned")
        return path, source

    def _require(self, size: int) -> None:
        if size < self.least:
            raise ConfigError(
                f"network {self.kind!r}: takes pictures of {self.least} px or more, the view has {size} px"
            )


class BackboneNetwork(Network):
    """A network, and the module of its published form whose parts it shares.

    Args:
        plain: of the published names; its last layer is one's own or away.
        last: how the names start that weights from elsewhere do not fill.
    """

    def __init__(
        self,
        body: nn.Module,
        head: nn.Module,
        stages: Sequence[nn.Module],
        plain: nn.Module,
        last: tuple[str, ...],
    ) -> None:
        super().__init__(body, head, stages)
        self._plain, self._last = (plain,), last  # a tuple: no second name in state_dict

    @property
    def plain(self) -> nn.Module:
        return self._plain[0]

    def completed(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return weights of its published form with one's own last layer in place of theirs."""
        own = {name: value for name, value in self.plain.state_dict().items() if name.startswith(self._last)}
        return {**{name: value for name, value in state.items() if not name.startswith(self._last)}, **own}


@dataclass(frozen=True)
class _Shape:
    """A network of torchvision: what `Network` and `Tuning` need to know of it.

    Args:
        width: channels of its maps.
        starts: places in its body where its stages start.
        least: px of the smallest pictures it takes.
        dropout: of its own head.
        last: place of the last layer in a head that is kept whole; None: the last layer is the head.
    """

    width: int
    starts: tuple[int, ...]
    least: int = 1
    dropout: float = 0.0
    last: int | None = None


_RESNET = (0, 4, 5, 6, 7)
_SHAPES = {
    "alexnet": _Shape(256, (0, 3, 6, 8, 10), least=63, dropout=0.5, last=6),
    "vgg16": _Shape(512, (0, 5, 10, 17, 24), least=32, dropout=0.5, last=6),
    "squeezenet1_1": _Shape(512, (0, 3, 6, 9), least=17, dropout=0.5, last=1),
    "resnet18": _Shape(512, _RESNET),
    "resnet50": _Shape(2048, _RESNET),
    "inception_v3": _Shape(2048, (0, 4, 7, 10, 15), least=75, dropout=0.5),
    "mobilenet_v2": _Shape(1280, (0, 1, 2, 4, 7, 11, 14, 17, 18), dropout=0.2),
}
_NOT_OF_THE_BODY = ("avgpool", "dropout", "fc", "AuxLogits")


def least_size(kind: str) -> int:
    """Return the side in px of the smallest pictures that a network is known to take; 1 where any may do."""
    return _SHAPES[kind].least if kind in _SHAPES else {"dinov2": 14}.get(kind, 1)  # one patch


def _of_torchvision(
    kind: str, channels: int, num_classes: int, hidden: tuple[int, ...] | None, dropout: float | None, drawn: bool
) -> BackboneNetwork:
    shape = _SHAPES[kind]
    model = _plain(kind, drawn)
    attribute = "classifier" if hasattr(model, "classifier") else "fc"
    keeps = hidden is None and shape.last is not None
    if keeps:
        model.classifier[shape.last] = nn.Identity()
    else:
        setattr(model, attribute, nn.Identity())  # before it is given memory
    if not drawn:
        _unset(model)
    if channels != 3:
        _see(model, channels)
    head: nn.Module
    if keeps:
        model.classifier[shape.last] = _last_layer(kind, shape.width, num_classes)
        head, last = _own_head(model, dropout), f"classifier.{shape.last}."
    else:
        rate = _rate(dropout, hidden, shape.dropout)
        head, last = PooledHead(shape.width, num_classes, hidden=hidden or (), dropout=rate), f"{attribute}."
    body = model.features if hasattr(model, "features") else _body(model)
    places = [*shape.starts, len(body)]
    stages = [body[start:end] for start, end in pairwise(places)]
    return BackboneNetwork(body, head, stages, model, (last, "AuxLogits."))


def _plain(kind: str, drawn: bool) -> Any:
    """A model of torchvision, with random weights or without memory: what is filled anyway is not drawn before."""
    from torchvision import models  # type: ignore[import-untyped]

    inception = kind == "inception_v3"
    options = {"aux_logits": False, "transform_input": False, "init_weights": drawn} if inception else {}
    if drawn:
        return models.get_model(kind, **options)
    with rng.forked(), torch.device("meta"):
        return models.get_model(kind, **options)


def _unset(model: nn.Module) -> None:
    """Give a model without memory some, all zeros."""
    model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.zero_()


def _see(model: nn.Module, channels: int) -> None:
    """Give the first convolution of a model other input channels, its weights drawn anew."""
    name, first = next((name, one) for name, one in model.named_modules() if isinstance(one, nn.Conv2d))
    seen = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]  # torch keeps pairs and says any number
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    model.set_submodule(name, seen)


def _last_layer(kind: str, width: int, num_classes: int) -> nn.Module:
    if kind != "squeezenet1_1":
        return nn.Linear(4096, num_classes)
    last = nn.Conv2d(width, num_classes, 1)
    nn.init.normal_(last.weight, std=0.01)  # as torchvision does: a ReLU follows
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    return last


def _own_head(model: Any, dropout: float | None) -> nn.Sequential:
    """The head that a model was published with: pooling to a fixed grid and dense layers, or SqueezeNet's maps."""
    with_dropout(model.classifier, dropout)
    if not hasattr(model, "avgpool"):
        return nn.Sequential(OrderedDict(classifier=model.classifier, flat=nn.Flatten()))
    return nn.Sequential(OrderedDict(avgpool=model.avgpool, flat=nn.Flatten(), classifier=model.classifier))


def _body(model: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict((n, m) for n, m in model.named_children() if n not in _NOT_OF_THE_BODY))


def _rate(given: float | None, hidden: tuple[int, ...] | None, own: float) -> float:
    if given is not None:
        return given
    return HIDDEN_DROPOUT if hidden else own


def _content(path: Path) -> str:
    """The SHA-256 of a file, taken once while its size and its time of change stay as they are."""
    found = path.stat()
    return _taken(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _taken(path: Path, size: int, changed: int) -> str:
    return file_digest(path)
