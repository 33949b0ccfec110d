"""Which of the pictures a generator made are used."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from handful.config import Recipe
from handful.data.images import LabeledImages
from handful.measure.ssim import ssim_pairs


class Selection(Recipe, ABC):
    """A rule that keeps some of a class's candidates.

    Args:
        candidates: candidates made per picture wanted, 1 to 4.
    """

    kind: str
    candidates: Annotated[float, Field(ge=1, le=4)] = 1.0

    def num_candidates(self, wanted: int) -> int:
        """Return how many candidates to make for `wanted` pictures of a class."""
        return math.ceil(self.candidates * wanted - 1e-9)

    @abstractmethod
    def scores(self, candidates: LabeledImages, train: LabeledImages) -> NDArray[np.float64]:
        """Return a score per candidate, float64 [N]; those with the highest are kept, earlier ones first in a tie.

        Args:
            candidates: synthetic pictures of one class.
            train: the real training pictures of that class.
        """


class KeepAll(Selection):
    """Every picture made is used."""

    kind: Literal["none"] = "none"

    def scores(self, candidates: LabeledImages, train: LabeledImages) -> NDArray[np.float64]:
        return np.zeros(len(candidates))


class BestSSIM(Selection):
    """The candidates most similar to the class's training pictures, as S0 chose 80 of 150.

    Args:
        match: similarity as the `mean` over all training pictures of the class, or to the `best` match alone, which
            prefers copies.
    """

    kind: Literal["ssim"] = "ssim"
    candidates: Annotated[float, Field(ge=1, le=4)] = 150 / 80
    match: Literal["mean", "best"] = "mean"

    def scores(self, candidates: LabeledImages, train: LabeledImages) -> NDArray[np.float64]:
        pairs = ssim_pairs(candidates.pixels, train.pixels)
        return np.asarray(pairs.mean(axis=1) if self.match == "mean" else pairs.max(axis=1))


SELECTORS: dict[str, type[Selection]] = {"none": KeepAll, "ssim": BestSSIM}


def kept(scores: NDArray[np.float64], wanted: int) -> NDArray[np.int64]:
    """Return the positions of the `wanted` highest scores, in their original order; ties go to the earlier one."""
    return np.sort(np.argsort(-scores, kind="stable")[:wanted])
