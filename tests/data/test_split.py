"""A split is disjoint, stratified, repeatable, and has every class in every part."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handful.data.split import Split, draw_split
from handful.errors import ConfigError, DataError

OPTIONS: dict[str, Any] = {"val_fraction": 0.2, "test_fraction": 0.25, "long_tail": None, "seed": 0}


def labelled(counts: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(9).permutation(np.repeat(np.arange(len(counts)), counts))


def names(num: int) -> list[str]:
    return [f"class{i}" for i in range(num)]


def draw(counts: list[int], parts: list[str] | None = None, **options: Any) -> tuple[Split, Any]:
    labels = labelled(counts)
    parts = parts or [""] * len(labels)
    return draw_split(labels, parts, names(len(counts)), **{**OPTIONS, **options}), labels


def counts_of(split: Split, labels: Any, num: int) -> dict[str, list[int]]:
    return {part: np.bincount(labels[rows], minlength=num).tolist() for part, rows in split.to_arrays().items()}


def rounded(fraction: float, num: int) -> int:
    return max(1, int((Decimal(str(fraction)) * num).to_integral_value(ROUND_HALF_UP)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(5, 60), min_size=2, max_size=6),
    st.sampled_from([0.1, 0.15, 0.2, 0.29, 0.3]),
    st.sampled_from([0.1, 0.2, 0.25, 0.35]),
    st.integers(0, 2**40),
)
def test_a_drawn_split(counts: list[int], val: float, test: float, seed: int) -> None:
    split, labels = draw(counts, val_fraction=val, test_fraction=test, seed=seed)
    rows = np.concatenate(list(split.to_arrays().values()))
    assert sorted(rows.tolist()) == list(range(len(labels)))
    per_part = counts_of(split, labels, len(counts))
    assert per_part["test"] == [rounded(test, num) for num in counts]
    assert per_part["val"] == [rounded(val, num) for num in counts]
    assert min(per_part["train"]) >= 1
    for part in split.to_arrays().values():
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    again, _ = draw(counts, val_fraction=val, test_fraction=test, seed=seed)
    assert again == split
    assert again.digest == split.digest


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(2, 60), min_size=2, max_size=6),
    st.sampled_from([0.1, 0.15, 0.25, 0.5, 0.9]),
    st.integers(0, 2**40),
)
def test_a_split_without_val_is_train_and_test(counts: list[int], test: float, seed: int) -> None:
    sizes = [rounded(test, num) for num in counts]
    if any(size == num for size, num in zip(sizes, counts, strict=True)):
        with pytest.raises(DataError, match="pictures to draw train, test from"):
            draw(counts, val_fraction=0.0, test_fraction=test, seed=seed)
        return
    split, labels = draw(counts, val_fraction=0.0, test_fraction=test, seed=seed)
    assert split.val.tolist() == []
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == list(range(len(labels)))
    assert counts_of(split, labels, len(counts))["test"] == sizes
    if min(counts) >= 5 and test <= 0.25:
        assert split.test.tolist() == draw(counts, val_fraction=0.1, test_fraction=test, seed=seed)[0].test.tolist()


def test_a_given_val_part_stays_without_a_fraction() -> None:
    parts = ["val" if row % 5 == 0 else "" for row in range(60)]
    split, _ = draw([30, 30], parts, val_fraction=0.0)
    assert split.val.tolist() == list(range(0, 60, 5))


def test_a_long_tail_without_val_may_end_in_one_picture() -> None:
    split, labels = draw([60, 60, 60], long_tail=(16, 1), val_fraction=0.0)
    assert counts_of(split, labels, 3)["train"] == [16, 4, 1]
    assert not len(split.val)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(12, 40), min_size=2, max_size=5), st.booleans(), st.booleans(), st.data())
def test_given_parts_are_kept(counts: list[int], val_given: bool, test_given: bool, data: st.DataObject) -> None:
    labels = labelled(counts)
    parts = np.full(len(labels), "train", dtype=object)
    for label in range(len(counts)):
        rows = np.flatnonzero(labels == label)
        if val_given:
            parts[rows[: data.draw(st.integers(1, 4))]] = "val"
        if test_given:
            parts[rows[4 : 4 + data.draw(st.integers(1, 4))]] = "test"
    split = draw_split(labels, list(parts), names(len(counts)), **OPTIONS)
    if val_given:
        assert split.val.tolist() == np.flatnonzero(parts == "val").tolist()
    if test_given:
        assert split.test.tolist() == np.flatnonzero(parts == "test").tolist()
    assert sum(len(rows) for rows in split.to_arrays().values()) == len(labels)
    assert all(min(per_part) >= 1 for per_part in counts_of(split, labels, len(counts)).values())


def test_another_seed_is_another_draw_of_the_same_sizes() -> None:
    one, labels = draw([30, 12], seed=1)
    other, _ = draw([30, 12], seed=2)
    assert one != other
    assert counts_of(one, labels, 2) == counts_of(other, labels, 2)


def test_the_draw_of_a_class_does_not_depend_on_the_others() -> None:
    labels = np.repeat([0, 1, 2], [20, 30, 10])
    three = draw_split(labels, [""] * 60, ["a", "b", "c"], **OPTIONS)
    two = draw_split(labels[:50], [""] * 50, ["a", "b"], **OPTIONS)
    for part, rows in two.to_arrays().items():
        assert rows.tolist() == [row for row in three.to_arrays()[part].tolist() if row < 50]


def test_the_test_part_does_not_depend_on_the_val_fraction() -> None:
    assert draw([30, 12], val_fraction=0.1)[0].test.tolist() == draw([30, 12], val_fraction=0.4)[0].test.tolist()


@pytest.mark.parametrize("test_given", [False, True])
def test_a_long_tail_falls_geometrically(test_given: bool) -> None:
    counts = [120, 150, 110, 100]
    labels = labelled(counts)
    parts = ["test" if test_given and row % 10 == 0 else "" for row in range(len(labels))]
    split = draw_split(labels, parts, names(4), **{**OPTIONS, "test_fraction": 0.1, "long_tail": (64, 8)})
    per_part = counts_of(split, labels, 4)
    pool = [train + val for train, val in zip(per_part["train"], per_part["val"], strict=True)]
    assert pool == [32, 64, 16, 8]
    assert per_part["val"] == [rounded(0.2, num) for num in pool]
    if test_given:
        assert split.test.tolist() == [row for row, part in enumerate(parts) if part]
    else:
        assert sum(len(rows) for rows in split.to_arrays().values()) == len(labels)


def test_a_long_tail_of_equal_classes_goes_by_their_order() -> None:
    split, labels = draw([120] * 10, long_tail=(78, 8))
    per_part = counts_of(split, labels, 10)
    pool = [train + val for train, val in zip(per_part["train"], per_part["val"], strict=True)]
    assert pool == [round(78 * (8 / 78) ** (place / 9)) for place in range(10)]


def test_classes_too_small_for_a_long_tail_are_listed() -> None:
    asked = "asked for by the long tail 70:8; add at least"
    with pytest.raises(DataError) as error:
        draw([80, 50, 6], long_tail=(70, 8))
    assert error.value.faults == (
        f"class 'class0': 60 pictures to thin, 70 {asked} 13, or ask for a lower one",
        f"class 'class2': 4 pictures to thin, 8 {asked} 5, or ask for a lower one",
    )
    with pytest.raises(DataError, match="'class0': 69"):
        draw([80 + 12, 50, 12], long_tail=(70, 8))
    draw([80 + 13, 50, 6 + 5], long_tail=(70, 8))


def test_classes_too_small_to_be_in_every_part_are_listed() -> None:
    with pytest.raises(DataError) as error:
        draw([1, 10, 2, 3])
    assert error.value.faults == (
        "class 'class0': 1 pictures to draw train, val, test from, 3 needed; add at least 2, or leave the class out",
        "class 'class2': 2 pictures to draw train, val, test from, 3 needed; add at least 1, or leave the class out",
    )


def test_a_class_that_misses_in_a_given_part_is_named() -> None:
    with pytest.raises(DataError, match="class 'b': 0 pictures in the given test part, 3 in all"):
        draw_split(np.array([0] * 5 + [1] * 3), ["train"] * 4 + ["test"] + ["train"] * 3, ["a", "b"], **OPTIONS)
    with pytest.raises(DataError, match="class 'b': 0 pictures to draw train, val from, 2 needed"):
        draw_split(np.array([0] * 5 + [1] * 3), ["train"] * 4 + ["test"] * 4, ["a", "b"], **OPTIONS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"val_fraction": -0.1}, r"val_fraction is -0.1; must be in \[0, 1\)"),
        ({"val_fraction": 1.0}, "val_fraction is 1.0"),
        ({"test_fraction": 0.0}, "test_fraction is 0.0"),
        ({"test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "too little to train on"),
        ({"long_tail": (8, 78)}, "from large to small"),
        ({"long_tail": (8, 1)}, "at least 2"),
    ],
)
def test_options_no_data_could_satisfy(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        draw([30, 30], **options)


def test_a_split_survives_its_arrays_and_refuses_a_row_twice() -> None:
    split, _ = draw([30, 12])
    assert Split.from_arrays(split.to_arrays()) == split
    assert hash(Split.from_arrays(split.to_arrays())) == hash(split)
    with pytest.raises(DataError, match=r"rows \[2\]"):
        Split(np.array([1, 2]), np.array([2]), np.array([3]))


def test_the_draw_is_frozen() -> None:
    """Stored results depend on it: these rows may change only with a note in the changelog."""
    split = draw_split(np.repeat([0, 1], 8), [""] * 16, ["cat", "dog"], **OPTIONS)
    assert split.val.tolist() == FROZEN["val"]
    assert split.test.tolist() == FROZEN["test"]


FROZEN = {"val": [0, 3, 8, 13], "test": [6, 7, 10, 14]}
