"""An arm against the reference, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handful.compare import Estimate
from handful.planner import needed
from handful.scores import SCORES


@dataclass(frozen=True)
class Versus:
    """One arm against the reference.

    Args:
        estimate: paired difference in the study's score, at the level simultaneous over the study's comparisons.
        p_adjusted: Holm's, over the study's comparisons.
        verdict: `helps`, `hurts`, `no difference that matters`, `cannot tell`; None where the protocol gives none.
        reason: why, and for `cannot tell` what would have told.
    """

    reference: str
    estimate: Estimate
    p_adjusted: float | None
    verdict: str | None
    reason: str


def sentence(arm: str, versus: Versus, score: str) -> str:
    """Return one comparison in words."""
    made = versus.estimate
    numbers = f"{_points(made.value)} points of {SCORES[score].words}"
    interval = bounds_of(made)
    if interval:
        numbers += f", interval {_points(interval[0])} to {_points(interval[1])}"
    word = versus.verdict or "no verdict"
    told = {"helps": f"{arm} helps", "hurts": f"{arm} hurts"}.get(word, f"{arm}: {word}")
    return f"{told} ({numbers}){'; ' + versus.reason if versus.reason else ''}."


def would_tell(made: Estimate, margin: float, num_repeats: int) -> str:
    """Return what it would take to tell a difference as large as the one seen, or as the margin if that is larger."""
    size = max(abs(made.value), margin)
    parts = made.components
    more = needed(size, parts, num_repeats=num_repeats, num_pictures=parts.num_pictures, level=made.level)
    if more.repeats is not None and more.repeats > num_repeats:
        return f"about {more.repeats} repeats would tell a difference of {100 * size:.1f} points"
    if more.pictures is not None and more.pictures > parts.num_pictures:
        return (
            f"no number of repeats will do; about {more.pictures} test pictures would tell a difference of "
            f"{100 * size:.1f} points"
        )
    if more.repeats is None and more.pictures is None:
        return "neither more repeats nor more test pictures alone will do; it takes both"
    return f"the interval reaches beyond the {100 * margin:g} points that matter"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def bounds_of(made: Estimate) -> list[float] | None:
    """Return the interval of an estimate, None where it has none."""
    return list(made.interval) if np.isfinite(made.interval).all() else None


def versus_json(versus: Versus) -> dict[str, Any]:
    """Return one comparison as JSON values."""
    return {
        "reference": versus.reference,
        "difference": versus.estimate.value,
        "interval": bounds_of(versus.estimate),
        "level": versus.estimate.level,
        "p_value": versus.estimate.p_value,
        "p_adjusted": versus.p_adjusted,
        "verdict": versus.verdict,
        "reason": versus.reason,
    }
