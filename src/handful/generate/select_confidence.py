"""The candidates that a classifier recognises."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from handful.data.images import LabeledImages
from handful.generate.selection import Judged, Known, Selection, require_probabilities


class Confident(Selection):
    """The candidates that a classifier trained on the real training part alone takes for their class.

    It keeps what such a classifier knows already, and turns away what it would learn most from together with what is
    wrong: compare it with `none`.

    Args:
        at_least: least probability of the candidate's own label, in [0, 1].
    """

    kind: Literal["confidence"] = "confidence"
    at_least: Annotated[float, Field(ge=0, le=1)] = 0.5

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"probabilities"})

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        probs = require_probabilities(known, self.kind)
        own = probs[np.arange(len(candidates)), candidates.labels].astype(np.float64)
        said = [
            f"confidence {score:.3g}" + ("" if score >= self.at_least else f" < {self.at_least:g}, {looks}")
            for score, looks in zip(own, _looks(probs, candidates), strict=True)
        ]
        return Judged.of(self.kind, own >= self.at_least, own, said)


def _looks(probs: np.ndarray[tuple[int, ...], np.dtype[np.floating]], candidates: LabeledImages) -> list[str]:
    names = [candidates.class_names[place] for place in probs.argmax(axis=1)]
    return [f"taken for {name!r} with {score:.3g}" for name, score in zip(names, probs.max(axis=1), strict=True)]
