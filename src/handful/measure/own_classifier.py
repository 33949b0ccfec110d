"""The extractor that a study brings along: its own classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from handful.errors import DataError
from handful.measure.extractor import Extractor, Network, Pixels8, check_pixels
from handful.measure.feature_cache import Features, Progress
from handful.measure.resize import Resizer

if TYPE_CHECKING:
    import torch
    from torch import nn


class OwnClassifier(Extractor):
    """A classifier of the study, trained on its training part: what goes into its last linear layer.

    A measure may not know classifiers, so it takes the network alone. Two classifiers have two labels, since their
    features have nothing in common.

    Args:
        network: takes float32 [N, channels, size, size] in [0, 1] and ends in a `torch.nn.Linear`; copied.
        size, channels: what it takes, C 1 or 3.
        resizer: how pictures of other sizes come to it.
    """

    def __init__(self, network: nn.Module, size: int, channels: int = 3, resizer: Resizer = "bilinear") -> None:
        from handful.nn.weight_files import state_digest

        self.size, self.channels, self.resizer = size, channels, resizer
        self._network = copy.deepcopy(network).cpu().eval()
        self._digest = state_digest(self._network.state_dict())

    @property
    def label(self) -> str:
        return f"own-{self._digest[:8]}/penultimate/{self.resizer}{self.size}"

    def features(self, pixels: Pixels8, device: str = "cpu", *, progress: Progress | None = None) -> Features:
        check_pixels(pixels)
        if self.channels == 1 and pixels.shape[1] == 3:
            raise DataError(f"{self.label}: this classifier takes grey pictures, got {pixels.shape[1]} channels")
        forward = _penultimate(self._network.to(device), self.label)
        network = Network(forward, self._digest, self.size, self.resizer, (0.0,), (1.0,), self.channels, device)
        return network.features(pixels, self.label, progress)


def _penultimate(network: nn.Module, label: str) -> Callable[[torch.Tensor], torch.Tensor]:
    from torch import nn

    def forward(images: torch.Tensor) -> torch.Tensor:
        last: list[torch.Tensor] = []

        def note(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            last[:] = given[:1]

        hooks = [part.register_forward_pre_hook(note) for part in network.modules() if isinstance(part, nn.Linear)]
        try:
            network(images)
        finally:
            for hook in hooks:
                hook.remove()
        if not last:
            raise DataError(f"{label}: this network has no linear layer, so it has no features before it")
        return last[0].flatten(1)

    return forward
