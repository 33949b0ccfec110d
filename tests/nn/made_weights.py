"""Files of weights for a network, made in a test: random values that need little room on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from handful import rng


def plain(architecture: str, **options) -> nn.Module:
    """A model of torchvision as it comes, without memory."""
    from torchvision import models

    with rng.forked(), torch.device("meta"):
        return models.get_model(architecture, **options)


def values(like: torch.Tensor, seed: int) -> torch.Tensor:
    """Random values of a shape; neighbouring rows share theirs, so that the file holds a few thousand numbers only."""
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    stream = torch.Generator().manual_seed(seed)
    room = torch.rand(sum(like.shape) - like.ndim + 1, generator=stream) + 0.5
    if like.ndim > 1:
        room = (room - 1) * (12 / like[0].numel()) ** 0.5
    return room.as_strided(like.shape, (1,) * like.ndim)


def write_weights(model: nn.Module, path: Path) -> Path:
    torch.save({name: values(one, place) for place, (name, one) in enumerate(model.state_dict().items())}, path)
    return path


def filled(model: nn.Module, path: Path) -> nn.Module:
    model.to_empty(device="cpu").load_state_dict(torch.load(path, weights_only=True))
    return model.eval()
