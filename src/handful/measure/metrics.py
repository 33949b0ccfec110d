"""The table of measures of generated pictures: each a pure function and its row of facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

from handful.measure import copying, manifold, ssim
from handful.measure.frechet import frechet_distance, frechet_infinity
from handful.measure.inception_score import inception_score
from handful.measure.kernel import kernel_distance

BOTH = ("real", "synthetic")
ALONE = ("synthetic",)
AUDIT = ("real", "synthetic", "held_out")


@dataclass(frozen=True)
class Metric:
    """One measure.

    Args:
        function: called with the sets it names by keyword, [N, ...] each; returns a number.
        means: what a higher value says, in a few words.
        better: which way is nearer to unseen real pictures, or `neither`.
        range: smallest and largest value possible.
        smallest: fewest pictures in each set for a value at all.
        source: where the formula comes from.
        checked: the independent implementation it was checked against, and how closely.
        needs: what it takes: uint8 pictures [N, C, H, W], features [N, D] or class probabilities [N, K].
        sets: the sets it takes: `real` is what the generator was trained on, `held_out` real pictures it never saw.
        per_dimension: how many pictures in each set for each dimension of the features and one more, or 0.
        instead: the measure that works at fewer pictures, or an empty string.
    """

    function: Callable[..., float]
    means: str
    better: Literal["higher", "lower", "neither"]
    range: tuple[float, float]
    smallest: int
    source: str
    checked: str
    needs: Literal["pictures", "features", "probabilities"] = "features"
    sets: tuple[str, ...] = BOTH
    per_dimension: int = 0
    instead: str = ""

    def fault(self, dimensions: int = 0, **numbers: int) -> str:
        """Return why the measure means nothing at these sizes and what works instead, or an empty string.

        Args:
            dimensions: width of the features.
            numbers: pictures in each set, by the names in `sets`; others are passed over.
        """
        given = {name: numbers[name] for name in self.sets}
        needed = max(self.smallest, self.per_dimension * (dimensions + 1))
        if min(given.values()) >= needed:
            return ""
        got = ", ".join(f"{number} {name}" for name, number in given.items())
        rank = f"rank: features of {dimensions} dimensions need" if needed > self.smallest else "needs"
        return f"{rank} at least {needed} pictures in each set, got {got}" + (
            f"; use {self.instead}" if self.instead else ""
        )


METRICS: dict[str, Metric] = {
    "frechet": Metric(
        function=frechet_distance,
        means="means and covariances farther apart",
        better="lower",
        range=(0.0, inf),
        smallest=2,
        source="Heusel et al. (2017), eq. 6",
        checked="scipy.linalg.sqrtm, torchmetrics, torch-fidelity",
        per_dimension=1,
        instead="kernel",
    ),
    "frechet_infinity": Metric(
        function=frechet_infinity,
        means="means and covariances farther apart, at any N alike",
        better="lower",
        range=(-inf, inf),
        smallest=2,
        source="Chong and Forsyth (2020), section 3",
        checked="closed form for Gaussians",
        per_dimension=2,
        instead="kernel",
    ),
    "kernel": Metric(
        function=kernel_distance,
        means="distributions farther apart",
        better="lower",
        range=(-inf, inf),
        smallest=2,
        source="Binkowski et al. (2018), section 4",
        checked="torchmetrics, torch-fidelity",
    ),
    "inception_score": Metric(
        function=inception_score,
        means="surer of each picture's class, and more classes",
        better="neither",
        range=(1.0, inf),
        smallest=2,
        source="Salimans et al. (2016), section 4",
        checked="torchmetrics, torch-fidelity",
        needs="probabilities",
        sets=ALONE,
    ),
    "ssim": Metric(
        function=ssim.mean_ssim,
        means="more alike; copies score highest",
        better="neither",
        range=(-1.0, 1.0),
        smallest=1,
        source="Wang et al. (2004), eq. 13, mean over all pairs",
        checked="scikit-image structural_similarity",
        needs="pictures",
    ),
    "ssim_best": Metric(
        function=ssim.best_ssim,
        means="nearer to one training picture; copies score 1",
        better="neither",
        range=(-1.0, 1.0),
        smallest=1,
        source="Wang et al. (2004), eq. 13, mean of the best match",
        checked="scikit-image structural_similarity",
        needs="pictures",
    ),
    "ssim_within": Metric(
        function=ssim.ssim_within,
        means="less varied",
        better="neither",
        range=(-1.0, 1.0),
        smallest=2,
        source="Odena et al. (2017), section 4.2, with the SSIM of Wang et al. (2004)",
        checked="scikit-image structural_similarity",
        needs="pictures",
        sets=ALONE,
    ),
    "precision": Metric(
        function=manifold.precision,
        means="more synthetic pictures look real",
        better="higher",
        range=(0.0, 1.0),
        smallest=manifold.NEIGHBOURS + 1,
        source="Kynkäänniemi et al. (2019), eq. 2",
        checked="prdc",
        instead="kernel",
    ),
    "recall": Metric(
        function=manifold.recall,
        means="more real pictures could have been made",
        better="higher",
        range=(0.0, 1.0),
        smallest=manifold.NEIGHBOURS + 1,
        source="Kynkäänniemi et al. (2019), eq. 2",
        checked="prdc",
        instead="vendi",
    ),
    "density": Metric(
        function=manifold.density,
        means="synthetic pictures lie where real ones are dense",
        better="higher",
        range=(0.0, inf),
        smallest=manifold.NEIGHBOURS + 1,
        source="Naeem et al. (2020), eq. 3",
        checked="prdc",
        instead="kernel",
    ),
    "coverage": Metric(
        function=manifold.coverage,
        means="more real pictures have a synthetic one nearby",
        better="higher",
        range=(0.0, 1.0),
        smallest=manifold.NEIGHBOURS + 1,
        source="Naeem et al. (2020), eq. 5",
        checked="prdc",
        instead="vendi",
    ),
    "vendi": Metric(
        function=manifold.vendi_score,
        means="more varied",
        better="higher",
        range=(1.0, inf),
        smallest=2,
        source="Friedman and Dieng (2023), eq. 1",
        checked="closed forms",
        sets=ALONE,
    ),
    "near_copies": Metric(
        function=copying.near_copies,
        means="more pictures that repeat a training picture",
        better="lower",
        range=(0.0, 1.0),
        smallest=2,
        source="Yoon et al. (2023), ratio 1/3",
        checked="a search over all pairs",
        instead="exact_copies",
    ),
    "authenticity": Metric(
        function=copying.authenticity,
        means="farther from training pictures than these are from each other",
        better="higher",
        range=(0.0, 1.0),
        smallest=2,
        source="Alaa et al. (2022), section 4",
        checked="a search over all pairs",
        instead="exact_copies",
    ),
    "data_copying": Metric(
        function=copying.data_copying,
        means="farther from training pictures than unseen real ones are; below 0 nearer",
        better="neither",
        range=(-inf, inf),
        smallest=1,
        source="Meehan et al. (2020), sections 3.1 and 3.2",
        checked="the formula worked by hand, and scipy's U",
        sets=AUDIT,
    ),
    "novelty": Metric(
        function=copying.novelty,
        means="farther from training pictures, in the distance of unseen real ones",
        better="neither",
        range=(0.0, inf),
        smallest=1,
        source="distances of Meehan et al. (2020), as a ratio",
        checked="closed form on a line",
        sets=AUDIT,
    ),
    "exact_copies": Metric(
        function=copying.exact_copies,
        means="more pictures that are a training picture bit for bit",
        better="lower",
        range=(0.0, 1.0),
        smallest=1,
        source="equality",
        checked="comparing all pairs",
        needs="pictures",
    ),
}
