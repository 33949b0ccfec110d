"""A scale for every number: what real pictures, exact copies and noise score, measured at the same sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.errors import ConfigError, DataError, unknown
from handful.measure.metrics import METRICS
from handful.rng import numpy_rng

DRAWS = 5


@dataclass(frozen=True)
class Scaled:
    """One number between its marks, all of them measured with equally many pictures.

    Args:
        name: of the measure.
        value: of the synthetic pictures; None where `fault` says why there is none.
        floor: of held-out real pictures in their place: as good as can be asked for.
        copies: of exact copies of training pictures in their place: what a copying machine would score.
        noise: of noise in their place.
        num_real: training pictures used.
        num_synthetic: pictures on the other side, the same in all four.
        draws: over how many draws of that many pictures each number is the mean; 1 where all are used.
        fault: why there is no number, and which measure works at these sizes.
    """

    name: str
    value: float | None
    floor: float | None
    copies: float | None
    noise: float | None
    num_real: int
    num_synthetic: int
    draws: int
    fault: str

    @property
    def beyond_copies(self) -> bool:
        """Whether a copying machine scores at least as well as the held-out pictures: the number cannot see copies."""
        if self.floor is None or self.copies is None or METRICS[self.name].better == "neither":
            return False
        return self.copies <= self.floor if METRICS[self.name].better == "lower" else self.copies >= self.floor


def on_scale(name: str, *, real: Any, synthetic: Any, held_out: Any, noise: Any, seed: int = 0) -> Scaled:
    """Return one measure of the synthetic pictures with its marks, all at the same sizes.

    The side that changes is cut to what the smallest of the four sets allows, because nearly every measure depends on
    it; where that leaves pictures over, each number is the mean over five draws. A measure that compares with held-out
    pictures itself gets one half of them as yardstick, and the other half plays the synthetic ones for the floor.

    Args:
        name: a row of METRICS.
        real: what the generator was trained on, in what the measure needs: pictures, features or probabilities.
        synthetic: generated pictures.
        held_out: real pictures that the generator never saw.
        noise: noise pictures, see `noise_pictures`, through the same extractor.
        seed: of the draws.

    Returns:
        Numbers, or a fault where the sizes are too small for any.

    Raises:
        ConfigError: an unknown measure.
        DataError: an empty set, or what the measure itself refuses.
    """
    if name not in METRICS:
        raise ConfigError(unknown("measure", name, METRICS))
    metric = METRICS[name]
    sets = {"real": real, "synthetic": synthetic, "held_out": held_out, "noise": noise}
    train, made, unseen, static = (np.asarray(given) for given in sets.values())
    if not (len(train) and len(made) and len(unseen) and len(static)):
        raise DataError(
            f"{name}: " + ", ".join(f"{len(given)} {what}" for what, given in sets.items()) + "; none empty"
        )
    yardstick = unseen[:0]
    if "held_out" in metric.sets:
        order = numpy_rng(seed, "scale", "yardstick").permutation(len(unseen))
        yardstick, unseen = unseen[order[: len(order) // 2]], unseen[order[len(order) // 2 :]]
    num = min(len(train), len(made), len(unseen), len(static))
    dimensions = train.shape[1] if metric.needs == "features" else 0
    fault = metric.fault(dimensions, real=len(train), synthetic=num, held_out=len(yardstick))
    if fault:
        return Scaled(name, None, None, None, None, len(train), num, 0, fault)
    draws = 1 if num == max(len(train), len(made), len(unseen), len(static)) else DRAWS

    def mean(role: str, given: NDArray[Any]) -> float:
        rng, values = numpy_rng(seed, "scale", role), []
        for _ in range(1 if len(given) == num else draws):
            part = given if len(given) == num else given[np.sort(rng.choice(len(given), num, replace=False))]
            known = {"real": train, "synthetic": part, "held_out": yardstick}
            values.append(metric.function(**{key: known[key] for key in metric.sets}))
        return float(np.mean(values))

    return Scaled(
        name=name,
        value=mean("synthetic", made),
        floor=mean("floor", unseen),
        copies=mean("copies", train),
        noise=mean("noise", static),
        num_real=len(train),
        num_synthetic=num,
        draws=draws,
        fault="",
    )


def noise_pictures(num: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return uint8 [num, C, H, W], every value drawn evenly from 0 to 255."""
    return numpy_rng(seed, "noise pictures").integers(0, 256, (num, *shape), dtype=np.uint8)
