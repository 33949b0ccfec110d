"""The one table of a reproduced study: published number, ours as published, our honest number and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from handful.compare import compare, judge
from handful.reproduce.entry import Finished, Row, Table
from handful.reproduce.weights import UNASKED
from handful.scores import SCORES
from handful.study.protocol import QUICK_REPEATS
from handful.study.result import Result

COLUMNS = (
    "treatment",
    "number",
    "published",
    "ours as published",
    "inflated because",
    "ours honest, on test",
    "95 %",
    "verdict",
    "scale",
    "stand-in",
)
# precision, recall and F1: the macro mean of recalls is balanced accuracy, the weighted one is accuracy
AVERAGES = {
    "macro": ("macro_precision", "balanced_accuracy", "macro_f1"),
    "weighted": ("weighted_precision", "accuracy", "weighted_f1"),
}
ABSENT, NUMBERS = "", "numbers"


def main_table(finished: Finished) -> Table:
    """Return a row per published number; where an arm was not run, why."""
    rows = tuple(_cells(row, finished) for row in finished.entry.rows)
    return Table(NUMBERS, "Published numbers beside ours", COLUMNS, rows)


def _cells(row: Row, finished: Finished) -> tuple[str, ...]:
    head = (row.what, f"{row.number.replace('_', ' ')} on {row.on}", shown(row.published, row.number))
    scale, stand_ins = finished.scale.note or "paper", "; ".join(finished.stands_in)
    ran = [result for (_, key), result in finished.results.items() if key == row.study and row.arm in result.arms]
    if not ran:
        left_out = UNASKED if UNASKED in finished.missing.values() else "not run: left out at this scale"
        why = finished.missing.get(row.arm, left_out)
        return (*head, why, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, stand_ins)
    published = finished.results.get(("published", row.study))
    honest = finished.results.get(("honest", row.study))
    as_published = None if published is None else read(published, row.arm, row.number, row.on)
    inflated = f"as published: {published.inflated}" if published is not None and published.inflated else ABSENT
    value, interval, verdict = None, None, ABSENT
    if honest is not None and row.arm in honest.arms:
        value = read(honest, row.arm, row.number, "test")
        interval = (honest.scores(row.arm).get(row.number) or {}).get("interval")
        if row.number == honest.protocol.score:  # what arms are compared by
            verdict = verdict_of(honest, row.arm)
    return (
        *head,
        shown(as_published, row.number),
        inflated if as_published is not None else ABSENT,
        shown(value, row.number),
        between(interval),
        verdict,
        f"{scale}; {_repeats(row, published, honest)}",
        stand_ins,
    )


def _repeats(row: Row, published: Result | None, honest: Result | None) -> str:
    """How often an arm was repeated, under each protocol where that differs."""
    found = {"as published": published, "honest": honest}
    counts = {
        name: len(values(result, row.arm, row.number, "test")) for name, result in found.items() if result is not None
    }
    if len(set(counts.values())) > 1:
        return ", ".join(f"{count} {name}" for name, count in counts.items())
    return times(max(counts.values(), default=0))


def times(count: int) -> str:
    return f"{count} repeat{'' if count == 1 else 's'}"


def verdict_of(result: Result, arm: str) -> str:
    """Return the verdict of an arm in words, with the difference and its interval."""
    if arm == result.protocol.reference:
        return "reference"
    versus = result.versus.get(arm)
    if versus is None:
        return ABSENT
    low, high = versus.estimate.interval
    told = f"{100 * versus.estimate.value:+.1f} points, {100 * low:+.1f} to {100 * high:+.1f}"
    return f"{versus.verdict or 'no verdict'} ({told}{'' if versus.verdict else '; ' + versus.reason})"


def pair_words(result: Result, arm: str, other: str) -> str:
    """Return the paired difference of two arms in words, with its interval; empty where there is none.

    Against the reference it is that of the table, whose intervals hold together; of any two others it is this one
    comparison alone, at 95 %.
    """
    if arm not in result.arms or other not in result.arms or "split-per-arm" in result.protocol.flaws:
        return ""
    if other == result.protocol.reference and arm in result.versus:
        return f"{verdict_of(result, arm)}, the interval simultaneous over all arms."
    repeats = sorted(set(result.predictions(arm)) & set(result.predictions(other)))
    if len(repeats) < 2:
        return ""
    (mine, labels), (theirs, _) = result.predicted(arm, repeats), result.predicted(other, repeats)
    score, num = result.protocol.score, len(result.class_names)
    made = compare(mine, theirs, labels, score=score, num_classes=num)
    low, high = made.interval
    told = f"{100 * made.value:+.1f} points of {SCORES[score].words}, {100 * low:+.1f} to {100 * high:+.1f} (95 %)"
    if result.protocol.all_flaws:
        return f"{told}; no verdict, {result.inflated}."
    if len(repeats) < QUICK_REPEATS:
        return f"{told}; {len(repeats)} repeats give no verdict."
    return f"{judge(made, margin=result.protocol.margin, num_repeats=len(repeats)).word} ({told})."


def answers_of(result: Result, asked: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """Return a sentence for each (question, arm, other) of which both were run, see `pair_words`."""
    return tuple(f"{what}: {told}" for what, arm, other in asked if (told := pair_words(result, arm, other)))


def keys_of(result: Result, arm: str, stage: str) -> dict[int, str]:
    """Return the keys of an arm's finished results of one stage, by repeat; empty where the arm was not run."""
    return result.keys(arm, stage) if arm in result.arms else {}


def read(result: Result, arm: str, number: str, on: str) -> float | None:
    """Return the mean of an arm's number over its repeats, None where there is none."""
    if arm not in result.arms:
        return None
    if on == "validation":
        made = result.validation(arm) if number == result.protocol.score else None
    else:
        made = result.scores(arm).get(number)
    return None if made is None or made["mean"] is None else float(made["mean"])


def values(result: Result, arm: str, number: str, on: str) -> list[float]:
    """Return an arm's number in every repeat; empty where it was not run."""
    if arm not in result.arms:
        return []
    made = result.validation(arm) if on == "validation" else result.scores(arm).get(number)
    return [] if made is None else [float(value) for value in made["values"]]


def shown(value: float | None, number: str = "") -> str:
    """Return a number with the digits it deserves."""
    return ABSENT if value is None else f"{value:.4f}" if number == "reconstruction_mse" else f"{value:.3f}"


def between(interval: Sequence[float] | None) -> str:
    return ABSENT if not interval else f"{interval[0]:.3f} to {interval[1]:.3f}"


def table_of(
    name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, ours: bool = True
) -> Table:
    """Return a table of anything; floats with three digits, None empty."""
    made = tuple(
        tuple(ABSENT if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row)
        for row in rows
    )
    return Table(name, caption, tuple(columns), made, ours)
