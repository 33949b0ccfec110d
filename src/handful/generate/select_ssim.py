"""The candidates most similar to training pictures by SSIM."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from handful.data.images import LabeledImages
from handful.generate.selection import MOST, Judged, Known, Ranking
from handful.measure.ssim import ssim_pairs


class BestSSIM(Ranking):
    """The candidates most similar to the class's training pictures, as S0 chose 80 of 150.

    Args:
        match: similarity as the `mean` over all training pictures of the class, or to the `best` match alone, which
            prefers copies.
    """

    kind: Literal["ssim"] = "ssim"
    candidates: Annotated[float, Field(ge=1, le=MOST)] = 150 / 80
    match: Literal["mean", "best"] = "mean"

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        pairs = ssim_pairs(candidates.pixels, known.train.pixels)
        scores = pairs.mean(axis=1) if self.match == "mean" else pairs.max(axis=1)
        return self.highest(scores, known.wanted, "ssim")
