"""Goals of classes and calibration: judged by the interval, thresholds chosen on validation alone; the tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_score, recall_score

import handful
from handful import Result
from handful.calibration import at_temperature, expected_calibration_error, fit_temperature
from handful.compare import compare
from handful.errors import ConfigError
from handful.study.calibrated import calibration_of
from handful.study.goals import Goal, goal_rows, read_goals, threshold_for, with_threshold
from handful.study.tables import write_tables
from tiny_study import NAMES, tiny


def said(seed: int, num: int, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of three classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 3
    logits = rng.normal(size=(num, 3)) + gain * np.eye(3)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def study(gain: float, repeats: int = 5) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Test probabilities [R, m, K], labels and the validation parts."""
    labels = said(0, 90)[0]
    probs = np.stack([said(seed, 90, gain)[1] for seed in range(repeats)])
    return probs, labels, [said(100 + seed, 60, gain) for seed in range(repeats)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("measure", "goal"), [("recall", 0.9), ("precision", 0.8), ("f1", 0.5)])
def test_a_threshold_reaches_its_goal_at_the_highest_accuracy(seed: int, measure: str, goal: float) -> None:
    labels, probs = said(seed, 60, 1.5)
    found = threshold_for(labels, probs, 1, measure, goal)
    assert found is not None
    reaching = {}
    for threshold in np.unique(probs[:, 1]):
        predicted = with_threshold(probs, 1, threshold)
        recall, precision = (
            function(labels, predicted, labels=[1], average=None, zero_division=0)[0]
            for function in (recall_score, precision_score)
        )
        values = {
            "recall": recall,
            "precision": precision,
            "f1": 2 * recall * precision / max(recall + precision, 1e-9),
        }
        if values[measure] >= goal - 1e-12:
            reaching[float(threshold)] = (predicted == labels).mean()
    best = [threshold for threshold, accuracy in reaching.items() if accuracy == max(reaching.values())]
    assert found == (min(best) if measure == "recall" else max(best))


def test_where_no_threshold_reaches_a_goal_there_is_none() -> None:
    labels, probs = said(0, 60, 0.0)
    assert threshold_for(labels, probs, 1, "f1", 0.99) is None
    assert threshold_for(np.zeros(60, dtype=int), probs, 1, "recall", 0.1) is None


def test_below_its_threshold_a_class_gives_way_to_the_best_other() -> None:
    probs = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5]])
    np.testing.assert_array_equal(with_threshold(probs, 0, 0.25), [0, 1, 0])
    np.testing.assert_array_equal(with_threshold(probs, 0, 0.6), [1, 1, 2])


@pytest.mark.parametrize(("gain", "word"), [(6.0, "pass"), (0.0, "fail"), (1.9, "cannot tell")])
def test_the_interval_judges_a_goal(gain: float, word: str) -> None:
    (row,) = goal_rows({"b": Goal(recall=0.8)}, "abc", *study(gain))
    low, high = row["interval"]
    assert row["word"] == word == ("pass" if low >= 0.8 else "fail" if high < 0.8 else "cannot tell")
    assert low <= row["value"] <= high


def test_what_a_threshold_gives_and_costs_is_measured_on_test() -> None:
    probs, labels, validation = study(1.5)
    (row,) = goal_rows({"b": Goal(recall=0.95)}, "abc", probs, labels, validation)
    values = [threshold_for(*part, 1, "recall", 0.95) for part in validation]
    made = row["threshold"]
    assert made["values"] == values
    predicted = [with_threshold(one, 1, value) for one, value in zip(probs, values, strict=True) if value is not None]
    assert made["recall"] == pytest.approx(np.mean([recall_score(labels == 1, one == 1) for one in predicted]))
    assert made["precision"] == pytest.approx(np.mean([precision_score(labels == 1, one == 1) for one in predicted]))
    assert made["accuracy"] == pytest.approx(np.mean(np.array(predicted) == labels))
    assert made["accuracy_change"] == pytest.approx(made["accuracy"] - np.mean(probs.argmax(axis=2) == labels))
    assert made["recall"] > row["value"]
    assert made["accuracy_change"] < 0
    low, high = made["accuracy_change_interval"]
    paired = compare(np.array(predicted), probs.argmax(axis=2), labels, score="accuracy", num_classes=3)
    assert (low, high) == pytest.approx(tuple(paired.interval))
    assert low < made["accuracy_change"] < high
    (alone,) = goal_rows({"b": Goal(recall=0.95)}, "abc", probs[:1], labels, validation[:1])
    assert alone["threshold"]["accuracy_change_interval"] is None


def test_without_validation_there_is_neither_threshold_nor_temperature() -> None:
    probs, labels, _ = study(1.0)
    nothing = [(np.zeros(0, dtype=int), np.zeros((0, 3)))] * 5
    for validation in (nothing, []):
        (row,) = goal_rows({"b": Goal(recall=0.9)}, "abc", probs, labels, validation)
        assert (row["threshold"], row["reason"]) == (None, "no validation part to choose a threshold by")
        made = calibration_of(probs, labels, validation)
        assert made["temperatures"] is made["after"] is made["change"] is None
        assert made["before"]["ece"]["interval"]


