"""The random numbers that an augmentation is made of, and which of them decides what.

Those of a picture are named by (seed, epoch, slot): the same picture in the same epoch is augmented the same way for
any batch size and on any engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from handful import rng

if TYPE_CHECKING:
    import torch

NUM_DRAWS = 47
COLUMNS = {  # which of the draws decides what
    "rotation chosen": slice(0, 1),
    "perspective chosen": slice(1, 2),
    "colour chosen": slice(2, 3),
    "angle": slice(3, 4),
    "depth": slice(4, 5),
    "corners": slice(5, 13),
    "colour": slice(13, 17),
    "flips": slice(17, 19),
    "affine chosen": slice(19, 20),
    "shift": slice(20, 22),
    "zoom": slice(22, 23),
    "shear": slice(23, 25),
    "erasing": slice(25, 30),  # chosen, area, ratio, place
    "blur": slice(30, 32),  # chosen, width
    "crop": slice(32, 34),
    "policy": slice(34, 43),  # operation, magnitude, sign; three times
    "mix": slice(43, 47),  # kind, share, place
}


class Draws:
    """Uniform random numbers for N pictures in every epoch.

    Args:
        num: number of slots N.
        seed: root seed.
    """

    def __init__(self, num: int, seed: int) -> None:
        self.num, self.seed = num, seed
        self._epochs: dict[int, NDArray[np.float32]] = {}

    def at(self, epoch: NDArray[np.int64], slot: NDArray[np.int64]) -> torch.Tensor:
        """Return float32 [B, NUM_DRAWS] for the draws (epoch, slot) [B]."""
        import torch

        out = np.empty((len(slot), NUM_DRAWS), dtype=np.float32)
        for one in np.unique(epoch):
            if int(one) not in self._epochs:
                while len(self._epochs) > 1:
                    del self._epochs[min(self._epochs)]
                stream = rng.numpy_rng(self.seed, "augment", int(one))
                self._epochs[int(one)] = stream.random((self.num, NUM_DRAWS), dtype=np.float32)
            out[epoch == one] = self._epochs[int(one)][slot[epoch == one]]
        return torch.from_numpy(out)


def drawn(draws: torch.Tensor, name: str) -> torch.Tensor:
    """Return the draws that decide `name` (a key of COLUMNS): [B], or [B, n] where they are several."""
    found = draws[:, COLUMNS[name]]
    return found[:, 0] if found.shape[1] == 1 else found
