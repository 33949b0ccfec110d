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
from handful.data.groups import across, deal, shared
from handful.errors import ConfigError, DataError
from handful.rng import derive, numpy_rng

Rows = NDArray[np.int64]
MAX_HELD_OUT = 0.95


@dataclass(frozen=True, eq=False)
class Split:
    """Three sets of source rows, int64, sorted, disjoint; val may be empty, and is test under the flaw test-as-val."""

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
    groups: Sequence[str] | None = None,
    train_per_class: int | None = None,
    fold: tuple[int, int] | None = None,
) -> Split:
    """Return a stratified split; without groups, one class's draw depends on the seed, its name and its rows only.

    A given test part (or val part) is kept whole, and its fraction is not used. The rest, the pool, is drawn class by
    class from n pictures: max(1, round(test_fraction * n)) to test, then max(1, round(val_fraction * n)) to val, what
    remains, at least one, to train; halves are rounded up. With a val_fraction of 0 val is empty where none is given.

    With `fold=(i, k)` the pool is cut into k folds instead, each with n // k or one more of a class, and fold i is the
    test part; the cut depends on the seed alone, so that k calls with one seed test every picture once. Val is drawn
    from what remains, anew for every fold, of the size above. `test_fraction` is not used.

    With `long_tail=(first, last)` the pool without its test pictures is thinned before val is taken from it, and n of
    val is the number after thinning. The class with the most pictures there (ties: the first of class_names) keeps
    `first`, the one with the fewest `last`, those between round(first * (last / first) ** (place / (K - 1))). What is
    left over goes to test where no test part is given and there are neither folds nor groups, else it is dropped.

    With `train_per_class=m` train keeps m pictures of each class and the rest of it is dropped, so that val and test
    are those without it, and a smaller m takes a subset of what a larger one takes (few-shot, learning curves).

    With `groups` the rows of a group stay in one part. Whole groups are dealt to test and then to val by the greedy
    rule of `handful.data.groups.deal`, as near to the numbers above as they allow; only thinning is by the picture.
    Where no group holds two rows of the pool, the draw is the one without groups.

    Args:
        labels: int64 [N].
        parts: N of '' | 'train' | 'val' | 'test'.
        class_names: K names.
        val_fraction: in [0, 1), 0 for no val; with test_fraction at most 0.95, as far as they are used.
        test_fraction: in (0, 1).
        long_tail: pictures of the largest and of the smallest class, or None.
        seed: another seed is another draw of the same sizes.
        groups: N names, '' where a row belongs to none.
        train_per_class: at least 1.
        fold: the place of the test fold in [0, k), and k, at least 2; not with a given test part.

    Raises:
        ConfigError: a fraction, long tail or fold that no data could satisfy.
        DataError: a class that would miss in a part, or has fewer pictures than its place in the long tail or
            `train_per_class` asks for; a line per class with its count and the smallest remedy. A group that lies in
            several given parts, or too few groups of a class.
    """
    draw = _Draw(
        "val" in parts, "test" in parts, val_fraction, test_fraction, long_tail, seed, train_per_class or 0, fold
    )
    draw.check()
    labels = np.asarray(labels, dtype=np.int64)
    where = np.asarray(parts, dtype=np.str_)
    inside = {"pool": (where == "") | (where == "train"), "val": where == "val", "test": where == "test"}
    rows = {
        part: [np.flatnonzero(mask & (labels == label)) for label in range(len(class_names))]
        for part, mask in inside.items()
    }
    faults = across(groups, parts) if groups is not None else []
    faults += [
        fault
        for label, name in enumerate(class_names)
        if (fault := draw.fault(name, *(len(rows[part][label]) for part in ("pool", "val", "test"))))
    ]
    if faults:
        raise DataError(*faults)
    targets = draw.targets([len(pool) for pool in rows["pool"]], class_names)
    if groups is not None and shared(groups, np.flatnonzero(inside["pool"])):
        drawn = _whole_groups(draw, labels, groups, rows["pool"], targets, class_names)
    else:
        drawn = {"train": [], "val": [], "test": []}
        before = 0
        for name, pool, target in zip(class_names, rows["pool"], targets, strict=True):
            for part, taken in draw.divide(pool, target, name, before).items():
                drawn[part].append(taken)
            before += len(pool)
    given = {"train": [], "val": rows["val"], "test": rows["test"]}
    return Split(*(np.concatenate([*given[part], *drawn[part]]) for part in ("train", "val", "test")))


