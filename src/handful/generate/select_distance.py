"""The candidates that are as far from training pictures as real pictures are."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from handful.data.images import LabeledImages
from handful.generate.likeness import AnyFeatures, features_of, nearest
from handful.generate.selection import Judged, Known, Selection


class WithinDistance(Selection):
    """The candidates whose nearest training picture of their class is neither nearer nor farther than real ones have.

    Both thresholds are quantiles of the leave-one-out distances within the training part of the class: how far a real
    picture is from its nearest other one. A class with one training picture has none, and all its candidates are kept.

    Args:
        low: quantile that the distance must reach, in [0, 1); 0 with a smallest distance of 0 turns nothing away.
        high: quantile that it must not exceed, in (0, 1].
        features: that distances are taken on, see `handful.generate.likeness.features_of`.
    """

    kind: Literal["distance"] = "distance"
    low: Annotated[float, Field(ge=0, lt=1)] = 0.01
    high: Annotated[float, Field(gt=0, le=1)] = 0.95
    features: AnyFeatures = "pixels16"

    @model_validator(mode="after")
    def _in_order(self) -> WithinDistance:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} and high {self.high:g}: low must be the smaller one")
        return self

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        real = features_of(self.features, known.train.pixels, known.device)
        mine = features_of(self.features, candidates.pixels, known.device)
        found = nearest(mine, real)
        distance, rows = found.distance, known.train.origin.parent[found.place]
        if len(real) < 2:
            said = ["not judged: one training picture gives no distance"] * len(mine)
            return Judged.of(self.kind, np.ones(len(mine), dtype=np.bool_), distance, said)
        least, most = np.quantile(nearest(real, real, but_itself=True).distance, [self.low, self.high]).tolist()
        said = []
        for near, row in zip(distance.tolist(), rows.tolist(), strict=True):
            told = f"distance {near:.3g} to row {row}"
            if near < least:
                told += f" < {least:.3g}: too near"
            elif near > most:
                told += f" > {most:.3g}: too far"
            said.append(told)
        return Judged.of(self.kind, np.asarray((distance >= least) & (distance <= most)), distance, said)
