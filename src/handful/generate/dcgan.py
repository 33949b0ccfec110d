"""The two networks of a DCGAN (Radford et al. 2016) for pictures of any size from 4 px up."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of the leaky ReLU
MOST_TIMES_WIDTH = 8


class DCGANGenerator(nn.Module):
    """Transposed convolutions with batch norm and ReLU, from a latent vector to a picture, tanh at the end.

    At 64 px, 3 channels, latent 256 and width 64 these are the five layers 512, 256, 128, 64, 3 of the published table
    (kernel 4; stride 1 in the first, then 2). Each halving of the size takes one layer away; a layer to an odd side has
    kernel 3. Convolutions before a batch norm have no bias.

    Args:
        channels, size: of the pictures, [B, channels, size, size].
        num_classes: length of the one-hot class appended to the latent vector; 0: none.
        latent: length of the latent vector.
        width: filters of the last hidden layer; each layer before has twice as many, at most 8 times.
    """

    def __init__(self, channels: int, size: int, num_classes: int, *, latent: int, width: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        sides = sides_of(size)[::-1]
        widths = widths_of(width, len(sides) - 1)[::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent + num_classes, widths[0], sides[0], bias=False)]
        for side, (before, after) in zip(sides[1:], pairwise([*widths, channels]), strict=True):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            last = side == size
            layers.append(nn.ConvTranspose2d(before, after, kernel_to(side), stride=2, padding=1, bias=last))
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.apply(_draw_weights)

    def forward(self, latent: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return pictures [B, C, H, W] in [-1, 1] for latent vectors [B, latent] and class ids [B]."""
        if self.num_classes:
            told = one_hot(labels, self.num_classes) * math.sqrt(latent.shape[1])  # as long as the latent vector
            latent = torch.cat([latent, told.to(latent)], dim=1)
        images: torch.Tensor = self.layers(latent[:, :, None, None])
        return images


class DCGANDiscriminator(nn.Module):
    """Convolutions with batch norm (not in the first), leaky ReLU and dropout, from a picture to one logit.

    At 64 px, 3 channels and width 64 these are the five layers 64, 128, 256, 512, 1 of the published table, whose
    sigmoid is part of the loss here. Sides and kernels mirror the generator's.

    Args:
        channels, size: of the pictures.
        num_classes: of the one-hot class it is told; 0: none.
        width: filters of the first layer; each further one has twice as many, at most 8 times.
        dropout: rate after each hidden layer; its masks come from outside.
        norm: `batch`, `spectral` (Miyato et al. 2018, every layer) or `none`.
        told: how it learns the class: `maps` (one-hot maps beside the picture's channels, Mirza and Osindero 2014) or
            `projection` (Miyato and Koyama 2018, eq. 3, on the last hidden maps, summed).
    """

    def __init__(
        self,
        channels: int,
        size: int,
        num_classes: int,
        *,
        width: int,
        dropout: float = 0.0,
        norm: Literal["batch", "spectral", "none"] = "batch",
        told: Literal["projection", "maps"] = "projection",
    ) -> None:
        super().__init__()
        self.num_classes, self.dropout, self.told = num_classes, dropout, told
        sides = sides_of(size)
        widths = widths_of(width, len(sides) - 1)
        inputs = channels + (num_classes if told == "maps" else 0)
        self.mask_shapes = mask_shapes(size, width)
        self.blocks = nn.ModuleList()
        for place, (before, after) in enumerate(pairwise([inputs, *widths])):
            normed = norm == "batch" and place > 0
            conv = nn.Conv2d(before, after, kernel_to(sides[place]), stride=2, padding=1, bias=not normed)
            rest = [nn.BatchNorm2d(after)] if normed else []
            self.blocks.append(nn.Sequential(conv, *rest, nn.LeakyReLU(SLOPE)))
        self.last = nn.Conv2d(widths[-1], 1, sides[-1])
        self.project = nn.Linear(num_classes, widths[-1], bias=False) if num_classes and told == "projection" else None
        self.apply(_draw_weights)
        if norm == "spectral":
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d | nn.Linear):
                    spectral_norm(module)

    def forward(self, images: torch.Tensor, labels: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits [B], high for real.

        Args:
            images: [B, C, H, W] in [-1, 1].
            labels: int64 [B].
            keep: bool [B, M], False where dropout sets a value of `mask_shapes`, one after another, to 0; None: none.
        """
        maps = images
        if self.num_classes and self.told == "maps":
            hot = one_hot(labels, self.num_classes).to(images)
            maps = torch.cat([maps, hot[:, :, None, None].expand(*hot.shape, *images.shape[2:])], dim=1)
        masks = [] if keep is None else keep.split_with_sizes([math.prod(shape) for shape in self.mask_shapes], dim=1)
        for place, block in enumerate(self.blocks):
            maps = block(maps)
            if keep is not None:
                maps = maps * masks[place].view(maps.shape) / (1 - self.dropout)
        logits: torch.Tensor = self.last(maps)[:, 0, 0, 0]
        if self.project is not None:
            logits = logits + (self.project(one_hot(labels, self.num_classes).to(maps)) * maps.sum(dim=(2, 3))).sum(1)
        return logits.float()


def sides_of(size: int) -> list[int]:
    """Return the sides of the maps from the picture down: halved, rounding up, to 4 or less, at least once."""
    sides = [size, (size + 1) // 2]
    while sides[-1] > 4:
        sides.append((sides[-1] + 1) // 2)
    return sides


def widths_of(width: int, num: int) -> list[int]:
    """Return the filters of the hidden layers, the one next to the picture first."""
    return [width * min(2**place, MOST_TIMES_WIDTH) for place in range(num)]


def mask_shapes(size: int, width: int) -> list[tuple[int, int, int]]:
    """Return the shapes (C, H, W) of the discriminator's hidden maps, which dropout masks."""
    sides = sides_of(size)[1:]
    return [(filters, side, side) for filters, side in zip(widths_of(width, len(sides)), sides, strict=True)]


def kernel_to(side: int) -> int:
    """Return the kernel that, with stride 2 and padding 1, goes between ceil(side / 2) and `side` exactly."""
    return 4 - side % 2


def one_hot(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return bool [B, num_classes]; unlike torch's own it looks at no value, so it can run under `vmap`."""
    return labels[:, None] == torch.arange(num_classes, device=labels.device)


def _draw_weights(module: nn.Module) -> None:
    """Weights from N(0, 0.02), those of batch norm from N(1, 0.02), biases 0 (Radford et al. 2016, section 4)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
