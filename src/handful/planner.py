"""What a study of a given size can tell, and what size it would take: said before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt

from scipy.special import stdtrit

from handful.compare import MIN_REPEATS, Components, check_open_interval, satterthwaite

MOST_NEEDED = 10**7  # `needed` looks no further

PRIOR = Components(s_repeat=0.016, s_picture=0.22, s_residual=0.34)
"""What a strong treatment of a small network showed, for accuracy and its like: used until a study has its own."""


@dataclass(frozen=True)
class Needed:
    """Repeats at the present test pictures, and test pictures at the present repeats; None where no number will do."""

    repeats: int | None
    pictures: int | None


def detectable(
    num_repeats: int, num_pictures: int, components: Components = PRIOR, level: float = 0.95, power: float = 0.80
) -> float:
    """Smallest true difference, in score units, that a study of this size finds with this power.

    d = (t_{1 - (1 - level)/2} + t_power) sqrt(V), V as in `Components`: with a fixed test part
    s_repeat^2 / R + (s_picture^2 + s_residual^2 / R) / m. More repeats never bring it under 2.8 s_picture / sqrt(m).
    Both t have Satterthwaite's degrees of freedom for the expected V_R, V_P, V_E (df of `compare`, df_P = m - 1).
    With `PRIOR`, in points: m = 139: 8.6, 7.0, 6.1, 5.8 at R = 3, 5, 10, 15; m = 1000: 4.9, 3.4, 2.6, 2.4.

    Raises:
        ValueError: under two repeats or two pictures; level or power outside (0, 1).
    """
    if num_repeats < 2 or num_pictures < 2:
        raise ValueError(f"{num_repeats} repeats and {num_pictures} test pictures: give at least 2 of each")
    check_open_interval("level", level)
    check_open_interval("power", power)
    shared = components.overlap * components.s_picture**2 / num_pictures
    own = (1 - components.overlap) * components.s_picture**2 + components.s_residual**2
    v_residual = own / (num_pictures * num_repeats)
    v_repeat = components.s_repeat**2 / num_repeats + v_residual
    variance = v_repeat + shared
    df = satterthwaite(variance, v_repeat, v_residual + shared, v_residual, num_repeats, num_pictures - 1.0)
    return float((stdtrit(df, 0.5 + level / 2) + stdtrit(df, power)) * sqrt(variance))


def needed(
    difference: float,
    components: Components,
    *,
    num_repeats: int,
    num_pictures: int,
    level: float = 0.95,
    power: float = 0.80,
) -> Needed:
    """What would have told: the smallest R >= 5 at the present m, and the smallest m at the present R, that detect it.

    Detects: `detectable` <= |difference|. An answer up to the present number means that this study was large enough.
    None where no number up to ten million will do (pictures bound what repeats can tell, and the reverse).

    Raises:
        ValueError: difference 0 or not finite; sizes, level or power as in `detectable`.
    """
    if not isfinite(difference) or difference == 0:
        raise ValueError(f"difference is {difference!r}: give a finite difference other than 0, in score units")

    def tells(repeats: int, pictures: int) -> bool:
        return detectable(repeats, pictures, components, level, power) <= abs(difference)

    return Needed(
        repeats=_smallest(lambda count: tells(count, num_pictures), MIN_REPEATS),
        pictures=_smallest(lambda count: tells(num_repeats, count), 2),
    )


def _smallest(tells: Callable[[int], bool], start: int) -> int | None:
    """First count that tells: growing steps (it need not be monotone far out), then bisection of the last one."""
    low, high = start - 1, start
    while not tells(high):
        low, high = high, high + max(high // 8, 1)
        if high > MOST_NEEDED:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
