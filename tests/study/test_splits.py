"""The splits of a study: folds in turn, groups whole, from a file, and nothing drawn that the protocol does not say."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest

from handful import Protocol, Study, open_source, read_study
from handful.data.copies import once
from handful.data.source import Source
from handful.data.split_file import read_splits, write_splits
from handful.errors import ConfigError, DataError
from handful.study.plan import Plan, make_plan
from handful.study.store import Store
from tiny_study import digits, tiny, write_pictures, write_study


def plan_of(study: Study, store: Path, budget: float | None = None) -> Plan:
    return make_plan(
        study, Store(store / "store"), budget=budget, workers=1, device="cpu", timed=False, say=lambda line: None
    )


def parts_tested(plan: Plan) -> list[list[int]]:
    return [plan.split("", repeat).test.tolist() for repeat in range(plan.repeats)]


def grouped(*sizes: int) -> Source:
    """Digits whose neighbours in a class belong together, two and two."""
    source = open_source(digits(*sizes))
    object.__setattr__(source, "groups", tuple(f"{source.labels[row]}-{row // 2}" for row in range(len(source))))
    return source


def test_repeats_take_the_folds_in_turn_and_then_a_new_cut(tmp_path: Path) -> None:
    plan = plan_of(tiny(folds=3, repeats=6), tmp_path)
    tests = parts_tested(plan)
    for first in (0, 3):
        assert sorted(sum(tests[first : first + 3], [])) == list(range(60))  # noqa: RUF017
    assert tests[:3] != tests[3:]
    assert parts_tested(plan_of(tiny(folds=3, repeats=2), tmp_path)) == tests[:2]


def test_a_protocol_without_the_new_fields_draws_what_it_drew(tmp_path: Path) -> None:
    split = plan_of(tiny("baseline", repeats=1), tmp_path).split("", 0)
    assert split.test.tolist() == FROZEN


FROZEN = [5, 6, 7, 15, 31, 34, 35, 36, 42, 44, 46, 48]


def test_train_per_class_reaches_the_split(tmp_path: Path) -> None:
    split = plan_of(tiny(train_per_class=3), tmp_path).split("", 0)
    assert np.bincount(digits()[1][split.train]).tolist() == [3, 3, 3]


def test_groups_are_kept_unless_the_protocol_says_otherwise(tmp_path: Path) -> None:
    source = grouped(20, 20, 20)
    number = np.arange(60) // 2
    whole = plan_of(tiny(source=source), tmp_path)
    torn = plan_of(tiny(source=source, groups="none"), tmp_path)
    for repeat in range(2):
        parts = [set(number[rows]) for rows in whole.split("", repeat).to_arrays().values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 30
    parts = [set(number[rows]) for rows in torn.split("", 0).to_arrays().values()]
    assert sum(map(len, parts)) > 30
    assert whole.study.data == torn.study.data


def test_near_copies_stay_together(tmp_path: Path) -> None:
    pixels, labels, names = digits(12, 12)
    large = pixels.repeat(4, axis=2).repeat(4, axis=3)
    brighter = np.minimum(large.astype(int) + 9, 255).astype(np.uint8)
    study = tiny(source=(np.concatenate([large, brighter]), np.tile(labels, 2), names), groups="near-copies", repeats=3)
    plan = plan_of(study, tmp_path)
    for repeat in range(3):
        for rows in plan.split("", repeat).to_arrays().values():
            assert {(row + 24) % 48 for row in rows.tolist()} == set(rows.tolist())


def test_what_was_ignored_and_what_stays_together_is_said(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p" / "train", 12, 12)
    (tmp_path / "p" / "test").mkdir()
    copyfile(tmp_path / "p" / "train" / "zero" / "000.png", tmp_path / "p" / "test" / "a.png")
    said: list[str] = []
    study = tiny(source=tmp_path / "p", groups="near-copies")
    make_plan(study, Store(tmp_path / "s"), budget=None, workers=1, device="cpu", timed=False, say=said.append)
    assert "test/ holds 1 pictures without class folders" in said[1]
    assert "`handful predict`" in said[1]
    assert said[2:] == [] or "groups of near copies stay together" in said[2]
    said.clear()
    study = tiny(source=grouped(12, 12))
    make_plan(study, Store(tmp_path / "s"), budget=None, workers=1, device="cpu", timed=False, say=said.append)
    assert said == ["24 pictures in 12 groups stay together in one part, the largest 2"]


def test_splits_from_a_file_are_those_of_the_study_that_wrote_them(tmp_path: Path) -> None:
    first = plan_of(tiny(folds=3, repeats=3), tmp_path / "a")
    write_splits(tmp_path / "splits.json", list(first.splits.values()), first.source)
    again = plan_of(tiny(splits_from=tmp_path / "splits.json", repeats=3, seed=7), tmp_path / "b")
    assert again.splits == first.splits
    assert again.split_key("baseline", 1) == first.split_key("baseline", 1)
    assert again.study.splits == tuple(split.digest for split in first.splits.values())
    assert again.study.digest() != plan_of(tiny(repeats=3, seed=7), tmp_path / "b").study.digest()
    assert read_splits(tmp_path / "splits.json", once(open_source(digits()))) == tuple(first.splits.values())


def test_open_repeats_are_as_many_as_the_file_holds(tmp_path: Path) -> None:
    first = plan_of(tiny(folds=3, repeats=3), tmp_path)
    write_splits(tmp_path / "splits.json", list(first.splits.values()), first.source)
    given = str(tmp_path / "splits.json")
    assert plan_of(tiny(splits_from=given, repeats=None), tmp_path).repeats == 3
    assert plan_of(tiny(splits_from=given, repeats=None), tmp_path, budget=1e9).repeats == 3
    assert parts_tested(plan_of(tiny(splits_from=given, repeats=2), tmp_path)) == parts_tested(first)[:2]
    same = plan_of(tiny(splits_from=given, repeats=5, vary=("order",)), tmp_path)
    assert parts_tested(same) == parts_tested(first)[:1] * 5
    with pytest.raises(ConfigError, match="holds 3 splits, 4 repeats"):
        plan_of(tiny(splits_from=given, repeats=4), tmp_path)


def test_splits_of_other_pictures_or_said_twice_are_refused(tmp_path: Path) -> None:
    first = plan_of(tiny(repeats=2), tmp_path)
    path = tmp_path / "splits.json"
    write_splits(path, list(first.splits.values()), first.source)
    with pytest.raises(DataError, match="made for 60 pictures"):
        plan_of(tiny(source=digits(20, 20), splits_from=path), tmp_path)
    with pytest.raises(ConfigError) as error:
        plan_of(tiny(splits_from=path, folds=2, train_per_class=3, flaws=("split-per-arm",)), tmp_path)
    assert [fault.split()[1] for fault in error.value.faults] == ["folds", "train_per_class", "the"]


def test_the_flaw_of_scoring_on_val_is_the_protocols_also_with_splits_from_a_file(tmp_path: Path) -> None:
    first = plan_of(tiny(repeats=2), tmp_path)
    write_splits(tmp_path / "s.json", list(first.splits.values()), first.source)
    drawn = plan_of(tiny(repeats=2, flaws=("test-as-val",)), tmp_path)
    assert (
        plan_of(tiny(repeats=2, flaws=("test-as-val",), splits_from=tmp_path / "s.json"), tmp_path).splits
        == drawn.splits
    )


def test_a_study_file_finds_its_splits_and_boxes_beside_it(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    source = open_source(tmp_path / "pictures")
    boxes = [f"{name},1,2,7,8" for name in source.ids]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,x0,y0,x1,y1", *boxes]))
    text = path.read_text().replace('source = "pictures"', 'source = "pictures"\nregions = "boxes.csv"')
    path.write_text(text)
    plan = plan_of(read_study(path), tmp_path / "store")
    assert set(map(tuple, plan.source.sizes.tolist())) == {(6, 6)}
    assert plan.study.data != once(source).digest
    write_splits(tmp_path / "splits.json", list(plan.splits.values()), plan.source)
    path.write_text(text.replace("regions", 'splits_from = "splits.json"\nregions'))
    assert plan_of(read_study(path), tmp_path / "store").splits == plan.splits


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"folds": 1}, "greater than or equal to 2"),
        ({"folds": 5, "test_fraction": 0.3}, "a fold is the test part"),
        ({"folds": 5, "vary": ("order",)}, "only one fold would ever test"),
        ({"train_per_class": 5, "long_tail": (9, 3)}, "give one of them"),
        ({"train_per_class": 0}, "greater than or equal to 1"),
        ({"groups": "near"}, "'given', 'near-copies' or 'none'"),
    ],
)
def test_protocols_that_contradict_themselves(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Protocol(**fields)


@pytest.mark.parametrize("budget", [None, 0.001])
def test_a_file_of_splits_is_read_once_for_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: float | None
) -> None:
    from handful.study import plan as planning

    source = once(open_source(digits()))
    drawn = list(plan_of(tiny(repeats=5), tmp_path).splits.values())
    write_splits(tmp_path / "splits.json", drawn, source)
    seen: list[object] = []

    def counted(*given: object) -> object:
        seen.append(given)
        return read_splits(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(planning, "read_splits", counted)
    plan = plan_of(tiny(repeats=None, splits_from=tmp_path / "splits.json"), tmp_path, budget)
    assert len(seen) == 1
    assert list(plan.splits.values())[:5] == drawn[: plan.repeats]
