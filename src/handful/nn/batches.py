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
        labels: int [N]; where given, every class present gets the same share of the stream, its pictures taken in
            turn in random order (class-balanced sampling). Without, each epoch is a permutation of all pictures.
        level: with `labels`, part of the way: the shares are in proportion to n_c^(1 - level), as nearly as an
            epoch's N pictures can be divided.
    """

    def __init__(self, num: int, batch_size: int, seed: int, labels: Indices | None = None, level: float = 1.0) -> None:
        self.num, self.batch_size, self.seed = num, batch_size, seed
        self._labels, self._level = labels, level
        self._orders: dict[int, Indices] = {}

    def at(self, step: int) -> Batch:
        """Return the batch of one step."""
        position = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epoch, place = np.divmod(position, self.num)
        index = np.empty(self.batch_size, dtype=np.int64)
        for one in np.unique(epoch):
            index[epoch == one] = self._order(int(one))[place[epoch == one]]
        slot = index if self._labels is None else place
        return Batch(step, index, epoch, slot)

    def _order(self, epoch: int) -> Indices:
        if epoch not in self._orders:
            while len(self._orders) > 1:  # a batch touches few epochs and never an earlier one
                del self._orders[min(self._orders)]
            stream = rng.numpy_rng(self.seed, "order", epoch)
            self._orders[epoch] = stream.permutation(self.num) if self._labels is None else self._balanced(stream)
        return self._orders[epoch]

    def _balanced(self, stream: np.random.Generator) -> Indices:
        assert self._labels is not None
        present = np.unique(self._labels)
        turns = stream.permutation(self._turns(stream.permutation(present)))
        order = np.empty(self.num, dtype=np.int64)
        for label in present:
            places = np.flatnonzero(turns == label)
            order[places] = np.resize(stream.permutation(np.flatnonzero(self._labels == label)), len(places))
        return order

    def _turns(self, present: Indices) -> Indices:
        """Return int64 [N], each class as often as its share; what does not divide evenly goes by the remainders."""
        assert self._labels is not None
        if self._level == 1:
            return np.resize(present, self.num)
        weights = np.array([np.sum(self._labels == label) for label in present], dtype=np.float64) ** (1 - self._level)
        exact = weights / weights.sum() * self.num
        times = np.floor(exact + 1e-9).astype(np.int64)
        times[np.argsort(times - exact, kind="stable")[: self.num - times.sum()]] += 1
        return np.repeat(present, times)
