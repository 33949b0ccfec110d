"""Which measure predicted usefulness: the correlation, its interval under independence, and what is too little."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from handful.study.measure_rows import change_rows
from handful.study.measured import MEASURES
from handful.study.predicts import predictors, rank_correlation


def columns(seed: int, repeats: int, classes: int, drive: float = 0.0):
    """A measure, a change in recall in steps as few test pictures give, and the repeats; both move with the repeat."""
    stream = np.random.default_rng(seed)
    group = np.repeat(np.arange(repeats), classes)
    shift = stream.normal(size=(2, repeats))[:, group]
    value = stream.normal(size=len(group)) + 0.5 * shift[0]
    change = (
        drive * value + stream.normal(size=len(group)) * (0.05 if drive else 1.0) + (0 if drive else 0.5 * shift[1])
    )
    return value, np.round(4 * change) / 4, group


def test_a_measure_that_drives_the_recall_is_found():
    for sign in (1, -1):
        made = rank_correlation(*columns(0, 8, 10, drive=sign))
        assert made.rho is not None
        assert sign * made.rho > 0.95
        assert made.predicts
        assert min(sign * bound for bound in made.interval) > 0.85


def test_rho_is_spearmans():
    value, change, group = columns(1, 6, 7)
    assert rank_correlation(value, change, group).rho == pytest.approx(spearmanr(value, change).statistic, abs=1e-12)


@pytest.mark.parametrize(("repeats", "classes"), [(5, 4), (10, 12)])
def test_an_unrelated_measure_is_found_about_as_often_as_the_level_says(repeats, classes, monkeypatch):
    monkeypatch.setattr("handful.study.predicts.BOOTSTRAPS", 300)
    held = [
        not rank_correlation(*columns(seed, repeats, classes), level=0.9, seed=seed).predicts for seed in range(400)
    ]
    assert 0.87 <= np.mean(held) <= 0.97


def test_rows_of_one_repeat_count_as_one_draw():
    """The same rows twenty times within each repeat say no more than once."""
    value, change, group = columns(3, 6, 8)
    once, often = (
        rank_correlation(value, change, group),
        rank_correlation(*(np.repeat(c, 20) for c in (value, change, group))),
    )
    assert often.rho == pytest.approx(once.rho, abs=1e-9)
    assert often.interval == pytest.approx(once.interval, abs=0.01)


def test_fewer_than_five_repeats_have_no_interval_and_say_so():
    made = rank_correlation(*columns(0, 4, 10))
    assert made.rho is not None
    assert (made.interval, made.predicts, made.reason) == (None, False, "4 repeats; an interval needs 5")


def test_what_is_not_defined_is_not_a_number():
    value, change, group = columns(0, 5, 10)
    assert rank_correlation(np.zeros(50), change, group).reason == "the measure is the same in every row"
    assert rank_correlation(value, np.zeros(50), group).reason == "the recall is the same in every row"
    assert rank_correlation(value[:7], change[:7], group[:7]).reason == "7 rows; a correlation needs 8"
    with pytest.raises(ValueError, match="give one of each per row"):
        rank_correlation(value, change[:7], group)


def test_the_same_seed_gives_the_same_interval():
    given = columns(2, 6, 8)
    assert rank_correlation(*given, seed=3) == rank_correlation(*given, seed=3) != rank_correlation(*given, seed=4)


def test_each_measure_uses_the_rows_that_have_it():
    value, change, group = columns(4, 6, 8, drive=1)
    rows = [
        {"repeat": int(g), "change": float(c), "a": float(v), "b": float(v) if g else None, "c": None}
        for v, c, g in zip(value, change, group, strict=True)
    ]
    a, b, c = predictors(rows, ("a", "b", "c"), level=0.95, seed=0)
    assert (a["rows"], b["rows"], c["rows"]) == (48, 40, 0)
    assert (a["predicts"], c["rho"], c["predicts"]) == (True, None, False)


def test_the_change_is_that_of_the_class_s_recall_in_the_same_repeat():
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    wrong = np.array([0, 1, 1, 1, 1, 1, 0])

    def predicted(classes):
        return {"labels": labels, "probs": np.eye(3)[classes]}

    found = {
        repeat: {
            "rows": [
                {"class": label, "moment": moment, "measure": "kernel", "value": 10 * label + repeat}
                for label in (None, 0, 1)
                for moment in ("before", "after")
                if label is not None
            ]
        }
        for repeat in (0, 1, 2)
    }
    rows = list(change_rows(found, {0: predicted(labels), 1: predicted(wrong)}, {0: predicted(wrong)}, 3))
    assert [(row["repeat"], row["class"], row["change"], row["kernel"]) for row in rows] == [
        (0, 0, 0.75, 0),
        (0, 1, 0.0, 10),
    ]
    assert set(MEASURES) <= set(rows[0])
