"""Mean and standard deviation of each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.data.near import luma
from handful.data.source import Source


@dataclass(frozen=True)
class Channels:
    """Mean and standard deviation over all pixels, each picture weighing the same, in [0, 1].

    Args:
        names: `grey`, or `red`, `green`, `blue`.
        mean, std: one for each channel.
        num: pictures they are of.
        part: `train`, or `all` where no part is given.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num: int
    part: str


def channels_of(source: Source, rows: NDArray[np.int64], part: str, *, channels: int | None = None) -> Channels:
    """Return the statistics of the decoded originals at these rows.

    Args:
        rows: int64 [M], at least one.
        part: what the rows are of, kept in the result.
        channels: 1 or 3; None for what the source has. Grey counts as three equal channels among colour.
    """
    wanted = channels or source.channels
    sums = np.zeros((2, wanted))
    for _, picture in source.read_all(rows.tolist()):
        seen = luma(picture[None]) if wanted == 1 else picture
        values = seen.reshape(len(seen), -1).astype(np.float32) / 255
        sums[0] += values.mean(axis=1)
        sums[1] += (values**2).mean(axis=1)
    mean, square = sums / len(rows)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    names = ("grey",) if wanted == 1 else ("red", "green", "blue")
    return Channels(names, tuple(mean.tolist()), tuple(std.tolist()), len(rows), part)
