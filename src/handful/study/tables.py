"""The numbers of a result as CSV files, one row a fact, for those who go on elsewhere."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from handful.influence import PER_CLASS
from handful.study.result import Result

Row = Mapping[str, Any]


def write_tables(result: Result, folder: str | Path) -> list[Path]:
    """Write the tables of a result into a folder, and return their paths.

    `scores.csv` (arm, score, mean, sd, low, high, repeats), `scores_by_repeat.csv`, `comparisons.csv`,
    `per_class.csv`, `per_class_validation.csv`, `calibration.csv` (bins before and after temperature scaling),
    `temperatures.csv`, `goals.csv`, and `confusion_ARM.csv` with true classes as rows; those without rows are not
    written. Intervals have level 0.95 but for comparisons, which name theirs. A number that is not there is an empty
    cell.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[Row]] = {
        "scores": list(_scores(result)),
        "scores_by_repeat": list(_by_repeat(result)),
        "comparisons": list(_comparisons(result)),
        "per_class": list(_per_class(result, "test")),
        "per_class_validation": list(_per_class(result, "validation")),
        "calibration": list(_bins(result)),
        "temperatures": list(_temperatures(result)),
        "goals": list(_goals(result)),
    }
    written = [_write(folder / f"{name}.csv", rows) for name, rows in tables.items() if rows]
    for place, arm in enumerate(result.arms):
        if result.predictions(arm):
            name = re.sub(r"[^A-Za-z0-9+=.-]+", "_", arm).strip("._") or str(place)
            path = folder / f"confusion_{name}.csv"
            path = path if path not in written else folder / f"confusion_{name}_{place}.csv"
            counts = result.confusion(arm).tolist()
            named = zip(result.class_names, counts, strict=True)
            rows = [{"true": true, **dict(zip(result.class_names, row, strict=True))} for true, row in named]
            written.append(_write(path, rows))
    return written


def _write(path: Path, rows: Sequence[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _bounds(interval: Sequence[float] | None, prefix: str = "") -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{prefix}low": low, f"{prefix}high": high}


def _scores(result: Result) -> Iterator[Row]:
    for arm in result.arms:
        for name, one in result.scores(arm).items():
            mean = {"arm": arm, "score": name, "mean": one["mean"], "sd": one["sd"]}
            yield {**mean, **_bounds(one["interval"]), "repeats": len(one["values"])}


def _by_repeat(result: Result) -> Iterator[Row]:
    for arm in result.arms:
        repeats = sorted(result.predictions(arm)) or sorted(result.keys(arm, "reconstruction"))
        for name, one in result.scores(arm).items():
            for repeat, value in zip(repeats, one["values"], strict=True):
                yield {"arm": arm, "score": name, "repeat": repeat, "value": value}


def _comparisons(result: Result) -> Iterator[Row]:
    for row in result.table():
        if row["difference"] is not None:
            yield {
                "arm": row["arm"],
                "reference": result.protocol.reference,
                "score": result.protocol.score,
                "difference": row["difference"],
                **_bounds(row["difference_interval"]),
                "level": result.versus[row["arm"]].estimate.level,
                "p_adjusted": row["p_adjusted"],
                "verdict": row["verdict"],
                "reason": row["reason"],
            }


def _per_class(result: Result, part: Literal["test", "validation"]) -> Iterator[Row]:
    for arm in result.arms:
        for row in result.per_class(arm, part):
            made: dict[str, Any] = {"arm": arm, "class": row["name"]}
            for name in PER_CLASS:
                made |= {name: row[name], **_bounds(row[f"{name}_interval"], f"{name}_")}
            yield {**made, "support": row["support"]}


def _bins(result: Result) -> Iterator[Row]:
    for arm in result.arms:
        found = result.calibration(arm) or {}
        for when in ("before", "after"):
            if found.get(when):
                columns = found[when]["bins"]
                for place, cells in enumerate(zip(*columns.values(), strict=True)):
                    yield {"arm": arm, "when": when, "bin": place, **dict(zip(columns, cells, strict=True))}


def _temperatures(result: Result) -> Iterator[Row]:
    for arm in result.arms:
        found = result.calibration(arm) or {}
        if found.get("temperatures"):
            repeats = sorted(result.predictions(arm))
            for repeat, value, bound in zip(repeats, found["temperatures"], found["at_bound"], strict=True):
                yield {"arm": arm, "repeat": repeat, "temperature": value, "at_bound": bound}


def _goals(result: Result) -> Iterator[Row]:
    for arm in result.arms:
        for row in result.goals(arm):
            chosen = row["threshold"] or {}
            yield {
                "arm": arm,
                **{name: row[name] for name in ("class", "measure", "goal", "value")},
                **_bounds(row["interval"]),
                "word": row["word"],
                "threshold": chosen.get("mean"),
                **{f"at_threshold_{name}": chosen.get(name) for name in (*PER_CLASS, "word", "accuracy_change")},
                **_bounds(chosen.get("accuracy_change_interval"), "at_threshold_accuracy_change_"),
                "reason": row["reason"],
            }