def test_calibration_is_that_of_each_repeat_at_the_temperature_of_its_own_validation() -> None:
    probs, labels, validation = study(2.0)
    made = calibration_of(probs, labels, validation)
    temperatures = [fit_temperature(*part).value for part in validation]
    assert made["temperatures"] == temperatures
    after = [at_temperature(one, value) for one, value in zip(probs, temperatures, strict=True)]
    for when, said_then in (("before", probs), ("after", after)):
        each = [expected_calibration_error(labels, one) for one in said_then]
        assert made[when]["ece"]["mean"] == pytest.approx(np.mean(each))
        assert sum(made[when]["bins"]["count"]) == 5 * 90
    change = made["after"]["ece"]["mean"] - made["before"]["ece"]["mean"]
    assert made["change"]["ece"]["difference"] == pytest.approx(change)


def test_each_bin_has_limits_for_the_different_pictures_in_it() -> None:
    labels = np.arange(40) % 2
    probs = np.full((2, 40, 2), np.nan)
    probs[0, :30] = probs[1, 10:] = (0.75, 0.25)  # all in one bin; half of the answers are right
    bins = calibration_of(probs, labels, [])["before"]["bins"]
    full = int(np.argmax(bins["count"]))
    assert bins["count"][full] == 60
    theirs = binomtest(20, 40).proportion_ci(0.95, "wilson")
    assert (bins["low"][full], bins["high"][full]) == pytest.approx(tuple(theirs))
    assert [bins["low"][place] for place in range(15) if place != full] == [None] * 14


def test_goals_are_read_from_lines() -> None:
    lines = ["a:recall>=0.9", "must: stop:precision>=.5", "a:f1 >= 0.3"]
    assert read_goals(lines) == {"a": {"recall": 0.9, "f1": 0.3}, "must: stop": {"precision": 0.5}}
    with pytest.raises(ConfigError) as caught:
        read_goals(["a:recall>0.9", "a:recal>=0.9", "a:recall>=90"])
    assert len(caught.value.faults) == 3
    assert "did you mean 'recall'?" in caught.value.faults[1]


def test_a_goal_for_a_class_that_is_not_there_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"goals: unknown class 'zeroo'; did you mean 'zero'\?"):
        handful.run(tiny(goals={"zeroo": {"recall": 0.9}}), tmp_path / "store", engine="serial", device="cpu")
    assert not (tmp_path / "store").exists()
    with pytest.raises(ConfigError, match="names at least one of recall, precision and f1"):
        tiny(goals={"zero": {}})


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    goals = {"zero": {"recall": 0.9, "f1": 0.2}}
    made = tiny("baseline", "oversample", goals=goals)
    return handful.run(made, tmp_path_factory.mktemp("goals") / "store", engine="serial", device="cpu")


def test_a_goal_changes_no_job_and_no_digest(result: Result) -> None:
    plain = tiny("baseline", "oversample")
    again = handful.run(plain, result.store.root, engine="serial", device="cpu")
    assert again.page["digest"] == result.page["digest"]
    assert [job["key"] for job in again.page["jobs"]] == [job["key"] for job in result.page["jobs"]]
    assert again.goals("baseline") == []
    assert [row["measure"] for row in result.goals("baseline")] == ["recall", "f1"]
    assert result.to_json()["arms"][0]["goals"] == result.goals("baseline")
    assert result.to_json()["arms"][0]["calibration"] == result.calibration("baseline")


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_hold_what_the_result_computes(result: Result, tmp_path: Path) -> None:
    paths = write_tables(result, tmp_path / "csv")
    names = ["scores", "scores_by_repeat", "comparisons", "per_class", "per_class_validation", "calibration"]
    names += ["temperatures", "goals", "confusion_baseline", "confusion_oversample"]
    assert [path.stem for path in paths] == names
    for row in read(tmp_path / "csv" / "scores.csv"):
        made = result.scores(row["arm"])[row["score"]]
        assert float(row["mean"]) == made["mean"]
        assert [row["low"], row["high"]] == [str(bound) for bound in made["interval"] or ("", "")]
    table = read(tmp_path / "csv" / "confusion_baseline.csv")
    assert [[int(row[name]) for name in NAMES] for row in table] == result.confusion("baseline").tolist()
    assert {row["class"] for row in read(tmp_path / "csv" / "per_class.csv")} == set(NAMES)
    goals = read(tmp_path / "csv" / "goals.csv")
    assert len(goals) == 4
    assert {"at_threshold_accuracy_change_low", "at_threshold_accuracy_change_high"} <= set(goals[0])
    bins = read(tmp_path / "csv" / "calibration.csv")
    assert all((row["low"] != "") == (row["high"] != "") == (row["count"] != "0") for row in bins)
    assert {(row["arm"], row["when"]) for row in bins} == {
        (arm, when) for arm in ("baseline", "oversample") for when in ("before", "after")
    }
