"""Every kind of split is disjoint, covers what it says, is stratified, keeps groups whole, and misses no class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.data.split import Split, draw_split
from handful.errors import ConfigError, DataError

OPTIONS: dict[str, Any] = {"val_fraction": 0.2, "test_fraction": 0.25, "long_tail": None, "seed": 0}
SIZES = st.lists(st.integers(6, 60), min_size=2, max_size=5)
SEEDS = st.integers(0, 2**40)


def labelled(counts: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(9).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int64)


def names(num: int) -> list[str]:
    return [f"class{i}" for i in range(num)]


def draw(labels: Any, parts: list[str] | None = None, **options: Any) -> Split:
    given_parts = parts or [""] * len(labels)
    return draw_split(labels, given_parts, names(int(labels.max()) + 1), **{**OPTIONS, **options})


def counts_of(split: Split, labels: Any) -> dict[str, Any]:
    num = int(labels.max()) + 1
    return {part: np.bincount(labels[rows], minlength=num) for part, rows in split.to_arrays().items()}


def grouped(labels: Any, sizes: list[int], mixed: bool, seed: int) -> list[str]:
    """Groups of the given sizes, over and over, of one class each, or of rows as they come."""
    order = np.random.default_rng(seed).permutation(len(labels))
    if not mixed:
        order = order[np.argsort(labels[order], kind="stable")]
    groups, start, number = [""] * len(labels), 0, 0
    while start < len(order):
        rows = order[start : start + sizes[number % len(sizes)]]
        if not mixed:
            rows = rows[labels[rows] == labels[rows[0]]]
        for row in rows.tolist():
            groups[row] = f"g{number}" if len(rows) > 1 or number % 2 else ""
        start, number = start + len(rows), number + 1
    return groups


def parts_of(split: Split, groups: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part, rows in split.to_arrays().items():
        for row in rows.tolist():
            if groups[row]:
                found.setdefault(groups[row], set()).add(part)
    return found


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(2, 6), SEEDS)
def test_folds_test_every_picture_once(counts: list[int], folds: int, seed: int) -> None:
    labels = labelled(counts)
    splits = [draw(labels, fold=(i, folds), seed=seed) for i in range(folds)]
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested.tolist()) == list(range(len(labels)))
    totals = [len(split.test) for split in splits]
    assert max(totals) - min(totals) <= 1
    for i, split in enumerate(splits):
        assert sum(len(rows) for rows in split.to_arrays().values()) == len(labels)
        per_part = counts_of(split, labels)
        for label, num in enumerate(counts):
            assert per_part["test"][label] in (num // folds, -(-num // folds))
            assert per_part["val"][label] == max(1, int(0.2 * num + 0.5))
            assert per_part["train"][label] >= 1
        assert draw(labels, fold=(i, folds), seed=seed) == split
    assert draw(labels, fold=(0, folds), seed=seed + 1) != splits[0]


def test_val_is_drawn_anew_for_every_fold() -> None:
    labels = labelled([60, 60])
    vals = [draw(labels, fold=(i, 3)).val.tolist() for i in range(3)]
    assert len({tuple(val) for val in vals}) == 3
    assert len({row for val in vals for row in val}) > 1.5 * len(vals[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(12, 60), min_size=2, max_size=5), st.integers(1, 4), SEEDS, st.booleans())
def test_train_per_class_takes_from_train_alone(counts: list[int], num: int, seed: int, by_fold: bool) -> None:
    labels = labelled(counts)
    options: dict[str, Any] = {"seed": seed, "fold": (1, 4) if by_fold else None}
    whole, few = draw(labels, **options), draw(labels, train_per_class=num, **options)
    assert counts_of(few, labels)["train"].tolist() == [num] * len(counts)
    assert few.test.tolist() == whole.test.tolist()
    assert few.val.tolist() == whole.val.tolist()
    assert set(few.train) <= set(draw(labels, train_per_class=num + 1, **options).train) <= set(whole.train)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(15, 60), min_size=2, max_size=4),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.sampled_from([None, 2, 3]),
    st.booleans(),
    SEEDS,
)
def test_groups_stay_whole(counts: list[int], sizes: list[int], folds: int | None, mixed: bool, seed: int) -> None:
    labels = labelled(counts)
    groups = grouped(labels, sizes, mixed, seed)
    splits = [draw(labels, groups=groups, seed=seed, fold=(i, folds) if folds else None) for i in range(folds or 1)]
    for i, split in enumerate(splits):
        assert all(len(where) == 1 for where in parts_of(split, groups).values())
        assert sum(len(rows) for rows in split.to_arrays().values()) == len(labels)
        per_part = counts_of(split, labels)
        assert min(part.min() for part in per_part.values()) >= 1
        assert draw(labels, groups=groups, seed=seed, fold=(i, folds) if folds else None) == split
        if not mixed:
            for label, num in enumerate(counts):
                wanted = num / folds if folds else max(1, int(0.25 * num + 0.5))
                assert abs(per_part["test"][label] - wanted) <= max(sizes)
                assert abs(per_part["val"][label] - max(1, int(0.2 * num + 0.5))) <= max(sizes)
    if folds:
        assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(len(labels)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(40, 60), min_size=2, max_size=4), SEEDS, st.booleans(), st.booleans())
def test_groups_stay_whole_when_train_is_thinned(counts: list[int], seed: int, tail: bool, test_given: bool) -> None:
    labels = labelled(counts)
    groups = grouped(labels, [1, 2, 3], False, seed)
    parts = ["test" if test_given and group == "" else "train" for group in groups]
    if test_given and len({int(label) for label, part in zip(labels, parts, strict=True) if part == "test"}) < len(
        counts
    ):
        return
    options: dict[str, Any] = {"long_tail": (8, 4)} if tail else {"train_per_class": 5}
    split = draw(labels, parts, groups=groups, seed=seed, **options)
    assert all(len(where) == 1 for where in parts_of(split, groups).values())
    per_part = counts_of(split, labels)
    assert min(part.min() for part in per_part.values()) >= 1
    if tail:
        assert sorted(per_part["train"])[-1] == 8 - 2
        assert sorted(per_part["train"])[0] == 4 - 1
    else:
        assert per_part["train"].tolist() == [5] * len(counts)
    if test_given:
        assert split.test.tolist() == [row for row, part in enumerate(parts) if part == "test"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(12, 40), min_size=2, max_size=4),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.sampled_from([None, 2, 3]),
    st.booleans(),
    st.sampled_from([None, 2]),
    SEEDS,
)
def test_without_val_folds_and_groups_share_the_pictures_out_between_train_and_test(
    counts: list[int], sizes: list[int], folds: int | None, by_group: bool, few: int | None, seed: int
) -> None:
    labels = labelled(counts)
    groups = grouped(labels, sizes, False, seed) if by_group else None
    options: dict[str, Any] = {"val_fraction": 0.0, "groups": groups, "seed": seed, "train_per_class": few}
    splits = [draw(labels, fold=(i, folds) if folds else None, **options) for i in range(folds or 1)]
    for split in splits:
        per_part = counts_of(split, labels)
        assert split.val.tolist() == []
        assert min(per_part["test"].min(), per_part["train"].min()) >= 1
        assert not set(split.train) & set(split.test)
        if few:
            assert per_part["train"].tolist() == [few] * len(counts)
        else:
            assert len(split.train) + len(split.test) == len(labels)
        if groups is not None:
            assert all(len(where) == 1 for where in parts_of(split, groups).values())
    if folds:
        assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(len(labels)))


def test_two_groups_of_a_class_are_enough_without_val() -> None:
    labels = np.repeat([0, 1], 6).astype(np.int64)
    groups = [f"g{row // 3}" for row in range(12)]
    split = draw(labels, groups=groups, val_fraction=0.0)
    assert counts_of(split, labels)["test"].tolist() == [3, 3]
    with pytest.raises(DataError, match="in 2 groups to draw test, train and val from, 3 groups needed"):
        draw(labels, groups=groups)


def test_groups_of_one_are_no_groups() -> None:
    labels = labelled([30, 12])
    plain = draw(labels)
    assert draw(labels, groups=[f"g{i}" for i in range(42)]) == plain
    assert draw(labels, groups=[""] * 42) == plain


def test_large_groups_leave_no_part_without_a_class() -> None:
    labels = np.repeat([0, 1], [30, 9]).astype(np.int64)
    groups = [f"a{i // 10}" for i in range(30)] + [f"b{i // 3}" for i in range(9)]
    for seed in range(20):
        split = draw(labels, groups=groups, seed=seed)
        assert {part: num.tolist() for part, num in counts_of(split, labels).items()} == {
            part: [10, 3] for part in ("train", "val", "test")
        }


def faults_of(labels: Any, parts: list[str] | None = None, **options: Any) -> tuple[str, ...]:
    with pytest.raises(DataError) as error:
        draw(labels, parts, **options)
    return error.value.faults


def test_what_is_too_small_is_named_with_the_smallest_remedy() -> None:
    labels = np.repeat([0, 1, 2], [20, 5, 20]).astype(np.int64)
    (fault,) = faults_of(labels, fold=(0, 6))
    assert fault.startswith(
        "class 'class1': 5 pictures to draw train, val, test from (6 folds), 6 needed; add at least 1"
    )
    (fault,) = faults_of(labels, train_per_class=4)
    assert (
        "class 'class1': 5 pictures to draw train, val, test from with 4 to train on, 7 needed; add at least 2" in fault
    )
    draw(np.repeat([0, 1, 2], [20, 7, 20]).astype(np.int64), train_per_class=4)
    groups = [f"a{i}" for i in range(20)] + ["x", "x", "x", "y", "y"] + [f"c{i}" for i in range(20)]
    (fault,) = faults_of(labels, groups=groups)
    assert "class 'class1': 5 pictures in 2 groups to draw test, train and val from, 3 groups needed" in fault
    assert "at least 1 more" in fault


def test_a_group_in_several_given_parts_is_named() -> None:
    labels = np.tile([0, 1], 20).astype(np.int64)
    parts = ["test" if row < 10 else "train" for row in range(40)]
    groups = ["g" if row in (9, 10) else "h" if row in (11, 12) else "" for row in range(40)]
    (fault,) = faults_of(labels, parts, groups=groups)
    assert fault.startswith("group 'g' lies in the given parts test, train; keep it in one of them")


def test_classes_that_only_come_together_are_named() -> None:
    labels = np.tile([0, 1], 3).astype(np.int64)
    labels[4:] = 1
    with pytest.raises(DataError, match="class 'class0'"):
        draw(labels, groups=["a", "a", "b", "b", "c", "c"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fold": (5, 5)}, "fold 5 of 5"),
        ({"fold": (0, 1)}, "fold 0 of 1"),
        ({"train_per_class": -1}, "must be at least 1"),
        ({"train_per_class": 2, "long_tail": (5, 2)}, "give one of them"),
    ],
)
def test_options_no_data_could_satisfy(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        draw(labelled([20, 20]), **options)


def test_folds_and_a_given_test_part_exclude_each_other() -> None:
    with pytest.raises(DataError, match="a test part is given"):
        draw(labelled([20, 20]), ["test", *[""] * 39], fold=(0, 2))


def test_these_draws_are_frozen() -> None:
    """Stored results depend on them: these rows may change only with a note in the changelog."""
    labels = np.repeat([0, 1], 8).astype(np.int64)
    assert draw(labels, fold=(1, 4)).test.tolist() == FROZEN["fold"]
    groups = [f"g{row // 2}" for row in range(16)]
    assert draw(labels, groups=groups).test.tolist() == FROZEN["groups"]


FROZEN: dict[str, list[int]] = {"fold": [2, 6, 10, 14], "groups": [0, 1, 10, 11]}
