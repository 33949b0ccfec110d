"""What a measure was given, checked once: features as float64 matrices of one width, probabilities as rows that add
up to one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.errors import DataError

Matrix = NDArray[np.float64]


def feature_sets(measure: str, smallest: int, **sets: Any) -> list[Matrix]:
    """Return each set of features as a float64 matrix [N, D], in the order given.

    Args:
        measure: its name, for the message.
        smallest: fewest pictures in each set.
        sets: name -> [N, D] of numbers, NumPy or torch on the CPU, D equal in all.

    Raises:
        DataError: not matrices of finite real numbers, widths that differ, or too few pictures; every fault a line.
    """
    arrays = {name: np.asarray(given) for name, given in sets.items()}
    faults = [
        f"{measure}: {name} features are a matrix [N, D] of real numbers, got {array.dtype} {list(array.shape)}"
        for name, array in arrays.items()
        if array.ndim != 2 or array.dtype.kind not in "fiu" or array.shape[1] == 0
    ]
    if faults:
        raise DataError(*faults)
    if len({array.shape[1] for array in arrays.values()}) > 1:
        widths = ", ".join(f"{name} {array.shape[1]}" for name, array in arrays.items())
        faults.append(f"{measure}: features of one extractor and layer are needed, got widths {widths}")
    require_number(measure, smallest, faults, **{name: len(array) for name, array in arrays.items()})
    made = [np.ascontiguousarray(array, dtype=np.float64) for array in arrays.values()]
    for name, matrix in zip(arrays, made, strict=True):
        bad = int((~np.isfinite(matrix)).any(axis=1).sum())
        if bad:
            faults.append(f"{measure}: {bad} of {len(matrix)} {name} pictures have features that are not finite")
    if faults:
        raise DataError(*faults)
    return made


def require_number(measure: str, smallest: int, faults: list[str], **numbers: int) -> None:
    """Add one fault where a set has fewer than `smallest` pictures; the message names all of them."""
    if any(number < smallest for number in numbers.values()):
        got = " and ".join(f"{number} {name}" for name, number in numbers.items())
        of = "each set" if len(numbers) > 1 else "the set"
        faults.append(f"{measure} needs at least {smallest} pictures in {of}, got {got}")


def probability_rows(measure: str, given: Any, smallest: int) -> Matrix:
    """Return class probabilities as a float64 matrix [N, K], N >= smallest, K >= 2, rows adding up to one within 1e-3.

    Raises:
        DataError: not such a matrix.
    """
    (rows,) = feature_sets(measure, smallest, synthetic=given)
    if rows.shape[1] < 2 or rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > 1e-3:
        raise DataError(
            f"{measure}: class probabilities [N, K], K >= 2, none negative, each row adding up to 1 are needed, got "
            f"{list(rows.shape)} with values in [{rows.min():g}, {rows.max():g}] and row sums in "
            f"[{rows.sum(axis=1).min():g}, {rows.sum(axis=1).max():g}]; apply softmax to logits first"
        )
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))
