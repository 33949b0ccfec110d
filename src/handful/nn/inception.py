"""The Inception-v3 of the Fréchet inception distance: the TensorFlow graph of 2015-12-05, 1008 classes.

It differs from torchvision's Inception-v3, and its features may not be called by the same name: average pooling does
not count the padding, the last block takes maxima where the paper has averages, and its weights are others.

Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception Architecture for Computer Vision (2016);
Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, GANs Trained by a Two Time-Scale Update Rule (2017). Checked
against torch-fidelity's `FeatureExtractorInceptionV3` with the same weights: 1e-4 relative on every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from handful import rng
from handful.nn.weight_files import Facts, Origin, fill, find_weights, state_digest

SIZE, NUM_FEATURES, NUM_CLASSES = 299, 2048, 1008
ORIGIN = Origin(
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
)
Layer = Literal["64", "192", "768", "2048", "logits", "logits_unbiased"]
Kernel = int | tuple[int, int]
Step = list[tuple[str, int, Kernel]]  # name, filters, kernel; several see the same input, and their maps are joined
Branch = tuple[Step, ...]
WIDE, TALL = (1, 7), (7, 1)


class _Conv(nn.Module):
    """Convolution, batch norm, ReLU: [B, C, H, W] => [B, filters, H', W']."""

    def __init__(self, channels: int, filters: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(channels, filters, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(filters, eps=1e-3)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(maps)), inplace=True)


class _Mixed(nn.Module):
    """Branches side by side on one input and one that pools it, 3 x 3; all their maps are joined.

    Args:
        channels: of the input.
        branches: each is steps one after the other.
        pooled: filters, 1 x 1, after the pooling; 0: none.
        maximum: pool by the maximum, not by the average over the pixels that are there.
        halved: the last step of every branch has stride 2 and no padding, and so has the pooling.
    """

    def __init__(
        self, channels: int, branches: Sequence[Branch], pooled: int = 0, maximum: bool = False, halved: bool = False
    ) -> None:
        super().__init__()
        self.branches, self.maximum, self.halved = branches, maximum, halved
        self.branch_pool = _Conv(channels, pooled, 1) if pooled else nn.Identity()
        self.width = pooled or channels
        for branch in branches:
            width = channels
            for step in branch:
                halves = halved and step is branch[-1]
                for name, filters, kernel in step:
                    self.add_module(name, _Conv(width, filters, kernel, 2 if halves else 1, not halves))
                width = sum(filters for _, filters, _ in step)
            self.width += width

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        out = []
        for branch in self.branches:
            seen = maps
            for step in branch:
                seen = torch.cat([self.get_submodule(name)(seen) for name, _, _ in step], dim=1)
            out.append(seen)
        stride, padding = (2, 0) if self.halved else (1, 1)
        if self.maximum:
            pooled = F.max_pool2d(maps, 3, stride, padding)
        else:
            pooled = F.avg_pool2d(maps, 3, stride, padding, count_include_pad=False)
        return torch.cat([*out, self.branch_pool(pooled)], dim=1)


def _at_35(channels: int, pooled: int) -> _Mixed:
    branches: list[Branch] = [
        ([("branch1x1", 64, 1)],),
        ([("branch5x5_1", 48, 1)], [("branch5x5_2", 64, 5)]),
        ([("branch3x3dbl_1", 64, 1)], [("branch3x3dbl_2", 96, 3)], [("branch3x3dbl_3", 96, 3)]),
    ]
    return _Mixed(channels, branches, pooled)


def _to_17(channels: int) -> _Mixed:
    branches: list[Branch] = [
        ([("branch3x3", 384, 3)],),
        ([("branch3x3dbl_1", 64, 1)], [("branch3x3dbl_2", 96, 3)], [("branch3x3dbl_3", 96, 3)]),
    ]
    return _Mixed(channels, branches, maximum=True, halved=True)


def _at_17(channels: int, narrow: int) -> _Mixed:
    branches: list[Branch] = [
        ([("branch1x1", 192, 1)],),
        ([("branch7x7_1", narrow, 1)], [("branch7x7_2", narrow, WIDE)], [("branch7x7_3", 192, TALL)]),
        (
            [("branch7x7dbl_1", narrow, 1)],
            [("branch7x7dbl_2", narrow, TALL)],
            [("branch7x7dbl_3", narrow, WIDE)],
            [("branch7x7dbl_4", narrow, TALL)],
            [("branch7x7dbl_5", 192, WIDE)],
        ),
    ]
    return _Mixed(channels, branches, 192)


def _to_8(channels: int) -> _Mixed:
    branches: list[Branch] = [
        ([("branch3x3_1", 192, 1)], [("branch3x3_2", 320, 3)]),
        (
            [("branch7x7x3_1", 192, 1)],
            [("branch7x7x3_2", 192, WIDE)],
            [("branch7x7x3_3", 192, TALL)],
            [("branch7x7x3_4", 192, 3)],
        ),
    ]
    return _Mixed(channels, branches, maximum=True, halved=True)


def _at_8(channels: int, maximum: bool) -> _Mixed:
    branches: list[Branch] = [
        ([("branch1x1", 320, 1)],),
        ([("branch3x3_1", 384, 1)], [("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))]),
        (
            [("branch3x3dbl_1", 448, 1)],
            [("branch3x3dbl_2", 384, 3)],
            [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))],
        ),
    ]
    return _Mixed(channels, branches, 192, maximum)


class FIDInception(nn.Module):
    """The network; its weights carry the names of the published files."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, padded=False)
        self.Mixed_5b = _at_35(192, 32)
        self.Mixed_5c = _at_35(256, 64)
        self.Mixed_5d = _at_35(288, 64)
        self.Mixed_6a = _to_17(288)
        self.Mixed_6b = _at_17(768, 128)
        self.Mixed_6c = _at_17(768, 160)
        self.Mixed_6d = _at_17(768, 160)
        self.Mixed_6e = _at_17(768, 192)
        self.Mixed_7a = _to_8(768)
        self.Mixed_7b = _at_8(1280, maximum=False)
        self.Mixed_7c = _at_8(2048, maximum=True)
        self.fc = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def forward(self, images: torch.Tensor, layer: Layer = "2048") -> torch.Tensor:
        """Return float32 [N, D]: a layer's means over its map, D as it is called, or logits, D = 1008.

        Args:
            images: float32 [N, 3, 299, 299], (value - 128) / 128 of values in [0, 255].
            layer: computed up to here; `logits_unbiased` leaves out the last layer's bias, as the Inception Score does.
        """
        maps: torch.Tensor = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        maps = F.max_pool2d(maps, 3, 2)  # [N, 64, 73, 73]
        if layer == "64":
            return maps.mean(dim=(2, 3))
        maps = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)), 3, 2)  # [N, 192, 35, 35]
        if layer == "192":
            return maps.mean(dim=(2, 3))
        maps = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps))))
        maps = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(maps))))  # [N, 768, 17, 17]
        if layer == "768":
            return maps.mean(dim=(2, 3))
        pooled: torch.Tensor = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps))).mean(
            dim=(2, 3)
        )  # [N, 2048, 8, 8] => [N, 2048]
        if layer == "2048":
            return pooled
        return F.linear(pooled, self.fc.weight, self.fc.bias if layer == "logits" else None)


def load_fid_inception(weights: str | Path | None = None) -> tuple[FIDInception, Facts]:
    """Return the network with its published weights, in eval mode on the CPU, and what it is.

    Args:
        weights: a file of weights for this network; None: in `weights_dir()`, else by download.

    Raises:
        WeightsError: the weights are not to be had or do not fit; says which file to put where.
    """
    state, source = find_weights("inception", ORIGIN, None if weights is None else Path(weights))
    with rng.forked(), torch.device("meta"):
        network = FIDInception()
    network.to_empty(device="cpu")
    fill(network, state, source)
    facts = Facts(
        name="inception",
        source=source,
        digest=state_digest(network.state_dict()),
        size=SIZE,
        mean=(128 / 255,) * 3,
        std=(128 / 255,) * 3,
        interpolation="bilinear",
        num_features=NUM_FEATURES,
        num_classes=NUM_CLASSES,
    )
    return network.eval(), facts