def _whole_groups(
    draw: _Draw,
    labels: Rows,
    groups: Sequence[str],
    pools: Sequence[Rows],
    targets: Sequence[int],
    class_names: Sequence[str],
) -> dict[str, list[Rows]]:
    """Test first, then val from the rest, whole groups each; then train is thinned by the picture."""
    sizes = np.array([len(pool) for pool in pools], dtype=np.float64)
    rest, test = np.concatenate(pools), np.zeros(0, dtype=np.int64)
    behind = 2 if draw.draws_val else 1
    if draw.fold is not None:
        place, num = draw.fold
        names = [f"fold {part}" for part in range(num)]
        least = [behind if num == 2 else 1] * num
        dealt = deal(labels, groups, rest, np.tile(sizes / num, (num, 1)), least, class_names, names, draw.seed)
        rest, test = np.concatenate([rows for part, rows in enumerate(dealt) if part != place]), dealt[place]
    elif not draw.test_given:
        wanted = np.array([draw.num_test(len(pool)) for pool in pools], dtype=np.float64)
        names = ["test", "train and val" if draw.draws_val else "train"]
        both = np.stack([wanted, sizes - wanted])
        test, rest = deal(labels, groups, rest, both, [1, behind], class_names, names, draw.seed)
    have = np.bincount(labels[rest], minlength=len(class_names)).astype(np.float64)
    wanted_val = np.array(
        [draw.num_val(n if not draw.long_tail else t) for n, t in zip(sizes.astype(int).tolist(), targets, strict=True)]
    )
    train, val = rest, rest[:0]
    if draw.draws_val:
        both = np.stack([np.minimum(wanted_val, have - 1), np.maximum(have - wanted_val, 1)]).astype(np.float64)
        seed = derive(draw.seed, "val", draw.fold[0] if draw.fold else 0)
        val, train = deal(labels, groups, rest, both, [1, 1], class_names, ["val", "train"], seed)
    kept, faults = [], []
    for label, name in enumerate(class_names):
        own = train[labels[train] == label]
        asked = targets[label] - int(wanted_val[label]) if draw.long_tail else draw.train_per_class or len(own)
        if len(own) < asked:
            faults.append(
                f"class {name!r}: {len(own)} pictures left to train on after whole groups went to test and val, "
                f"{asked} asked for; ask for fewer, add pictures, or split without groups (groups = none)"
            )
        kept.append(numpy_rng(draw.seed, "thin", name).permutation(own)[:asked])
    if faults:
        raise DataError(*faults)
    return {"train": kept, "val": [val], "test": [test]}


