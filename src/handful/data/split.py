"""Which rows train, which choose weights, which score: three index arrays, drawn class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.errors import ConfigError, DataError
from handful.rng import numpy_rng

Rows = NDArray[np.int64]
MAX_HELD_OUT = 0.95


@dataclass(frozen=True, eq=False)
class Split:
    """Three sets of source rows, int64, sorted, disjoint; val and test are one under the flaw test-as-val."""

    train: Rows
    val: Rows
    test: Rows

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            object.__setattr__(self, name, np.sort(np.asarray(getattr(self, name), dtype=np.int64)))
        held_out = [self.test] if np.array_equal(self.val, self.test) else [self.val, self.test]  # flaw test-as-val
        rows = np.concatenate([self.train, *held_out])
        values, times = np.unique(rows, return_counts=True)
        if (times > 1).any():
            raise DataError(f"rows {values[times > 1][:10].tolist()} are in a split more than once")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Split):
            return NotImplemented
        return all(np.array_equal(mine, other.to_arrays()[name]) for name, mine in self.to_arrays().items())

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the three index arrays."""
        return digest_of({name: rows.tolist() for name, rows in self.to_arrays().items()})

    def to_arrays(self) -> dict[str, Rows]:
        """Return {'train', 'val', 'test'} as arrays, for an .npz."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Split:
        """Return the split that `to_arrays` wrote."""
        return cls(arrays["train"], arrays["val"], arrays["test"])


def draw_split(
    labels: Rows,
    parts: Sequence[str],
    class_names: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float,
    long_tail: tuple[int, int] | None,
    seed: int,
) -> Split:
    """Return a stratified split; one class's draw depends on the seed, its name and its own rows only.

    A given test part (or val part) is kept whole, and its fraction is not used. The rest, the pool, is drawn class by
    class from n pictures: max(1, round(test_fraction * n)) to test, then max(1, round(val_fraction * n)) to val, what
    remains, at least one, to train; halves are rounded up.

    With `long_tail=(first, last)` the pool without its test pictures is thinned before val is taken from it, and n of
    val is the number after thinning. The class with the most pictures there (ties: the first of class_names) keeps
    `first`, the one with the fewest `last`, those between round(first * (last / first) ** (place / (K - 1))). What is
    left over goes to test where no test part is given, else it is dropped.

    Args:
        labels: int64 [N].
        parts: N of '' | 'train' | 'val' | 'test'.
        class_names: K names.
        val_fraction: in (0, 1); with test_fraction at most 0.95, as far as they are used.
        test_fraction: in (0, 1).
        long_tail: pictures of the largest and of the smallest class, or None.
        seed: another seed is another draw of the same sizes.

    Raises:
        ConfigError: a fraction or long tail that no data could satisfy.
        DataError: a class that would miss in a part, or has fewer pictures than its place in the long tail asks for;
            a line per class with its count and the smallest remedy.
    """
    draw = _Draw("val" in parts, "test" in parts, val_fraction, test_fraction, long_tail, seed)
    draw.check()
    labels = np.asarray(labels, dtype=np.int64)
    where = np.asarray(parts, dtype=np.str_)
    inside = {"pool": (where == "") | (where == "train"), "val": where == "val", "test": where == "test"}
    rows = {
        part: [np.flatnonzero(mask & (labels == label)) for label in range(len(class_names))]
        for part, mask in inside.items()
    }
    faults = [
        fault
        for label, name in enumerate(class_names)
        if (fault := draw.fault(name, *(len(rows[part][label]) for part in ("pool", "val", "test"))))
    ]
    if faults:
        raise DataError(*faults)
    targets = draw.targets([len(pool) for pool in rows["pool"]], class_names)
    drawn: dict[str, list[Rows]] = {"train": [], "val": list(rows["val"]), "test": list(rows["test"])}
    for name, pool, target in zip(class_names, rows["pool"], targets, strict=True):
        for part, taken in draw.divide(pool, target, name).items():
            drawn[part].append(taken)
    return Split(*(np.concatenate(drawn[part]) for part in ("train", "val", "test")))


@dataclass(frozen=True)
class _Draw:
    val_given: bool
    test_given: bool
    val_fraction: float
    test_fraction: float
    long_tail: tuple[int, int] | None
    seed: int

    def check(self) -> None:
        faults = []
        used = {"val_fraction": not self.val_given, "test_fraction": not self.test_given}
        fractions = {name: getattr(self, name) for name, needed in used.items() if needed}
        faults += [f"{name} is {value}; must be in (0, 1)" for name, value in fractions.items() if not 0 < value < 1]
        if sum(fractions.values()) > MAX_HELD_OUT and not faults:
            given = " and ".join(f"{name} {value}" for name, value in fractions.items())
            faults.append(f"{given} leave too little to train on; their sum must be at most {MAX_HELD_OUT}")
        if self.long_tail is not None:
            first, last = self.long_tail
            least = 1 if self.val_given else 2
            if not first >= last >= least:
                faults.append(
                    f"long tail {first}:{last}; must be from large to small, and the smallest at least {least}"
                )
        if faults:
            raise ConfigError(*faults)

    def num_test(self, num: int) -> int:
        return 0 if self.test_given else max(1, _round_half_up(self.test_fraction, num))

    def num_val(self, num: int) -> int:
        return 0 if self.val_given else max(1, _round_half_up(self.val_fraction, num))

    def fault(self, name: str, pool: int, val: int, test: int) -> str:
        """One line where a class of these counts cannot be in every part, else ''."""
        for part, given, num in (("val", self.val_given, val), ("test", self.test_given, test)):
            if given and not num:
                return (
                    f"class {name!r}: 0 pictures in the given {part} part, {pool + val + test} in all; add at least 1 "
                    f"to it, or leave the class out"
                )
        if self._leaves_train(pool):
            return ""
        needed = next(num for num in count(pool + 1) if self._leaves_train(num))
        drawn = [part for part, given in (("val", self.val_given), ("test", self.test_given)) if not given]
        return (
            f"class {name!r}: {pool} pictures to draw {', '.join(['train', *drawn])} from, {needed} needed; "
            f"add at least {needed - pool}, or leave the class out"
        )

    def _leaves_train(self, pool: int) -> bool:
        return pool - self.num_test(pool) - (0 if self.long_tail else self.num_val(pool)) >= 1

    def targets(self, pools: Sequence[int], class_names: Sequence[str]) -> list[int]:
        """How many pictures of each class are left for train and val."""
        left = [num - self.num_test(num) for num in pools]
        if self.long_tail is None:
            return left
        first, last = self.long_tail
        targets = list(left)
        order = sorted(range(len(left)), key=lambda label: -left[label])
        for place, label in enumerate(order):
            targets[label] = int(first * (last / first) ** (place / max(1, len(left) - 1)) + 0.5)
        faults = [
            f"class {name!r}: {have} pictures to thin, {target} asked for by the long tail {first}:{last}; "
            f"add at least {self._missing(pool, target)}, or ask for a lower one"
            for name, pool, have, target in zip(class_names, pools, left, targets, strict=True)
            if have < target
        ]
        faults += [
            f"class {name!r}: {target} pictures in the long tail {first}:{last} leave none to train on after val"
            for name, target in zip(class_names, targets, strict=True)
            if target - self.num_val(target) < 1
        ]
        if faults:
            raise DataError(*faults)
        return targets

    def _missing(self, pool: int, target: int) -> int:
        """The fewest pictures to add to a pool so that it holds `target` after test is taken."""
        return next(more for more in count(1) if pool + more - self.num_test(pool + more) >= target)

    def divide(self, pool: Rows, target: int, name: str) -> dict[str, Rows]:
        """The pool of one class, shuffled and cut: test, val, train, left over."""
        shuffled = numpy_rng(self.seed, "split", name).permutation(pool)
        num_test = self.num_test(len(pool))
        base = target if self.long_tail else len(pool)
        kept, left_over = shuffled[num_test : num_test + target], shuffled[num_test + target :]
        num_val = self.num_val(base)
        test = shuffled[:0] if self.test_given else np.concatenate([shuffled[:num_test], left_over])
        return {"train": kept[num_val:], "val": kept[:num_val], "test": test}


def _round_half_up(fraction: float, num: int) -> int:
    """Exact in decimals: 0.29 of 50 is 14.5 and rounds to 15, which floats miss."""
    return int((Decimal(str(fraction)) * num).quantize(Decimal(1), ROUND_HALF_UP))
