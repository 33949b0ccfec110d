"""Arms, what they add to the training part, and axes that make several of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plan_and_run import faults_of, plan_of, ran

import handful
from handful import VAE, Arm, Augmentation, BestSSIM, Interpolation, Study, View
from handful.data.balance import amounts
from handful.study.arms import ARMS, arm_named
from handful.study.stored import get_ledger, get_synthetic
from tiny_study import VAE_ARM, digits, stages, tiny

# arms


def test_the_default_arms_are_the_first_seven_of_the_table() -> None:
    names = ["baseline", "class-weights", "oversample", "augment", "interpolate", "vae", "default"]
    plan = plan_of(Study(digits()))
    assert [arm.name for arm in plan.study.arms] == names == list(ARMS)[:7]
    assert plan.repeats == 10
    assert plan.study.protocol.reference == "baseline"
    assert plan.study.classifier.view == View(size=8, channels=1)
    changed = {arm.name: plan.study.classifier_of(arm) for arm in plan.study.arms}
    same = changed.pop("baseline")
    assert same == plan.study.classifier
    assert changed["class-weights"] == same.changed(balance="class-weights")
    assert changed["oversample"] == same.changed(balance="oversample")
    assert changed["augment"] == same.changed(augment=Augmentation())
    assert changed["interpolate"] == changed["vae"] == same
    assert changed["default"] == same.changed(augment=changed["default"].augment)
    assert changed["default"].augment is not None


def test_named_arms_compose() -> None:
    made = arm_named("augment+vae")
    assert made == Arm("augment+vae", augment=ARMS["augment"].augment, generator=ARMS["vae"].generator)
    study = tiny("baseline", "augment + oversample")
    assert study.arms[1] == Arm("augment+oversample", augment=Augmentation(), balance="oversample")
    assert Study(digits(), arms="baseline, augment+vae").arms == (ARMS["baseline"], made)


def test_parts_that_change_the_same_thing_conflict() -> None:
    (fault,) = faults_of(lambda: tiny("class-weights+oversample"))
    assert "arm 'class-weights+oversample': two of its parts set balance" in fault
    assert "set generator" in faults_of(lambda: tiny("interpolate+vae"))[0]


def test_every_unknown_arm_is_named_with_the_nearest_one() -> None:
    faults = faults_of(lambda: tiny("baselin", "augment+vea", "vae"))
    assert len(faults) == 2
    assert "unknown arm 'baselin'; did you mean 'baseline'?" in faults[0]
    assert "unknown arm 'vea'; did you mean 'vae'? (allowed: baseline, " in faults[1]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"add": 5}, "add needs a generator"),
        ({"real": False, "fill_to": 9}, "fill_to, real=False needs a generator"),
        ({"selection": BestSSIM()}, "selection needs a generator"),
        ({"judged_by": "reconstruction"}, "judged_by='reconstruction' needs a generator"),
        ({"generator": VAE(), "add": 5, "fill_to": 9}, "fill_to and add are 2 rules for one amount"),
        ({"generator": "vaee"}, "unknown generator 'vaee'; did you mean 'vae'?"),
        ({"balnce": "oversample"}, "unknown key 'balnce'; did you mean 'balance'?"),
        ({"generator": VAE(), "add": 0}, "greater than or equal to 1, got 0"),
    ],
)
def test_an_arm_that_makes_no_sense_is_refused(fields: dict[str, Any], fault: str) -> None:
    (found,) = faults_of(lambda: Arm("mine", **fields))
    assert fault in found


def test_a_study_without_its_reference_or_with_a_name_twice_is_refused() -> None:
    (fault,) = faults_of(lambda: plan_of(tiny("augment", "vae", reference="augmnt")))
    assert fault == "unknown reference arm 'augmnt'; did you mean 'augment'? (allowed: augment, vae)"
    assert "two arms are called vae" in faults_of(lambda: tiny("vae", VAE_ARM))[0]
    assert "no arms" in faults_of(lambda: Study(digits(), arms=[]))[0]
    assert plan_of(tiny("augment", "vae", reference="vae")).study.protocol.reference == "vae"


def test_a_family_that_rebuilds_nothing_cannot_be_judged_by_it() -> None:
    arm = Arm("mixed", generator=Interpolation(), judged_by="reconstruction")
    assert faults_of(lambda: plan_of(tiny("baseline", arm))) == ("arm 'mixed': 'interpolate' rebuilds nothing",)


# amounts


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"fill_to": "largest"}, [0, 14, 17]),
        ({"fill_to": 10}, [0, 4, 7]),
        ({"fill_to": 30}, [10, 24, 27]),
        ({"fill_to": 1}, [0, 0, 0]),
        ({"add": 7}, [7, 7, 7]),
    ],
)
def test_amounts_never_take_a_real_picture_away(rule: dict[str, Any], wanted: list[int], tmp_path: Path) -> None:
    """Training has 20, 6 and 3 pictures."""
    assert amounts(np.array([20, 6, 3]), rule).tolist() == wanted
    arm = Arm("mixed", generator=Interpolation(), **({} if rule == {"fill_to": "largest"} else rule))
    assert arm.amount == rule
    study = tiny("baseline", arm, source=digits(31, 9, 5), repeats=1)
    result = ran(study, tmp_path / "store")
    assert [one["train"] for one in result.classes] == [20, 6, 3]
    synthetic = result.synthetic("mixed")
    assert synthetic.counts.tolist() == wanted
    assert not synthetic.origin.real.any()
    assert result.costs("mixed")["train"] == (np.array([20, 6, 3]) + wanted).tolist()
    assert result.costs("baseline")["train"] == [20, 6, 3]


def test_an_arm_without_real_pictures_trains_on_synthetic_ones_only(tmp_path: Path) -> None:
    arm = Arm("synthetic only", generator=Interpolation(), add=6, real=False)
    result = ran(tiny("baseline", arm, repeats=1), tmp_path / "store")
    assert result.costs("synthetic only")["train"] == [6, 6, 6]
    key = result.keys("synthetic only", "classifier")[0]
    record = result.store.record(key)["result"]
    assert record["val"] == [3, 3, 3]
    seen = handful.load_classifier(result.store.folder(key)).seen
    made = result.synthetic("synthetic only").origin.content.tolist()
    split = result.store.arrays(result.page["splits"][0]["key"])
    content = handful.LabeledImages.of_arrays(*digits()).origin.content
    assert seen == frozenset(made) | frozenset(content[split["val"]].tolist())


def test_an_arm_judged_by_reconstruction_has_no_classifier(tmp_path: Path) -> None:
    arm = VAE_ARM.changed(name="rebuilt", add=None, judged_by="reconstruction")
    result = ran(tiny("baseline", arm, repeats=2), tmp_path / "store")
    assert stages(tmp_path / "store") == {
        "images": 1, "split": 2, "generator": 2, "classifier": 2, "predictions": 2, "reconstruction": 2,
    }  # fmt: skip
    assert set(result.scores("rebuilt")) == {"reconstruction_mse"}
    assert all(0 < value < 1 for value in result.scores("rebuilt")["reconstruction_mse"]["values"])


def test_a_selection_keeps_the_candidates_with_the_highest_scores(tmp_path: Path) -> None:
    arm = Arm("chosen", generator=Interpolation(), add=4, selection=BestSSIM(candidates=2.0))
    result = ran(tiny("baseline", arm, repeats=1), tmp_path / "store")
    key = result.keys("chosen", "synthetic")[0]
    ledger = get_ledger(result.store, key)
    assert ledger.kept.sum() == 12
    for label in range(3):
        mine = (ledger.labels == label) & np.isfinite(ledger.scores["ssim"])
        assert mine.sum() >= 8
        kept, left = ledger.scores["ssim"][mine & ledger.kept], ledger.scores["ssim"][mine & ~ledger.kept]
        assert kept.min() >= left.max()
    made = get_synthetic(result.store, key, result.class_names)
    assert made.origin.seed.tolist() == ledger.seeds[ledger.kept].tolist()


# axes


def test_axes_expand_to_arms() -> None:
    arms = plan_of(tiny("baseline", VAE_ARM.changed(add=None), axes={"vae.add": (50, 100)})).study.arms
    assert [arm.name for arm in arms] == ["baseline", "vae add=50", "vae add=100"]
    assert [arm.add for arm in arms] == [None, 50, 100]
    assert arms[1].generator == VAE_ARM.generator


def test_an_axis_of_two_rates_names_its_arms_by_both() -> None:
    arms = plan_of(tiny("baseline", "augment", axes={"augment.dropout": ([0.1, 0.5], 0.2)})).study.arms
    assert [arm.name for arm in arms] == ["baseline", "augment dropout=0.1-0.5", "augment dropout=0.2"]
    assert arms[1].dropout == (0.1, 0.5)


def test_two_axes_make_every_combination() -> None:
    axes = {"vae.add": [5, 9], "vae.generator.beta": [0.5, 2.0]}
    arms = plan_of(tiny("baseline", VAE_ARM, axes=axes)).study.arms[1:]
    assert [(arm.add, arm.generator.beta) for arm in arms] == [(5, 0.5), (5, 2.0), (9, 0.5), (9, 2.0)]
    assert arms[0].name == "vae add=5 beta=0.5"


def test_an_axis_of_the_classifier_changes_it_for_its_arm_alone() -> None:
    plan = plan_of(tiny("baseline", "augment", axes={"augment.classifier.training.lr": (0.1, 0.2)}))
    assert [plan.study.classifier_of(arm).training.lr for arm in plan.study.arms] == [0.001, 0.1, 0.2]
    assert plan.study.classifier_of(plan.study.arms[1]).view == plan.study.classifier_of(plan.study.arms[0]).view
    plan = plan_of(tiny("baseline", reference="baseline lr=0.1", axes={"baseline.classifier.training.lr": (0.1,)}))
    assert plan.study.arm("baseline lr=0.1").classifier.training.lr == 0.1


@pytest.mark.parametrize(
    ("axes", "fault"),
    [
        ({"vaee.add": (1,)}, "axes: 'vaee.add': unknown arm 'vaee'; did you mean 'vae'?"),
        ({"vae.ad": (1,)}, "axes: 'vae.ad': unknown field 'ad'; did you mean 'add'?"),
        ({"vae.generator.bta": (1.0,)}, "axes: 'vae.generator.bta': unknown field 'bta'; did you mean 'beta'?"),
        ({"vae": (1,)}, "axes: 'vae': expected 'ARM.FIELD' and one value or more"),
        ({"vae.add": ()}, "axes: 'vae.add': expected 'ARM.FIELD' and one value or more"),
        ({"vae.add": (-1,)}, "got -1"),
    ],
)
def test_an_axis_that_fits_nothing_is_an_error(axes: dict[str, Any], fault: str) -> None:
    (found,) = faults_of(lambda: plan_of(tiny("baseline", VAE_ARM, axes=axes)))
    assert fault in found
