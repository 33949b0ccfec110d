"""Which of the pictures a generator made are used: the table of selections, and chains of them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from handful.config import choose
from handful.data.images import LabeledImages
from handful.errors import ConfigError
from handful.generate.select_confidence import Confident
from handful.generate.select_copies import RejectCopies
from handful.generate.select_distance import WithinDistance
from handful.generate.select_diverse import KCentre
from handful.generate.select_last import LastDrawn
from handful.generate.select_ssim import BestSSIM
from handful.generate.selection import Judged, Known, Ranking, Selection


class KeepAll(Selection):
    """Every picture made is used."""

    kind: Literal["none"] = "none"

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        num = len(candidates)
        return Judged(np.ones(num, dtype=np.bool_), ("",) * num, ("",) * num)


def _read_steps(given: Any) -> Any:
    """Every step is read before any fault is raised, so that all faults come at once."""
    if not isinstance(given, list | tuple):
        raise ConfigError(f"expected a list of selections, got {given!r}")
    steps: list[Selection] = []
    faults: list[str] = []
    for place, one in enumerate(given, start=1):
        try:
            steps.append(choose(SELECTORS, one, f"step {place}"))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(*faults)
    return tuple(steps)


class Chain(Selection):
    """Selections one after another, each of what the one before has kept.

    Args:
        steps: the selections in their order, names or recipes.
        candidates: at least this many candidates per picture wanted, and as many as any step asks for.
    """

    kind: Literal["chain"] = "chain"
    steps: Annotated[tuple[SerializeAsAny[Selection], ...], BeforeValidator(_read_steps), Field(min_length=1)]

    @model_validator(mode="after")
    def _leaves_a_choice(self) -> Chain:
        faults = [
            f"step {place} ({step.kind}) keeps no more than are wanted, so step {place + 1 + later} ({other.kind}) has "
            f"nothing to choose; give it keep, such as {{kind = {step.kind!r}, keep = 2.0}}"
            for place, step in enumerate(self.steps, start=1)
            for later, other in enumerate(self.steps[place:])
            if isinstance(step, Ranking) and step.keep == 1 and isinstance(other, Ranking)
        ]
        if faults:
            raise ConfigError(*faults)
        return self

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(step.needs for step in self.steps))

    def num_candidates(self, wanted: int) -> int:
        return max(super().num_candidates(wanted), *(step.num_candidates(wanted) for step in self.steps))

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        num = len(candidates)
        rows = np.arange(num)
        said, step = [""] * num, [""] * num
        scores: dict[str, NDArray[np.float64]] = {}
        for one in self.steps:
            if not len(rows):
                break
            made = one.judge(candidates.take(rows), known.take(rows))
            for name, score in made.scores.items():
                whole = np.full(num, np.nan)
                whole[rows] = score
                scores[_free(name, scores)] = whole
            for row, words, by in zip(rows.tolist(), made.said, made.step, strict=True):
                said[row], step[row] = words or said[row], by
            rows = rows[made.kept]
        kept = np.zeros(num, dtype=np.bool_)
        kept[rows] = True
        return Judged(kept, tuple(said), tuple(step), scores)


def _free(name: str, taken: Container[str]) -> str:
    num = 1
    while (free := name if num == 1 else f"{name} {num}") in taken:
        num += 1
    return free


SELECTORS: dict[str, type[Selection]] = {
    "none": KeepAll,
    "ssim": BestSSIM,
    "last": LastDrawn,
    "confidence": Confident,
    "distance": WithinDistance,
    "copies": RejectCopies,
    "k-centre": KCentre,
    "chain": Chain,
}
GATES: dict[str, type[Selection]] = {"copies": RejectCopies, "none": KeepAll}


def in_turn(steps: Sequence[Selection]) -> Selection:
    """Return one selection that applies these in their order: the one itself, or a `Chain`."""
    return steps[0] if len(steps) == 1 else Chain(steps=tuple(steps))


def selection_words(selection: Selection) -> str:
    """Return a selection in words: its kind, or those of a chain's steps; empty where all are used."""
    if isinstance(selection, Chain):
        return ", then ".join(selection_words(step) or "all" for step in selection.steps)
    return "" if isinstance(selection, KeepAll) else selection.kind
