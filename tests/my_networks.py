"""Networks of a user's own, for tests."""

from __future__ import annotations

import torch
from torch import nn


def plain(channels, size, num_classes, width=4):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(channels * size * size, width), nn.ReLU(), nn.Linear(width, num_classes)
    )


class Parted(nn.Module):
    def __init__(self, channels, size, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, num_classes))

    def forward(self, images):
        return self.head(self.body(images))


class Frozen(Parted):
    def __init__(self, channels, size, num_classes):
        super().__init__(channels, size, num_classes)
        self.body.requires_grad_(False)


class Other(Parted):
    def forward(self, images):
        return super().forward(images) + 1


class Loose(nn.Module):
    def __init__(self, channels, size, num_classes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, num_classes))
        self.rest = nn.Linear(num_classes, num_classes)

    def forward(self, images):
        return self.rest(images.mean(dim=(2, 3)) @ self.weight)


def wrong_shape(channels, size, num_classes):
    return plain(channels, size, num_classes + 1)


def not_a_module(channels, size, num_classes):
    return 3


def inside():
    def function(channels, size, num_classes):
        return plain(channels, size, num_classes)

    return function


def short(num_classes):
    return plain(1, 8, num_classes)


def failing(channels, size, num_classes):
    raise RuntimeError("no such layer")


MADE = plain(1, 8, 3)
