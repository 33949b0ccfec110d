"""What a classifier answers for pictures it was handed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """The class of every picture, in the order they were given; iterating gives the names.

    Args:
        ids: str [N]; file names as given or below their folder, or the place in the arrays from '0' on.
        class_names: K names, the columns of `probs`.
        probs: float32 [N, K], rows sum to 1.
        faults: (file, why) of each file that was left out.
        ignored: files of the folder or archive that are no pictures by their names; hidden ones are not listed.
    """

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    probs: NDArray[np.float32]
    faults: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The most probable class of each picture; of equal ones the first."""
        return tuple(self.class_names[place] for place in self.probs.argmax(axis=1).tolist())

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)
