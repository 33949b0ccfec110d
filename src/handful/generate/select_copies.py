"""The gate: near copies of training pictures are turned away."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from handful.data.images import LabeledImages
from handful.generate.likeness import QUANTILE, RATIO, AnyFeatures, copy_threshold, features_of, near_copies, nearest
from handful.generate.selection import Judged, Known, Selection


class RejectCopies(Selection):
    """Turns away near copies of training pictures, whatever else is chosen by.

    A candidate is one where its nearest training picture of its class is nearer than real pictures of the class come
    to each other (a quantile of their leave-one-out distances) and much nearer than the next one. Of n independent
    real pictures it turns away fewer than 2 / (n + 1), or the quantile if that is more. A class with one training
    picture has no such distance: there only candidates whose features equal the picture's are turned away, and the
    ledger says so.

    Seen on road signs of 32 px, 6 to 30 training pictures a class: of 174 held-out pictures 2 % were turned away, of
    copies with noise or another brightness 81 to 100 %, with less contrast 61 %, and of copies shifted by a pixel 3 %:
    such features see a shifted picture as another one.

    Args:
        quantile: of the leave-one-out distances, in [0, 1).
        ratio: least share of the distance to the next training picture that lets a candidate pass, in (0, 1]: a third
            as in Yoon et al. (2023). Without it (1) also blurred pictures in the middle of a class are turned away.
        features: that distances are taken on, see `handful.generate.likeness.features_of`.
    """

    kind: Literal["copies"] = "copies"
    quantile: Annotated[float, Field(ge=0, lt=1)] = QUANTILE
    ratio: Annotated[float, Field(gt=0, le=1)] = RATIO
    features: AnyFeatures = "pixels16"

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        real = features_of(self.features, known.train.pixels, known.device)
        found = nearest(features_of(self.features, candidates.pixels, known.device), real)
        threshold = copy_threshold(real, self.quantile)
        copies = near_copies(found, threshold or 0.0, self.ratio)
        rows = known.train.origin.parent[found.place].tolist()
        places = zip(found.distance.tolist(), found.second.tolist(), rows, copies.tolist(), strict=True)
        said = [_words(*one, threshold) for one in places]
        return Judged.of(self.kind, np.asarray(~copies), found.distance, said)


def _words(distance: float, second: float, row: int, copied: bool, threshold: float | None) -> str:
    if copied and distance == 0:
        return f"copy of row {row}: distance 0"
    if threshold is None:
        return "not judged: one training picture gives no distance"
    if copied:
        return f"near copy of row {row}: distance {distance:.3g} < {threshold:.3g}, to the next {second:.3g}"
    return f"distance {distance:.3g} to row {row}, {second:.3g} to the next, threshold {threshold:.3g}"