@dataclass(frozen=True)
class _Draw:
    val_given: bool
    test_given: bool
    val_fraction: float
    test_fraction: float
    long_tail: tuple[int, int] | None
    seed: int
    train_per_class: int = 0
    fold: tuple[int, int] | None = None

    @property
    def draws_val(self) -> bool:
        return not self.val_given and self.val_fraction != 0

    @property
    def drawn(self) -> list[str]:
        """The parts that are drawn from the pool."""
        return ["train", *(["val"] if self.draws_val else []), *([] if self.test_given else ["test"])]

    def check(self) -> None:
        faults = []
        used = {"val_fraction": not self.val_given, "test_fraction": not self.test_given and not self.fold}
        fractions = {name: getattr(self, name) for name, needed in used.items() if needed}
        if not 0 <= fractions.get("val_fraction", 0) < 1:
            faults.append(f"val_fraction is {self.val_fraction}; must be in [0, 1), 0 for no validation part")
        if not 0 < fractions.get("test_fraction", 0.5) < 1:
            faults.append(f"test_fraction is {self.test_fraction}; must be in (0, 1)")
        if sum(fractions.values()) > MAX_HELD_OUT and not faults:
            given = " and ".join(f"{name} {value}" for name, value in fractions.items())
            faults.append(f"{given} leave too little to train on; their sum must be at most {MAX_HELD_OUT}")
        if self.long_tail is not None:
            first, last = self.long_tail
            least = 2 if self.draws_val else 1
            if not first >= last >= least:
                faults.append(
                    f"long tail {first}:{last}; must be from large to small, and the smallest at least {least}"
                )
        if self.fold is not None and not (self.fold[1] >= 2 and 0 <= self.fold[0] < self.fold[1]):
            faults.append(f"fold {self.fold[0]} of {self.fold[1]}; there must be at least 2, the first is fold 0")
        if self.train_per_class < 0:
            faults.append(f"train_per_class is {self.train_per_class}; must be at least 1")
        if self.train_per_class and self.long_tail:
            faults.append("long_tail and train_per_class both say how many pictures train; give one of them")
        if faults:
            raise ConfigError(*faults)
        if self.fold is not None and self.test_given:
            raise DataError(
                "folds cannot be drawn where a test part is given; leave folds out, or give the pictures without parts"
            )

    def num_test(self, num: int) -> int:
        if self.fold is not None:
            return -(-num // self.fold[1])  # of the largest fold
        return 0 if self.test_given else max(1, _round_half_up(self.test_fraction, num))

    def num_val(self, num: int) -> int:
        return max(1, _round_half_up(self.val_fraction, num)) if self.draws_val else 0

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
        into = f" ({self.fold[1]} folds)" if self.fold else ""
        into += f" with {self.train_per_class} to train on" if self.train_per_class else ""
        fewer = ", ask for fewer" if self.fold or self.train_per_class else ""
        return (
            f"class {name!r}: {pool} pictures to draw {', '.join(self.drawn)} from{into}, {needed} needed; "
            f"add at least {needed - pool}{fewer}, or leave the class out"
        )

    def _leaves_train(self, pool: int) -> bool:
        if self.fold is not None and pool < self.fold[1]:
            return False
        left = pool - self.num_test(pool) - (0 if self.long_tail else self.num_val(pool))
        return left >= max(1, self.train_per_class)

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

    def divide(self, pool: Rows, target: int, name: str, before: int) -> dict[str, Rows]:
        """The pool of one class, shuffled and cut: test, val, train, left over. `before` pictures came before it."""
        shuffled = numpy_rng(self.seed, "split", name).permutation(pool)
        if self.fold is not None:
            place, num = self.fold
            # classes start at the fold after the one where the last class ended, so that folds are of one size
            mine = (np.arange(len(pool)) + before) % num == place
            test, rest = shuffled[mine], numpy_rng(self.seed, "fold", place, name).permutation(shuffled[~mine])
        else:
            num_test = self.num_test(len(pool))
            test, rest = shuffled[:num_test], shuffled[num_test:]
        if self.long_tail is not None:
            left_over, rest = rest[target:], rest[:target]
            if self.fold is None and not self.test_given:
                test = np.concatenate([test, left_over])
        num_val = self.num_val(target if self.long_tail else len(pool))
        return {"train": rest[num_val:][: self.train_per_class or None], "val": rest[:num_val], "test": test}


def _round_half_up(fraction: float, num: int) -> int:
    """Exact in decimals: 0.29 of 50 is 14.5 and rounds to 15, which floats miss."""
    return int((Decimal(str(fraction)) * num).quantize(Decimal(1), ROUND_HALF_UP))
