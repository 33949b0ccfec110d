"""What every selection is: a rule that judges the candidates of one class, and says why."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from handful.config import Recipe
from handful.data.images import LabeledImages
from handful.errors import DataError

MOST = 4.0  # candidates per picture wanted; then drawing stops short


@dataclass(frozen=True)
class Known:
    """What a selection may look at beside N candidates.

    Args:
        train: the real training pictures of their class, at least one.
        wanted: how many pictures the class is to get.
        probabilities: float [N, K], of a classifier trained on the real training part alone; None where no selection
            `needs` them.
        device: torch device for features.
    """

    train: LabeledImages
    wanted: int
    probabilities: NDArray[np.floating] | None = None
    device: str = "cpu"

    def take(self, rows: NDArray[np.int64]) -> Known:
        """Return the same for the candidates at these rows."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Known(self.train, self.wanted, probabilities, self.device)


@dataclass(frozen=True)
class Judged:
    """What a selection says of N candidates.

    Args:
        kept: bool [N].
        said: why, in words, one line each; empty where there is nothing to say.
        step: by which step a candidate was turned away; empty where it was kept.
        scores: float64 [N] by step; NaN for a candidate that a step before had turned away.
    """

    kept: NDArray[np.bool_]
    said: tuple[str, ...]
    step: tuple[str, ...]
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, step: str, kept: NDArray[np.bool_], score: NDArray[np.float64], said: Sequence[str]) -> Judged:
        """Return what one step says."""
        return cls(kept, tuple(said), tuple("" if one else step for one in kept), {step: score})


class Selection(Recipe, ABC):
    """A rule that keeps some of a class's candidates.

    Args:
        candidates: candidates to choose from, per picture wanted, 1 to 4; those that a gate turns away do not count.
    """

    kind: str
    candidates: Annotated[float, Field(ge=1, le=MOST)] = 1.0

    @property
    def needs(self) -> frozenset[str]:
        """What it has to be given beside the pictures: `probabilities`, or nothing."""
        return frozenset()

    def num_candidates(self, wanted: int) -> int:
        """Return how many candidates to choose `wanted` pictures of a class from."""
        return math.ceil(self.candidates * wanted - 1e-9)

    @abstractmethod
    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        """Return which candidates are kept and why; where more than wanted are, the first of them are used.

        Args:
            candidates: synthetic pictures of one class, in the order they were drawn.
            known: the real training pictures of that class, the number wanted, and what `needs` asks for.
        """


class Ranking(Selection):
    """A selection that keeps a number of candidates, not those beyond a threshold.

    Args:
        keep: how many it keeps, per picture wanted, 1 to 4: more than 1 leaves the next step of a chain a choice.
    """

    keep: Annotated[float, Field(ge=1, le=MOST)] = 1.0

    def num_kept(self, wanted: int, num: int) -> int:
        """Return how many of `num` candidates it keeps."""
        return min(num, math.ceil(self.keep * wanted - 1e-9))

    def highest(self, scores: NDArray[np.float64], wanted: int, words: str) -> Judged:
        """Return the candidates with the highest scores as kept; ties go to the earlier one.

        Args:
            words: what the score is called.
        """
        order = np.argsort(-scores, kind="stable")
        rank = np.empty(len(scores), dtype=np.int64)
        rank[order] = np.arange(1, len(scores) + 1)
        said = [
            f"{words} {score:.3g}, rank {place} of {len(scores)}" for score, place in zip(scores, rank, strict=True)
        ]
        return Judged.of(self.kind, rank <= self.num_kept(wanted, len(scores)), scores, said)


def require_probabilities(known: Known, kind: str) -> NDArray[np.floating]:
    """Return the probabilities; raise DataError where none were given."""
    if known.probabilities is None:
        raise DataError(
            f"selection {kind!r} needs class probabilities of a classifier trained on the real training part; "
            "a study fits one by itself, elsewhere give them"
        )
    return known.probabilities
