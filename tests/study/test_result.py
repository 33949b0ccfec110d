"""Every number of a result equals what scikit-learn makes of the stored probabilities, and JSON holds them all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

import handful
from handful import Arm, Result
from handful.errors import ConfigError, StoreError
from handful.influence import PER_CLASS, estimate_probs
from handful.report.html import write_report
from handful.scores import scores_for
from handful.study.store import Store
from handful.study.versus import bounds_of
from tiny_study import NAMES, VAE_ARM, digits, tiny, write_pictures

SCORES = {
    "balanced_accuracy": balanced_accuracy_score,
    "accuracy": accuracy_score,
    "macro_f1": lambda labels, predicted: f1_score(labels, predicted, average="macro", zero_division=0),
}
OF_PROBS = {
    "log_loss": log_loss,
    "auc": lambda labels, probs: roc_auc_score(labels, probs, multi_class="ovr"),
}
ARMS = ("baseline", VAE_ARM, Arm("rebuilt", generator=VAE_ARM.generator, judged_by="reconstruction"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Five repeats of two arms with a classifier and one without."""
    training = tiny().classifier.training.changed(steps=30, lr=0.01)
    classifier = tiny().classifier.changed(training=training)
    study = tiny(*ARMS, classifier=classifier, repeats=5)
    return handful.run(study, tmp_path_factory.mktemp("result") / "store", engine="serial", device="cpu")


def stored(result: Result, arm: str) -> list[dict[str, Any]]:
    """The predictions of an arm, read from the store's files alone."""
    keys = [chain["keys"]["predictions"] for chain in result.page["chains"] if chain["arm"] == arm]
    return [dict(np.load(result.store.root / "results" / key[:2] / key / "arrays.npz")) for key in keys]


def test_json_has_every_number_under_its_name(result: Result) -> None:
    made = result.to_json()
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert {"study", "digest", "protocol", "classes", "arms", "failed"} <= set(made)
    assert made["digest"] == result.page["digest"] == result.study.digest()
    assert made["failed"] == []
    assert [set(one) for one in made["classes"]] == [{"name", "train", "val", "test"}] * 3
    assert [arm["name"] for arm in made["arms"]] == ["baseline", "vae", "rebuilt"]
    for arm in made["arms"]:
        assert {"name", "scores", "per_class", "versus_reference", "steps", "seconds"} <= set(arm)
    for arm in made["arms"][:2]:
        assert set(arm["scores"]) == set(scores_for(3)) > set(SCORES)
        for score in arm["scores"].values():
            assert set(score) == {"mean", "sd", "interval", "values"}
        for one in arm["per_class"]:
            assert set(one) == {"name", "support", *PER_CLASS, *(f"{name}_interval" for name in PER_CLASS)}
    baseline, vae, rebuilt = made["arms"]
    assert baseline["start"] == vae["start"] == {"source": "random", "digest": ""}
    assert rebuilt["start"] is None
    assert baseline["versus_reference"] is None
    assert {"reference", "difference", "interval", "p_value", "p_adjusted", "verdict"} <= set(vae["versus_reference"])
    assert vae["versus_reference"]["reference"] == "baseline"
    assert rebuilt["versus_reference"] is None
    assert rebuilt["per_class"] == []


def test_classes_are_counted_in_every_part(result: Result) -> None:
    assert result.classes == [{"name": name, "train": 13, "val": 3, "test": 4} for name in NAMES]


def test_an_arm_carries_its_cost(result: Result) -> None:
    baseline, vae, _ = result.to_json()["arms"]
    assert (baseline["steps"], baseline["pictures_seen"], baseline["generator_steps"]) == (30, 240, 0)
    assert (vae["steps"], vae["pictures_seen"], vae["generator_steps"]) == (30, 240, 4)
    keys = [key for chain in result.page["chains"] if chain["arm"] == "vae" for key in chain["keys"].values()]
    assert vae["seconds"] == pytest.approx(sum(result.store.seconds(key) for key in keys))
    assert vae["seconds"] > 0


