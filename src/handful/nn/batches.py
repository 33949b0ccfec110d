"""Which pictures each training step sees, as a function of (seed, step) alone.

There is no state: a resumed run asks for the step it stopped at. Every draw also has an (epoch, slot) that names its
augmentation, so a picture's augmentation does not depend on the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful import rng

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """One step's pictures: `index` [B] into the training part, and (`epoch`, `slot`) [B] that name each draw."""

    step: int
    index: Indices
    epoch: Indices
    slot: Indices


class Batches:
    """An endless stream of batches over N pictures.

    Args:
        num: number of pictures N, at least 1.
        batch_size: pictures per batch; the stream runs on over the ends of epochs, so every batch is full.
        seed: names the order.
        labels: int [N]; where given, the classes present take turns, so each has the same share of every batch (within
            one picture), and within a class its pictures take turns in random order. Without, each epoch is a
            permutation of all pictures.
    """

    def __init__(self, num: int, batch_size: int, seed: int, labels: Indices | None = None) -> None:
        self.num, self.batch_size, self.seed = num, batch_size, seed
        classes = [] if labels is None else np.unique(labels).tolist()
        self._members = [np.flatnonzero(labels == label) for label in classes]
        self._orders: dict[int, dict[int, Indices]] = {}

    def at(self, step: int) -> Batch:
        """Return the batch of one step."""
        position = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epoch, place = np.divmod(position, self.num)
        if not self._members:
            index = self._in_turns(0, np.arange(self.num), position)
            return Batch(step, index, epoch, slot=index)
        index = np.empty(self.batch_size, dtype=np.int64)
        turn, seat = np.divmod(position, len(self._members))
        for stream, members in enumerate(self._members):
            index[seat == stream] = self._in_turns(stream, members, turn[seat == stream])
        return Batch(step, index, epoch, slot=place)

    def _in_turns(self, stream: int, members: Indices, position: Indices) -> Indices:
        """The members at these positions of an endless stream of permutations, one per round."""
        rounds, offset = np.divmod(position, len(members))
        out = np.empty(len(position), dtype=np.int64)
        orders = self._orders.setdefault(stream, {})
        for one in np.unique(rounds).tolist():
            if one not in orders:
                while len(orders) > 1:  # a batch touches few rounds, nearly always in order
                    del orders[min(orders)]
                orders[one] = rng.numpy_rng(self.seed, "order", stream, one).permutation(members)
            out[rounds == one] = orders[one][offset[rounds == one]]
        return out
