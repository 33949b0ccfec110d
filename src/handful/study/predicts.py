"""Which measure of synthetic pictures predicted how useful they were: rank correlations, clustered by repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import rankdata

from handful.compare import check_open_interval
from handful.rng import numpy_rng
from handful.study.protocol import QUICK_REPEATS

BOOTSTRAPS = 2000
FEWEST_ROWS = 8


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two columns over rows that come in repeats.

    Args:
        rho: in [-1, 1]; None where it is not defined.
        interval: at `level`; None where there is none.
        rows: how many.
        repeats: in how many repeats they are.
        reason: why a number is missing, or an empty string.
    """

    rho: float | None
    interval: tuple[float, float] | None
    level: float
    rows: int
    repeats: int
    reason: str

    @property
    def predicts(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def rank_correlation(
    values: Sequence[float] | NDArray[np.floating],
    changes: Sequence[float] | NDArray[np.floating],
    repeats: Sequence[int] | NDArray[np.integer],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Correlation:
    """Return Spearman's rank correlation with an interval that takes the rows of a repeat as one draw.

    rho is Pearson's correlation of the ranks, ties at their mean rank. Repeats are drawn with replacement, their rows
    keep the ranks they have; the interval is artanh(rho) -+ t(R - 1) s sqrt(R / (R - 1)), s the standard deviation of
    artanh(rho) over the draws, carried back by tanh. Classes and arms are taken as given: it holds for them.

    Args:
        values, changes: [N], finite.
        repeats: int [N], the repeat of each row.
        level: of the interval, in (0, 1).
        seed: of the draws.

    Returns:
        No interval with fewer than five repeats; no number with fewer than eight rows, or where a column never changes.

    Raises:
        ValueError: a level outside (0, 1), or columns of different lengths.

    Source: Spearman (1904); the cluster bootstrap of Field and Welsh (2007). Checked against scipy.stats.spearmanr;
    level under simulated independence with 5 and 10 repeats in the tests.
    """
    check_open_interval("level", level)
    x, y, group = np.asarray(values, float), np.asarray(changes, float), np.asarray(repeats)
    if not len(x) == len(y) == len(group):
        raise ValueError(f"{len(x)} values, {len(y)} changes and {len(group)} repeats: give one of each per row")
    found = np.unique(group)
    rows, num = len(x), len(found)
    if rows < FEWEST_ROWS:
        return Correlation(None, None, level, rows, num, f"{rows} rows; a correlation needs {FEWEST_ROWS}")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        which = "the measure" if np.ptp(x) == 0 else "the recall"
        return Correlation(None, None, level, rows, num, f"{which} is the same in every row")
    u, v = (rankdata(column) - (rows + 1) / 2 for column in (x, y))
    terms = np.stack([np.ones(rows), u, v, u * u, v * v, u * v], axis=1)
    sums = np.stack([terms[group == one].sum(axis=0) for one in found])  # [R, 6]
    rho = float(_pearson(sums.sum(axis=0)))
    if num < QUICK_REPEATS:
        return Correlation(rho, None, level, rows, num, f"{num} repeats; an interval needs {QUICK_REPEATS}")
    drawn = numpy_rng(seed, "predicts").multinomial(num, np.full(num, 1 / num), size=BOOTSTRAPS)
    spread = float(np.nanstd(np.arctanh(_pearson(drawn @ sums)), ddof=1))
    half = float(stdtrit(num - 1, 0.5 + level / 2)) * spread * np.sqrt(num / (num - 1))
    low, high = np.tanh(np.arctanh(np.clip(rho, -LIMIT, LIMIT)) + np.array([-half, half]))
    return Correlation(rho, (float(low), float(high)), level, rows, num, "")


LIMIT = 1 - 1e-9  # where artanh stays finite


def _pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation from the sums of 1, u, v, u^2, v^2, uv, [..., 6] => [...]; NaN where a column is constant."""
    n, u, v, uu, vv, uv = np.moveaxis(sums, -1, 0)
    below = np.sqrt(np.maximum(uu - u * u / n, 0) * np.maximum(vv - v * v / n, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.clip(np.where(below > 0, (uv - u * v / n) / below, np.nan), -LIMIT, LIMIT))


def predictors(
    rows: Sequence[dict[str, Any]], measures: Sequence[str], *, level: float, seed: int
) -> list[dict[str, Any]]:
    """Return a row per measure, JSON values: its rank correlation with the change in recall.

    Args:
        rows: `repeat`, `change` (of recall, in [-1, 1]) and a value or None by measure, one per class, arm and repeat.
        measures: the names.
        level: of each interval.
        seed: of the draws.
    """
    made = []
    for name in measures:
        known = [row for row in rows if row[name] is not None]
        columns = ([row[key] for row in known] for key in (name, "change", "repeat"))
        one = rank_correlation(*columns, level=level, seed=seed)
        made.append(
            {
                "measure": name,
                "rho": one.rho,
                "interval": None if one.interval is None else list(one.interval),
                "level": level,
                "rows": one.rows,
                "repeats": one.repeats,
                "predicts": one.predicts,
                "reason": one.reason,
            }
        )
    return made
