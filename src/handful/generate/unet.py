"""U-Nets that denoise: a compact one for small pictures and one core, and diffusers' UNet2DModel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 8  # channels are a multiple of it
HEAD = 32  # channels of one attention head


class Denoiser(nn.Module):
    """A U-Net for pictures of any size: pads with zeros to what its halvings need, and crops.

    Args:
        unet: takes [B, channels * patch^2, h, w], timesteps [B] and classes [B] (None: not told), returns the first's
            shape.
        shape: (C, H, W) of the pictures.
        patch: pixels are folded into channels, patch x patch to one place; 1: as they are.
        halvings: how often the U-Net halves its map.
        num_classes: classes it is told; class id `num_classes` stands for "not told". 0: it is never told one.
    """

    def __init__(
        self, unet: nn.Module, shape: tuple[int, int, int], *, patch: int, halvings: int, num_classes: int
    ) -> None:
        super().__init__()
        self.unet, self.shape, self.patch, self.num_classes = unet, shape, patch, num_classes
        self.stride = patch * 2**halvings

    def forward(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, labels: torch.Tensor, told: torch.Tensor
    ) -> torch.Tensor:
        """Return what the network answers to noisy pictures, float [B, C, H, W].

        Args:
            noisy: float [B, C, H, W].
            timesteps: int64 [B], 0 is the least noise.
            labels: int64 [B], and
            told: bool [B], false where the class is withheld; both heeded where `num_classes` is not 0.
        """
        classes = torch.where(told, labels, self.num_classes) if self.num_classes else None
        size = noisy.shape[-1]
        extra = -size % self.stride
        before, after = extra // 2, extra - extra // 2
        maps = F.pad(noisy, (before, after, before, after))
        maps = F.pixel_unshuffle(maps, self.patch) if self.patch > 1 else maps
        maps = self.unet(maps, timesteps, classes)
        maps = F.pixel_shuffle(maps, self.patch) if self.patch > 1 else maps
        return maps[..., before : before + size, before : before + size]


class CompactUNet(nn.Module):
    """Residual blocks of two 3x3 convolutions, scaled and shifted by timestep and class (Dhariwal and Nichol 2021).

    Args:
        channels: of the input and the output.
        widths: channels of each level, multiples of 8; between levels the map is halved.
        attention: per level, whether each of its blocks is followed by self-attention.
        blocks: residual blocks of a level on the way down; as many on the way up.
        num_classes: length of the class table, "not told" included; 0: no table.
    """

    def __init__(
        self, channels: int, *, widths: Sequence[int], attention: Sequence[bool], blocks: int, num_classes: int
    ) -> None:
        super().__init__()
        told = 4 * widths[0]
        self.width, self.blocks = widths[0], blocks
        self.time = nn.Sequential(nn.Linear(self.width, told), nn.SiLU(), nn.Linear(told, told))
        self.classes = nn.Embedding(num_classes, told) if num_classes else None
        self.stem = nn.Conv2d(channels, self.width, 3, padding=1)
        self.down, self.shrink, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        levels = [(width, attends) for width, attends in zip(widths, attention, strict=True) for _ in range(blocks)]
        before, kept = self.width, []
        for place, (width, attends) in enumerate(levels):
            if place and place % blocks == 0:
                self.shrink.append(nn.Conv2d(before, before, 3, stride=2, padding=1))
            self.down.append(Block(before, width, told, attends))
            kept.append(width)
            before = width
        self.middle = nn.ModuleList([Block(before, before, told, True), Block(before, before, told, False)])
        for width, attends in reversed(levels):
            self.up.append(Block(before + kept.pop(), width, told, attends))
            before = width
        self.last = nn.Sequential(_norm(before), nn.SiLU(), nn.Conv2d(before, channels, 3, padding=1))

    def forward(self, maps: torch.Tensor, timesteps: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
        told = self.time(sinusoids(timesteps, self.width))
        if self.classes is not None and classes is not None:
            told = told + self.classes(classes)
        told = F.silu(told)
        maps, kept = self.stem(maps), []
        for place, block in enumerate(self.down):
            if place and place % self.blocks == 0:
                maps = self.shrink[place // self.blocks - 1](maps)
            maps = block(maps, told)
            kept.append(maps)
        for block in self.middle:
            maps = block(maps, told)
        for place, block in enumerate(self.up):
            if place and place % self.blocks == 0:
                maps = F.interpolate(maps, scale_factor=2.0, mode="nearest")
            maps = block(torch.cat([maps, kept.pop()], dim=1), told)
        answer: torch.Tensor = self.last(maps)
        return answer


class Block(nn.Module):
    """Group norm, SiLU, convolution, twice, around a shortcut; then self-attention where `attends`."""

    def __init__(self, before: int, width: int, told: int, attends: bool) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(before), nn.Conv2d(before, width, 3, padding=1)
        self.tell = nn.Linear(told, 2 * width)
        self.norm2, self.conv2 = _norm(width), _zero(nn.Conv2d(width, width, 3, padding=1))
        self.short = nn.Identity() if before == width else nn.Conv2d(before, width, 1)
        self.attention = Attention(width) if attends else None

    def forward(self, maps: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        scale, shift = self.tell(told)[:, :, None, None].chunk(2, dim=1)
        inner = self.conv1(F.silu(self.norm1(maps)))
        inner = self.conv2(F.silu(self.norm2(inner) * (1 + scale) + shift))
        maps = self.short(maps) + inner
        if self.attention is not None:
            maps = self.attention(maps)
        return maps


class Attention(nn.Module):
    """Self-attention over the places of a map, added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.norm, self.qkv = _norm(width), nn.Conv2d(width, 3 * width, 1)
        self.out = _zero(nn.Conv2d(width, width, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        batch, width, height, across = maps.shape
        query, key, value = (
            part.reshape(batch, self.heads, width // self.heads, height * across)
            for part in self.qkv(self.norm(maps)).chunk(3, dim=1)
        )  # [B, heads, width / heads, places]
        weights = (query.transpose(-1, -2) @ key / math.sqrt(query.shape[-2])).softmax(dim=-1)
        mixed = (value @ weights.transpose(-1, -2)).reshape(batch, width, height, across)
        added: torch.Tensor = maps + self.out(mixed)
        return added


class UNet2D(nn.Module):
    """diffusers' UNet2DModel with the arguments and the forward of `CompactUNet`; its middle attends as well."""

    def __init__(
        self, channels: int, *, widths: Sequence[int], attention: Sequence[bool], blocks: int, num_classes: int
    ) -> None:
        super().__init__()
        from diffusers import UNet2DModel
        from diffusers.models.attention_processor import Attention as DiffusersAttention
        from diffusers.models.attention_processor import AttnProcessor

        unet: Any = UNet2DModel(  # type: ignore[no-untyped-call]  # untyped in diffusers
            in_channels=channels,
            out_channels=channels,
            layers_per_block=blocks,
            block_out_channels=tuple(widths),
            down_block_types=tuple("AttnDownBlock2D" if attends else "DownBlock2D" for attends in attention),
            up_block_types=tuple("AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(attention)),
            norm_num_groups=math.gcd(32, *(width // 2 for width in widths)),
            num_class_embeds=num_classes or None,
        )
        for module in unet.modules():
            if isinstance(module, DiffusersAttention):
                module.set_processor(AttnProcessor())  # the fused one cannot be stacked
        self.unet = unet

    def forward(self, maps: torch.Tensor, timesteps: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
        answer: torch.Tensor = self.unet(maps, timesteps, classes, return_dict=False)[0]
        return answer


def sinusoids(timesteps: torch.Tensor, width: int) -> torch.Tensor:
    """Return [B, width]: sines and cosines of the timesteps at geometric frequencies from 1 down to 1/10000."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) / half * torch.arange(half, device=timesteps.device))
    angles = timesteps[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _norm(channels: int) -> nn.GroupNorm:
    """At most 8 groups of 8 channels or more: a group of one would lose the brightness of a flat picture."""
    return nn.GroupNorm(math.gcd(8, channels // WIDTH), channels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
