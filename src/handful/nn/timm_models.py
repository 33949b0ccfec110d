"""Any model of timm as a body: its maps where their mean is what its last layer gets, else its features."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from handful import rng
from handful.errors import ConfigError
from handful.nn.weights import default_card

_DROPOUT = {"tf_efficientnet_lite0": 0.2, "tf_efficientnet_lite1": 0.2, "tf_efficientnet_lite2": 0.3}  # as published


@dataclass(frozen=True)
class TimmBody:
    """A model of timm without its last layer.

    Args:
        body: pictures [B, C, size, size] => maps [B, width, h, w] or features [B, width].
        stages: every parameter of the body, from the pictures on.
        last: how the names of its last layer start.
        dropout: before the last layer, as it was published.
    """

    body: nn.Module
    width: int
    stages: list[nn.Module]
    last: tuple[str, ...]
    dropout: float


def timm_body(architecture: str, channels: int, size: int, drawn: bool) -> TimmBody:
    """Return a model of timm without its last layer, its weights from torch's global stream.

    Args:
        architecture: a name of timm, with or without the tag of its weights.
        drawn: its weights are kept; else they will be filled, and the global stream stays where it is.

    Raises:
        ConfigError: timm has no such model, or it does not take pictures of this size, or its body gives no tensor.
    """
    import timm

    family = architecture.partition(".")[0]
    sized: dict[str, Any] = {"img_size": size} if default_card(architecture).fixed_input_size else {}
    with nullcontext() if drawn else rng.forked():
        try:
            model: Any = timm.create_model(architecture, pretrained=False, in_chans=channels, **sized)
            maps = _gives_maps(model, channels, size)
        except ConfigError:
            raise
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            raise ConfigError(
                f"network 'timm:{architecture}': does not take pictures of {size} px with {channels} channels: {error}"
            ) from None
    classifier = model.pretrained_cfg.get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    width = int(model.head_hidden_size)
    model.reset_classifier(0, "") if maps else model.reset_classifier(0)
    return TimmBody(model, width, _stages(model), tuple(f"{name}." for name in names), _DROPOUT.get(family, 0.0))


def _gives_maps(model: Any, channels: int, size: int) -> bool:
    """Whether what its last layer gets is the mean over the places of its maps, tried on one picture."""
    picture = torch.linspace(-2, 2, channels * size * size).reshape(1, channels, size, size)
    model.eval()
    with torch.no_grad():
        maps = model.forward_features(picture)
        if not isinstance(maps, torch.Tensor):
            raise ConfigError(
                f"network 'timm:{model.pretrained_cfg['architecture']}': its body gives {type(maps).__name__}, not one "
                "tensor of maps or features, so no last layer can be put on it; take another model of timm"
            )
        features = model.forward_head(maps, pre_logits=True)
    model.train()
    if maps.ndim != 4 or features.ndim != 2 or maps.shape[1] != features.shape[1]:
        return False
    return torch.allclose(maps.mean(dim=(2, 3)), features, rtol=1e-4, atol=1e-5)


def _stages(model: nn.Module) -> list[nn.Module]:
    """The parts of a model with parameters, blocks one by one; a norm joins what is before it."""
    parts: list[list[nn.Module]] = []
    if loose := list(model.parameters(recurse=False)):  # positions and tokens of transformers
        parts.append([nn.ParameterList(loose)])
    for child in model.children():
        for part in child.children() if isinstance(child, nn.Sequential | nn.ModuleList) else [child]:
            if not any(True for _ in part.parameters()):
                continue
            if parts and "norm" in type(part).__name__.lower():
                parts[-1].append(part)
            else:
                parts.append([part])
    if loose and len(parts) > 1:
        parts[:2] = [parts[0] + parts[1]]
    return [part[0] if len(part) == 1 else nn.ModuleList(part) for part in parts]
