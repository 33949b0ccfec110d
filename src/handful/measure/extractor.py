"""What every extractor is, and how a network sees pictures: in chunks of one size, each picture once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data.images import content_of
from handful.errors import DataError, WeightsError
from handful.measure.feature_cache import Features, Progress, cached_features
from handful.measure.resize import Resizer, resize

if TYPE_CHECKING:
    import torch

Pixels8 = NDArray[np.uint8]
CHUNK = 8  # larger is not faster on a CPU, and 8 pictures of 299 px take 0.2 GiB in an Inception-v3
VERSION = 1


class Extractor(ABC):
    """What every extractor is."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Name, layer and resizer, such as 'lite0/1280/bicubic224'.

        It goes into the name or the row of every number; numbers under two labels are not compared (`require_same`).
        """

    @abstractmethod
    def features(self, pixels: Pixels8, device: str = "cpu", *, progress: Progress | None = None) -> Features:
        """Return float32 [N, D], a row a picture; a row depends on its picture alone, not on the others or the order.

        Args:
            pixels: uint8 [N, C, H, W], C 1 or 3; grey is repeated to 3 channels. May be memory-mapped: it is read in
                chunks of a fixed size.
            device: torch device.
            progress: called with (pictures done, different pictures in all).

        Raises:
            WeightsError: the weights are not on this machine and cannot be downloaded; says which file to put where.
            DataError: pixels of another shape or type.
        """


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network and what its pictures go through.

    Args:
        forward: float32 [CHUNK, channels, size, size], normalised => float32 [CHUNK, D].
        digest: of the weights.
        mean, std: of values in [0, 1], one or one per channel.
    """

    forward: Callable[[torch.Tensor], torch.Tensor]
    digest: str
    size: int
    resizer: Resizer
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int
    device: str

    def features(self, pixels: Pixels8, label: str, progress: Progress | None) -> Features:
        """Features of every picture, computed once per content and kept under the digest of all they depend on."""
        import torch

        where = [torch.__version__, torch.device(self.device).type]
        how = [self.size, self.resizer, list(self.mean), list(self.std), self.channels]
        key = digest_of(["features", VERSION, label, self.digest, how, where])
        return cached_features(key, content_of(pixels), lambda rows: self._of(pixels, rows, label), progress)

    def _of(self, pixels: Pixels8, rows: NDArray[np.int64], label: str) -> Features:
        """Chunks of one size, the last one filled up, so that the same kernels see every picture."""
        import torch

        mean, std = (torch.tensor(values, device=self.device).view(1, -1, 1, 1) for values in (self.mean, self.std))
        made = []
        with torch.inference_mode():
            for start in range(0, max(1, len(rows)), CHUNK):
                part = rows[start : start + CHUNK]
                chunk = torch.zeros(CHUNK, *pixels.shape[1:], dtype=torch.uint8)
                chunk[: len(part)] = torch.from_numpy(np.array(pixels[part]))
                images = resize(coloured(chunk.to(self.device), self.channels), self.size, self.resizer)
                scaled = ((images / 255 - mean) / std).contiguous(memory_format=torch.channels_last)  # 1.5 times faster
                made.append(self.forward(scaled).float().cpu().numpy()[: len(part)])
        features: Features = np.concatenate(made)
        if not np.isfinite(features).all():
            raise WeightsError(f"{label}: the weights give features that are not finite numbers")
        return features


def coloured(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Return grey pictures [N, 1, H, W] as [N, channels, H, W]; others as they are."""
    return images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else images


def check_pixels(pixels: Pixels8) -> None:
    """Raise DataError unless these are pictures, uint8 [N, 1 or 3, H, W]."""
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[1] not in (1, 3) or 0 in pixels.shape[2:]:
        raise DataError(f"features are of uint8 pictures [N, 1 or 3, H, W], got {pixels.dtype} {list(pixels.shape)}")
