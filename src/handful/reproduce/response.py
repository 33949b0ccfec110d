"""How many added pictures are enough: the response to their number, and where to stop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from handful.compare import compare, simultaneous_level
from handful.reproduce.entry import Table
from handful.reproduce.rows import read, table_of
from handful.study.protocol import QUICK_REPEATS
from handful.study.result import Result


def response_table(result: Result, name: str, family: str, points: Sequence[tuple[int, str]]) -> tuple[str, Table]:
    """Return, in words, where to stop adding, and the gain of every step with its interval.

    Stop at the first number after which no step's interval lies above the margin that matters: what is not shown to
    gain is not worth making. The intervals of one family hold together.

    Args:
        points: (pictures added to every class, arm), in rising order, from 0 on.
    """
    arms = list(points)
    score, margin = result.protocol.score, result.protocol.margin
    level = simultaneous_level(max(1, len(arms) - 1))
    rows: list[tuple[object, ...]] = []
    stop: int | None = 0
    for (before, base), (num, arm) in pairwise(arms):
        ran = base in result.arms and arm in result.arms
        repeats = sorted(set(result.predictions(arm)) & set(result.predictions(base))) if ran else []
        if len(repeats) < 2:
            stop = None
            continue
        (mine, labels), (other, _) = result.predicted(arm, repeats), result.predicted(base, repeats)
        made = compare(mine, other, labels, score=score, num_classes=len(result.class_names), level=level)
        low, high = (100 * bound for bound in made.interval)
        gains = bool(np.isfinite(low)) and low > 0 and made.value >= margin
        if gains and stop is not None:
            stop = num
        span = f"{low:+.1f} to {high:+.1f}"
        told = "gains" if gains else "not shown to gain"
        rows.append((f"{before} to {num}", read(result, arm, score, "test"), f"{100 * made.value:+.1f}", span, told))
    columns = ("pictures a class", score.replace("_", " "), "gain in points", f"interval, {100 * level:.1f} %", "step")
    table = table_of(name, f"{family}: what each further step gains", columns, rows)
    if stop is None or not rows:
        return f"{family}: not enough repeats to say where to stop.", table
    few = ""
    if result.protocol.all_flaws:
        few = f" No verdict: {result.inflated}."
    elif len(result.predictions(arms[0][1])) < QUICK_REPEATS:
        few = " Too few repeats for a verdict; the rule is shown at work."
    if stop == 0:
        return f"{family}: no step is shown to gain; stop at 0, the original pictures.{few}", table
    last = " (the largest number tried: it may go on)" if stop == arms[-1][0] else ""
    return f"{family}: stop at {stop} pictures a class{last}; beyond it nothing is shown to gain.{few}", table
