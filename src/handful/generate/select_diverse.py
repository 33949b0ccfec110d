"""A subset of the candidates that covers all of them."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from handful.data.images import LabeledImages
from handful.generate.likeness import AnyFeatures, distances, features_of
from handful.generate.selection import MOST, Judged, Known, Ranking


class KCentre(Ranking):
    """A diverse subset: one candidate after another, always the one farthest from all that were chosen before.

    The greedy solution of the k-centre problem: no other k candidates leave the farthest one less than half as far
    away from its centre (Gonzalez 1985). It likes outliers: put `distance` or `confidence` before it in a chain.

    Args:
        start: `candidates` starts from the one nearest to their mean; `train` takes the real training pictures of the
            class as chosen already, as Sener and Savarese (2018, algorithm 1) do, so that what they lack comes first.
        features: that distances are taken on, see `handful.generate.likeness.features_of`.
    """

    kind: Literal["k-centre"] = "k-centre"
    candidates: Annotated[float, Field(ge=1, le=MOST)] = 2.0
    start: Literal["candidates", "train"] = "candidates"
    features: AnyFeatures = "pixels16"

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        mine = features_of(self.features, candidates.pixels, known.device)
        num = self.num_kept(known.wanted, len(mine))
        real = features_of(self.features, known.train.pixels, known.device) if self.start == "train" else None
        chosen, reach = greedy_centres(mine, num, real)
        said = [f"{far:.3g} from the nearest chosen one" for far in reach]
        for place, row in enumerate(chosen):
            far = f", {reach[row]:.3g} from those before it" if np.isfinite(reach[row]) else ", nearest to the mean"
            said[row] = f"chosen as {place + 1} of {num}{far}"
        kept = np.zeros(len(mine), dtype=np.bool_)
        kept[chosen] = True
        return Judged.of(self.kind, kept, np.where(np.isfinite(reach), reach, 0.0), said)


def greedy_centres(
    features: NDArray[np.floating], num: int, covered: NDArray[np.floating] | None = None
) -> tuple[list[int], NDArray[np.float64]]:
    """Return `num` rows, each the farthest from those before it, and float64 [N] how far each row was.

    For a chosen row that is the distance to those before it (infinite for the first one without `covered`), for the
    others the distance to the nearest chosen one. Ties go to the earlier row; no row is chosen twice.

    Args:
        features: [N, D].
        num: 0 to N.
        covered: [M, D], points that count as chosen already; None: the row nearest to the mean comes first.
    """
    chosen: list[int] = []
    told = np.full(len(features), np.inf)
    if not len(features):
        return chosen, told
    if covered is not None:
        near = distances(features, covered).min(axis=1)
    else:
        near = np.full(len(features), np.inf)
        first = int(distances(features, features.mean(axis=0, keepdims=True))[:, 0].argmin())
    for place in range(num):
        row = first if covered is None and place == 0 else int(near.argmax())
        chosen.append(row)
        told[row] = near[row]
        near = np.minimum(near, distances(features, features[row : row + 1])[:, 0])
        near[chosen] = -1.0
    left = np.ones(len(features), dtype=np.bool_)
    left[chosen] = False
    told[left] = near[left]
    return chosen, told