@pytest.mark.parametrize("arm", ["baseline", "vae"])
def test_scores_are_those_of_scikit_learn(result: Result, arm: str) -> None:
    made = stored(result, arm)
    assert len(made) == 5
    for name, function in {**SCORES, **OF_PROBS}.items():
        said = [one["probs"] if name in OF_PROBS else one["probs"].argmax(axis=1) for one in made]
        values = [function(one["labels"], probs) for one, probs in zip(made, said, strict=True)]
        score = result.scores(arm)[name]
        near = 1e-6 if name in OF_PROBS else 1e-12  # the rows of float32 probabilities sum to 1 about
        assert score["values"] == pytest.approx(values, abs=near)
        assert score["mean"] == pytest.approx(np.mean(values), abs=near)
        assert score["sd"] == pytest.approx(np.std(values, ddof=1), abs=near)
        assert (score["interval"] is None) == (score["sd"] == 0), name
        if score["interval"] is not None:
            assert score["interval"][0] <= score["mean"] <= score["interval"][1]


@pytest.mark.parametrize("arm", ["baseline", "vae"])
def test_classes_are_scored_as_scikit_learn_does(result: Result, arm: str) -> None:
    tables = [
        precision_recall_fscore_support(one["labels"], one["probs"].argmax(axis=1), labels=[0, 1, 2], zero_division=0)
        for one in stored(result, arm)
    ]
    means = np.mean(tables, axis=0)
    for place, one in enumerate(result.per_class(arm)):
        assert one["name"] == NAMES[place]
        assert [one["precision"], one["recall"], one["f1"]] == pytest.approx(means[:3, place].tolist(), abs=1e-12)
        assert one["support"] == 4
    matrix = result.confusion(arm)
    assert matrix.sum(axis=1).tolist() == [20, 20, 20]
    recalls = (matrix.diagonal() / matrix.sum(axis=1)).tolist()
    assert recalls == pytest.approx([one["recall"] for one in result.per_class(arm)])


def test_the_difference_is_the_mean_of_paired_differences(result: Result) -> None:
    pairs = zip(stored(result, "vae"), stored(result, "baseline"), strict=True)
    differences = []
    for mine, base in pairs:
        assert mine["rows"].tolist() == base["rows"].tolist()
        scores = [balanced_accuracy_score(one["labels"], one["probs"].argmax(axis=1)) for one in (mine, base)]
        differences.append(scores[0] - scores[1])
    versus = result.to_json()["arms"][1]["versus_reference"]
    assert versus["difference"] == pytest.approx(np.mean(differences), abs=1e-12)
    assert versus["interval"][0] <= versus["difference"] <= versus["interval"][1]
    assert versus["p_adjusted"] >= versus["p_value"]
    assert versus["verdict"] in {"helps", "hurts", "no difference that matters", "cannot tell"}
    assert set(result.versus) == {"vae"}


def test_reconstruction_is_scored_by_its_error(result: Result) -> None:
    keys = [chain["keys"]["reconstruction"] for chain in result.page["chains"] if chain["arm"] == "rebuilt"]
    values = []
    for key in keys:
        inputs = result.store.record(key)["inputs"]
        generator = handful.load_generator(result.store.folder(inputs["generator"]))
        test = result.store.arrays(inputs["split"])["test"]
        pictures = handful.LabeledImages.of_arrays(*digits()).take(test)
        values.append((((generator.rebuild(pictures) / 255.0) - pictures.pixels / 255.0) ** 2).mean())
    score = result.scores("rebuilt")
    assert set(score) == {"reconstruction_mse"}
    assert score["reconstruction_mse"]["values"] == pytest.approx(values, abs=1e-12)
    for key in keys:
        record = result.store.record(key)
        generator = handful.load_generator(result.store.folder(record["inputs"]["generator"]))
        val = handful.LabeledImages.of_arrays(*digits()).take(result.store.arrays(record["inputs"]["split"])["val"])
        errors = ((generator.rebuild(val) / 255.0 - val.pixels / 255.0) ** 2).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(result.store.arrays(key, "val")["mse"], errors, atol=1e-12)
        (history,) = generator.history.values()
        assert record["result"] == {"val_loss": history["values"][-1]["loss"]}


