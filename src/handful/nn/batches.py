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
BLOCK = 32  # steps whose batches are drawn together


@dataclass(frozen=True)
class Batch:
    """One step's pictures: `index` [B] into the training part, and (`epoch`, `slot`) [B] that name each draw.

    `part` counts the parts that a batch is cut into.
    """

    step: int
    index: Indices
    epoch: Indices
    slot: Indices
    part: int = 0

    def parts(self, num: int) -> list[Batch]:
        """Return the batch cut into `num` of equal length, in order."""
        if num == 1:
            return [self]
        index, epoch, slot = (np.split(values, num) for values in (self.index, self.epoch, self.slot))
        return [Batch(self.step, index[part], epoch[part], slot[part], part) for part in range(num)]


class Batches:
    """An endless stream of batches over N pictures.

    Args:
        num: number of pictures N, at least 1.
        batch_size: pictures per batch; the stream runs on over the ends of epochs, so every batch is full.
        seed: names the order.
        labels: int [N]; where given, the classes present take turns, so each has the same share of every batch (within
            one picture), and within a class its pictures take turns in random order. Without, each epoch is a
            permutation of all pictures.
        level: with `labels`, part of the way: the shares are in proportion to n_c^(1 - level), as nearly as a cycle of
            N pictures can be divided.
    """

    def __init__(self, num: int, batch_size: int, seed: int, labels: Indices | None = None, level: float = 1.0) -> None:
        self.num, self.batch_size, self.seed = num, batch_size, seed
        classes = [] if labels is None else np.unique(labels).tolist()
        self._members = [np.flatnonzero(labels == label) for label in classes] or [np.arange(num)]
        self._balanced = labels is not None
        self._times = _turns(np.array([len(members) for members in self._members]), level if self._balanced else 1.0)
        rank = np.concatenate([np.arange(times) for times in self._times])
        stream = np.repeat(np.arange(len(self._times)), self._times)
        evenly = np.argsort((rank + 0.5) / self._times[stream], kind="stable")
        self._cycle, self._rank = stream[evenly], rank[evenly]  # whose turn it is in a cycle, and its how-manyth
        self._orders: dict[int, dict[int, Indices]] = {}
        self._block, self._drawn = -1, (np.empty(0, dtype=np.int64),) * 3

    def at(self, step: int) -> Batch:
        """Return the batch of one step."""
        block, within = divmod(step, BLOCK)
        if block != self._block:
            self._block, self._drawn = block, self._draw(block * BLOCK * self.batch_size)
        here = slice(within * self.batch_size, (within + 1) * self.batch_size)
        index, epoch, slot = (values[here] for values in self._drawn)
        return Batch(step, index, epoch, slot)

    def _draw(self, first: int) -> tuple[Indices, Indices, Indices]:
        """Index, epoch and slot of the next BLOCK batches from the draw `first` on: one by one costs much more."""
        position = np.arange(first, first + BLOCK * self.batch_size)
        epoch, place = np.divmod(position, self.num)
        cycle, seat = np.divmod(position, len(self._cycle))
        whose = self._cycle[seat]
        turn = cycle * self._times[whose] + self._rank[seat]
        index = np.empty(len(position), dtype=np.int64)
        for stream in np.unique(whose).tolist():
            index[whose == stream] = self._in_turns(stream, turn[whose == stream])
        return index, epoch, place if self._balanced else index

    def _in_turns(self, stream: int, position: Indices) -> Indices:
        """The members at these positions of an endless stream of permutations, one per round."""
        members, orders = self._members[stream], self._orders.setdefault(stream, {})
        rounds, offset = np.divmod(position, len(members))
        out = np.empty(len(position), dtype=np.int64)
        for one in np.unique(rounds).tolist():
            if one not in orders:
                while len(orders) > 1:  # a batch touches few rounds, nearly always in order
                    del orders[min(orders)]
                orders[one] = rng.numpy_rng(self.seed, "order", stream, one).permutation(members)
            out[rounds == one] = orders[one][offset[rounds == one]]
        return out


def _turns(counts: Indices, level: float) -> Indices:
    """Turns of each class in a cycle: one each at level 1, else n_c^(1 - level) scaled to N, by largest remainders."""
    if level == 1:
        return np.ones_like(counts)
    exact = counts ** (1 - level) / (counts ** (1 - level)).sum() * counts.sum()
    times = np.floor(exact + 1e-9).astype(np.int64)
    times[np.argsort(times - exact, kind="stable")[: counts.sum() - times.sum()]] += 1
    return np.asarray(times)
