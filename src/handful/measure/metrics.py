"""The table of measures of generated pictures: each a pure function and its row of facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from handful.measure.ssim import mean_ssim


@dataclass(frozen=True)
class Metric:
    """One measure.

    Args:
        function: called with `real=` and `synthetic=`, uint8 [N, C, H, W] each; returns a number.
        means: what a higher value says, in a few words.
        better: which way is better for a classifier's training set, or `neither`.
        range: smallest and largest value possible.
        smallest: fewest pictures on each side for a value that means something.
        source: where the formula comes from.
        checked: the independent implementation it was checked against, and how closely.
    """

    function: Callable[..., float]
    means: str
    better: Literal["higher", "lower", "neither"]
    range: tuple[float, float]
    smallest: int
    source: str
    checked: str


METRICS: dict[str, Metric] = {
    "ssim": Metric(
        function=mean_ssim,
        means="more alike; copies score highest",
        better="neither",
        range=(-1.0, 1.0),
        smallest=1,
        source="Wang et al. (2004), eq. 13, mean over all pairs",
        checked="scikit-image structural_similarity, 1e-9",
    ),
}