def test_the_classifier_of_an_arm_answers_with_the_mean_of_its_repeats(result: Result) -> None:
    pixels = digits()[0]
    keys = result.keys("vae", "classifier")
    assert sorted(keys) == [0, 1, 2, 3, 4]
    each = [handful.load_classifier(result.store.folder(key)).predict_proba(pixels) for key in keys.values()]
    probs = result.classifier("vae").predict_proba(pixels)
    np.testing.assert_allclose(probs, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    assert np.ptp(each, axis=0).max() > 0.01


def test_the_classifier_of_an_arm_has_the_temperatures_of_its_report(result: Result, tmp_path: Path) -> None:
    """Those at a bound, here of validation parts in which every picture is right, are none."""
    calibration = result.calibration("baseline")
    assert calibration is not None
    assert all(calibration["at_bound"])
    assert result.classifier("baseline").temperatures == (None,) * 5
    short = tiny().classifier.changed(training=tiny().classifier.training.changed(steps=8))
    unsure = handful.run(tiny("baseline", classifier=short, repeats=2), tmp_path, engine="serial", device="cpu")
    calibration = unsure.calibration("baseline")
    assert calibration is not None
    assert not all(calibration["at_bound"])
    pairs = zip(calibration["temperatures"], calibration["at_bound"], strict=True)
    assert list(unsure.classifier("baseline").temperatures) == [None if bad else one for one, bad in pairs]


def test_the_best_arm_is_the_best_on_validation(result: Result) -> None:
    means = {arm: result.validation(arm)["mean"] for arm in ("baseline", "vae")}
    assert result.best == max(means, key=lambda arm: means[arm])
    assert result.classifier().about["arm"] == result.best
    for arm in means:
        for repeat, key in result.keys(arm, "classifier").items():
            val = np.load(result.store.folder(key) / "val.npz")
            value = balanced_accuracy_score(val["labels"], val["probs"].argmax(axis=1))
            assert result.validation(arm)["values"][repeat] == pytest.approx(value)
    assert result.validation("rebuilt") is None


@pytest.mark.parametrize(("score", "best"), [("log_loss", min), ("auc", max)])
def test_a_study_may_be_judged_by_any_score_in_its_own_direction(
    result: Result, monkeypatch: pytest.MonkeyPatch, score: str, best: Any
) -> None:
    made = Result.of(Store.existing(result.store.root))
    protocol = result.protocol.changed(score=score, margin=0.0)
    monkeypatch.setattr(made, "study", result.study.changed(protocol=protocol))
    versus, mine, base = made.versus["vae"], made.scores("vae")[score], made.scores("baseline")[score]
    assert versus.estimate.value == pytest.approx(mine["mean"] - base["mean"], abs=1e-9)
    low, high = versus.estimate.interval  # (nan, nan) where the arms do not differ
    helps, hurts = ("below", "above") if best is min else ("above", "below")
    side = "above" if low > 0 else "below" if high < 0 else "across"
    assert versus.verdict == {helps: "helps", hurts: "hurts", "across": "cannot tell"}[side]
    assert made.validation(made.best)["mean"] == best(made.validation(arm)["mean"] for arm in ("baseline", "vae"))


def test_a_score_that_says_nothing_of_so_few_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'top3' is 1 whatever is predicted with 3 classes; give another"):
        handful.run(tiny(score="top3"), tmp_path / "store", engine="serial", device="cpu")
    assert not (tmp_path / "store").exists()


def test_an_unknown_arm_is_an_error_with_the_nearest_name(result: Result) -> None:
    with pytest.raises(StoreError, match=r"unknown arm 'vaee'; did you mean 'vae'\?"):
        result.keys("vaee", "classifier")
    with pytest.raises(StoreError, match="no classifier has been fitted"):
        result.classifier("rebuilt")


def test_reading_a_result_computes_and_writes_nothing(result: Result) -> None:
    before = {path: path.stat().st_mtime_ns for path in result.store.root.rglob("*")}
    again = Result.of(Store.existing(result.store.root))
    assert again.to_json() == result.to_json()
    assert str(again) == result.verdict
    again.table()
    assert {path: path.stat().st_mtime_ns for path in result.store.root.rglob("*")} == before


def without(result: Result, root: Path, *gone: tuple[str, int, str]) -> Result:
    """The same result with some of its jobs not done."""
    shutil.copytree(result.store.root, root)
    store = Store.existing(root)
    keys = {(chain["arm"], chain["repeat"]): chain["keys"] for chain in result.page["chains"]}
    for arm, repeat, stage in gone:
        shutil.rmtree(store.folder(keys[arm, repeat][stage]))
    return Result.of(store)


def test_a_missing_repeat_is_left_out_of_both_sides_of_a_difference(result: Result, tmp_path: Path) -> None:
    part = without(result, tmp_path / "store", ("vae", 1, "predictions"), ("baseline", 3, "predictions"))
    whole = {arm: result.scores(arm)["balanced_accuracy"]["values"] for arm in ("baseline", "vae")}
    made = part.to_json()
    assert made["arms"][1]["scores"]["balanced_accuracy"]["values"] == [whole["vae"][one] for one in (0, 2, 3, 4)]
    versus = made["arms"][1]["versus_reference"]
    paired = [whole["vae"][one] - whole["baseline"][one] for one in (0, 2, 4)]
    assert versus["difference"] == pytest.approx(np.mean(paired), abs=1e-12)
    assert versus["verdict"] is None
    assert "3 repeats; a verdict needs 5" in part.verdict
    assert part.jobs == {"finished": 33, "failed": 0, "open": 2}
    assert [row["finished"] for row in part.progress] == [4, 4, 5]


@pytest.mark.parametrize("arm", ["baseline", "vae"])
def test_an_arm_without_a_repeat_is_shown_without_numbers(result: Result, tmp_path: Path, arm: str) -> None:
    stages = [(arm, repeat, stage) for repeat in range(5) for stage in ("predictions", "classifier")]
    part = without(result, tmp_path / "store", *stages)
    made = part.to_json()
    json.dumps(made, allow_nan=False)
    (mine,) = [one for one in made["arms"] if one["name"] == arm]
    assert mine["scores"] == {}
    assert mine["per_class"] == []
    assert all(one["versus_reference"] is None for one in made["arms"])
    assert part.verdict == "No verdict: nothing to compare yet."
    assert {row["arm"]: row["score"] for row in part.table()}[arm] is None


def test_one_repeat_has_neither_sd_nor_interval(result: Result, tmp_path: Path) -> None:
    part = without(result, tmp_path / "store", *(("vae", repeat, "predictions") for repeat in range(1, 5)))
    score = part.scores("vae")["accuracy"]
    assert (score["sd"], score["interval"]) == (None, None)
    assert score["values"] == result.scores("vae")["accuracy"]["values"][:1]
    json.dumps(part.to_json(), allow_nan=False)


def test_a_failed_job_is_listed_with_its_traceback(result: Result, tmp_path: Path) -> None:
    part = without(result, tmp_path / "store", ("vae", 2, "predictions"))
    (chain,) = [one for one in part.page["chains"] if (one["arm"], one["repeat"]) == ("vae", 2)]
    key = chain["keys"]["predictions"]
    part.store.fail(key, {"error": "OSError: full", "traceback": "Traceback ..."})
    told = {"stage": "predictions", "arm": "vae", "repeat": 2, "key": key}
    assert part.to_json()["failed"] == [{**told, "error": "OSError: full", "traceback": "Traceback ..."}]
    assert part.jobs == {"finished": 34, "failed": 1, "open": 0}


def test_fewer_than_five_repeats_give_no_verdict(tmp_path: Path) -> None:
    made = handful.run(tiny(repeats=4), tmp_path / "store", engine="serial", device="cpu")
    versus = made.versus["vae"]
    assert versus.verdict is None
    assert versus.reason == "4 repeats; a verdict needs 5"
    assert made.to_json()["arms"][1]["versus_reference"]["verdict"] is None


def test_the_mean_of_repeats_is_scored_where_they_share_a_test_part(result: Result, tmp_path: Path) -> None:
    assert result.ensemble("baseline") is None  # each repeat draws a test part of its own
    every = write_pictures(tmp_path / "every", 30, 30, 30)
    for folder in sorted(every.iterdir()):
        for place, file in enumerate(sorted(folder.iterdir())):
            target = tmp_path / "given" / ("test" if place >= 20 else "train") / folder.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
    study = tiny("baseline", source=tmp_path / "given", classifier=result.study.classifier, repeats=3)
    made = handful.run(study, tmp_path / "store", engine="serial", device="cpu")
    found = stored(made, "baseline")
    labels, mean = found[0]["labels"], np.mean([one["probs"] for one in found], axis=0)
    whole = made.ensemble("baseline")
    assert whole is not None
    assert whole["num"] == len(labels) == 30
    right = int((mean.argmax(1) == labels).sum())
    assert whole["values"]["accuracy"] == pytest.approx(right / 30)
    assert whole["values"]["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, mean.argmax(1)))
    assert whole["values"]["log_loss"] == pytest.approx(log_loss(labels, mean), rel=1e-5)
    wilson = binomtest(right, 30).proportion_ci(method="wilson")
    np.testing.assert_allclose(whole["accuracy_interval"], [wilson.low, wilson.high], atol=1e-9)
    assert made.to_json()["arms"][0]["ensemble"] == made.classifier("baseline").about["ensemble"] == whole
    page = write_report(made, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "what predicts, the mean of their probabilities, has an accuracy of its own there" in page


def test_validation_is_told_by_class_and_with_intervals(result: Result) -> None:
    parts = result.validation_parts("baseline")
    found = result.validation_probs("baseline")
    assert found is not None
    probs, labels = found
    for row, (own, given) in zip(probs, parts, strict=True):
        seen = ~np.isnan(row[:, 0])
        assert sorted(labels[seen]) == sorted(own)
        np.testing.assert_array_equal(np.sort(row[seen], axis=0), np.sort(given, axis=0))
    each = np.array(
        [
            precision_recall_fscore_support(own, given.argmax(1), labels=[0, 1, 2], zero_division=0)
            for own, given in parts
        ]
    )
    for place, row in enumerate(result.per_class("baseline", "validation")):
        np.testing.assert_allclose([row[name] for name in PER_CLASS], each[:, :3, place].mean(axis=0))
        assert row["support"] == round(each[:, 3, place].mean())
        assert row["recall_interval"][0] <= row["recall"] <= row["recall_interval"][1]
    whole = result.validation("baseline")
    assert whole is not None
    values = [balanced_accuracy_score(own, given.argmax(1)) for own, given in parts]
    assert whole["values"] == pytest.approx(values)
    assert whole["interval"] == bounds_of(estimate_probs(probs, labels, score="balanced_accuracy"))
    assert result.per_class("rebuilt", "validation") == []


def test_validation_that_a_flaw_draws_anew_is_not_laid_at_the_rows_of_the_split(tmp_path: Path) -> None:
    """Without made pictures such a part is as large as that of the split, and holds others."""
    flawed = tiny("baseline", VAE_ARM, flaws=("synthetic-in-val",), val_fraction=0.2)
    made = handful.run(flawed, tmp_path / "store", engine="serial", device="cpu")
    assert made.validation_probs("baseline") is made.validation_probs("vae") is None
    assert made.per_class("baseline", "validation") == []
    validation = made.validation("baseline")
    assert validation is not None
    assert validation["interval"] is None
