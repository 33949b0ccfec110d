"""The stage `measures`: numbers before and after selection, their scale, and that they influence nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plan_and_run import plan_of

from handful import Arm, Interpolation, Result
from handful.errors import ConfigError
from handful.measure.manifold import coverage
from handful.study import stages
from handful.study.arms import arm_named
from handful.study.estimate import MEASURED, SMALL_JOB, measure_seconds
from handful.study.measured import MEASURES, MOST, Sets, get_measures, numbers
from handful.study.run import run
from handful.study.stored import get_candidates, get_images, get_ledger
from tiny_study import stages as stages_of
from tiny_study import tiny

MIX = Arm("mix", generator=Interpolation(alpha=0.2), add=8, selection="ssim")
COPIES = Arm("copies", generator=Interpolation(alpha=0.001), add=8, gate="none")
ALONE = MIX.changed(name="mix+synthetic-only", real=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Result:
    study = tiny("baseline", MIX, COPIES, ALONE, measures="pixels", repeats=2)
    result = run(study, tmp_path_factory.mktemp("measured") / "store", engine="serial", budget=None, device="cpu")
    assert result.failed == []
    return result


def test_measures_are_a_job_per_arm_with_a_generator_and_change_no_other_key():
    jobs = {}
    for extractor in ("none", "pixels"):
        plan = plan_of(tiny("baseline", MIX, measures=extractor))
        jobs[extractor] = {job.key: job.stage for job in plan.jobs}
    more = jobs["pixels"].keys() - jobs["none"].keys()
    assert jobs["none"].keys() < jobs["pixels"].keys()
    assert sorted(jobs["pixels"][key] for key in more) == ["embedding", "measures", "measures"]


def test_the_default_extractor_is_the_one_that_is_installed(monkeypatch):
    monkeypatch.setattr("handful.study.measured.installed_extractor", lambda: None)
    assert plan_of(tiny("baseline", measures=None)).study.measures == "pixels"
    monkeypatch.setattr("handful.study.measured.installed_extractor", object)
    assert plan_of(tiny("baseline", measures=None)).study.measures == "lite0"


def test_an_unknown_extractor_is_named():
    with pytest.raises(ConfigError, match=r"measures: unknown extractor 'lite'; did you mean 'lite0'\?.*none measures"):
        tiny("baseline", measures="lite")


def test_a_value_is_that_of_the_measure_on_the_candidates_and_on_those_kept(measured):
    key = measured.keys("mix", "synthetic")[0]
    candidates, ledger = get_candidates(measured.store, key), get_ledger(measured.store, key)
    split = measured.store.arrays(measured.page["splits"][0]["key"])
    train = get_images(measured.store, measured.store.record(key)["inputs"]["images"]).take(split["train"])
    made = get_measures(measured.store, measured.keys("mix", "measures")[0])
    assert made["extractor"] == "pixels/rgb/as-given"

    def flat(images):
        return np.repeat(images.pixels.reshape(len(images), -1) / np.float32(255), 3, axis=1)

    for moment, rows in (("before", slice(None)), ("after", ledger.kept)):
        mine = candidates.take(np.arange(len(candidates))[rows]).of_class(1)
        (row,) = (
            row for row in made["rows"] if (row["class"], row["moment"], row["measure"]) == (1, moment, "coverage")
        )
        assert row["num_synthetic"] == len(mine)
        assert row["value"] == coverage(real=flat(train.of_class(1)), synthetic=flat(mine))
        assert set(row["scaled"] or ()) >= {"value", "floor", "copies", "noise"} or row["scaled"] is None


def test_every_measure_has_a_row_before_and_after_for_every_class_and_pooled(measured):
    rows = measured.measures("mix")
    found = {(row["class"], row["moment"], row["measure"]) for row in rows}
    classes = (None, "zero", "one", "two")
    assert found == {(label, moment, name) for label in classes for moment in ("before", "after") for name in MEASURES}
    assert all(row["value"] is not None or row["fault"] for row in rows)
    assert {row["extractor"] for row in rows if row["measure"] == "ssim"} == {""}
    assert {row["extractor"] for row in rows if row["measure"] == "kernel"} == {"pixels/rgb/as-given"}


def test_the_pooled_scale_lies_between_real_pictures_and_noise(measured):
    rows = {row["measure"]: row for row in measured.measures("mix") if not row["class"] and row["moment"] == "after"}
    kernel = rows["kernel"]["scaled"]
    assert kernel["copies"] < kernel["floor"] < kernel["noise"]
    assert kernel["blind"]
    assert rows["near_copies"]["scaled"]["copies"] == 1
    assert not rows["near_copies"]["scaled"]["blind"]
    assert rows["authenticity"]["scaled"]["copies"] == 0


def test_copies_are_found_and_shown_as_pairs(measured):
    shares = {
        arm: next(
            row["value"]
            for row in measured.measures(arm)
            if (row["class"], row["moment"], row["measure"]) == (None, "after", "near_copies")
        )
        for arm in ("mix", "copies")
    }
    assert shares["copies"] > 0.9 > shares["mix"]
    pooled = [row for row in measured.audits("copies") if row["class"] is None]
    assert [row["repeat"] for row in pooled] == [0, 1]
    assert all(row["p"] < 0.01 for row in pooled)
    made = get_measures(measured.store, measured.keys("copies", "measures")[0])
    key = measured.keys("copies", "synthetic")[0]
    images = get_images(measured.store, measured.store.record(key)["inputs"]["images"])
    candidates = get_candidates(measured.store, key)
    assert len(made["pairs"]) == 8
    for pair in made["pairs"]:
        near = candidates.pixels[pair["candidate"]].astype(int) - images.pixels[pair["real"]]
        assert np.abs(near).max() <= 30
    assert [pair["ratio"] for pair in made["pairs"]] == sorted(pair["ratio"] for pair in made["pairs"])


def test_at_most_a_hundred_candidates_of_a_class_are_measured(tmp_path):
    many = Arm("many", generator=Interpolation(), add=MOST + 5, gate="none")
    result = run(tiny("baseline", many, measures="pixels", repeats=1), tmp_path / "store", engine="serial", budget=None)
    assert {row["num_synthetic"] for row in result.measures("many") if row["class"]} == {MOST}


def test_arms_that_share_their_pictures_share_the_measures(tmp_path):
    study = tiny("baseline", MIX, MIX.changed(name="both", augment={"rotation": 5.0}), measures="pixels", repeats=1)
    result = run(study, tmp_path / "store", engine="serial", budget=None)
    assert stages_of(tmp_path / "store")["measures"] == 1
    assert result.measures("mix") == result.measures("both") != []


def test_a_failed_measure_does_not_take_the_score_with_it(tmp_path, monkeypatch):
    def broken(*given):
        raise RuntimeError("no features today")

    monkeypatch.setitem(stages.STAGES, "measures", replace(stages.STAGES["measures"], run=broken))
    result = run(tiny("baseline", MIX, measures="pixels"), tmp_path / "store", engine="serial", budget=None)
    assert {one["stage"] for one in result.failed} == {"measures"}
    assert result.measures("mix") == []
    assert len(result.scores("mix")["accuracy"]["values"]) == 2


def test_the_json_of_a_study_holds_the_measures(measured):
    told = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert [bool(arm["measures"]) for arm in told["arms"]] == [False, True, True, True]
    assert [row["measure"] for row in told["predicts"]] == list(MEASURES)
    assert {row["interval"] for row in told["predicts"]} == {None}
    assert all(row["reason"] for row in told["predicts"])


def test_synthetic_only_is_a_part_of_a_name_and_replaces_every_real_picture(tmp_path: Path):
    arm = arm_named("interpolate+synthetic-only")
    assert (arm.real, arm.amount) == (False, {"replace": 1})
    with pytest.raises(ConfigError, match="real=False needs a generator"):
        arm_named("augment+synthetic-only")
    alone = arm.changed(gate="none")
    result = run(tiny("baseline", alone, repeats=1), tmp_path / "store", engine="serial", budget=None)
    assert result.failed == []
    made = result.synthetic("interpolate+synthetic-only")
    assert made.counts.tolist() == [row["train"] for row in result.classes]
    assert result.costs("interpolate+synthetic-only")["train"] == made.counts.tolist()


def test_the_time_that_measuring_takes_grows_with_the_candidates():
    study = tiny("baseline", MIX, MIX.changed(name="many", add=500), COPIES, measures="lite0", repeats=1)
    plan = plan_of(study)
    found = {
        arm: measure_seconds(plan, arm, job)
        for (arm, _), jobs in plan.jobs_by_arm().items()
        for job in jobs
        if job.stage == "measures"
    }
    assert found.keys() == {"mix", "many", "copies"}
    picture = MEASURED["lite0"]
    assert found["many"] - found["copies"] == pytest.approx(picture * 3 * (MOST - 8))
    assert found["mix"] == pytest.approx(SMALL_JOB + picture * 3 * MIX.selection.num_candidates(8))


def test_classes_of_one_picture_and_without_a_test_part_have_no_number_but_a_reason():
    stream = np.random.default_rng(0)

    def sets(real: int, held_out: int) -> Sets:
        sizes = {"real": real, "synthetic": 9, "held_out": held_out, "noise": 9}
        pictures = {name: stream.integers(0, 256, (num, 1, 8, 8), dtype=np.uint8) for name, num in sizes.items()}
        return Sets(pictures, {name: made.reshape(-1, 64) / np.float32(255) for name, made in pictures.items()})

    one, unseen = sets(1, 5), sets(9, 0)
    rows = {row["measure"]: row for row in numbers(one, one, 0)}
    assert rows["kernel"]["value"] is None
    assert "at least 2 pictures" in rows["kernel"]["fault"]
    assert rows["vendi"]["value"] > 1
    rows = {row["measure"]: row for row in numbers(unseen, unseen, 0)}
    assert {row["scaled"] for row in rows.values()} == {None}
    assert rows["kernel"]["value"] is not None
    assert "0 held_out" in rows["data_copying"]["fault"]
