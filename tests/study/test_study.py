"""Arms, axes, budgets, splits and keys: what a study means, before and after it is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful import CNN, VAE, Arm, Augmentation, BestSSIM, Interpolation, Protocol, Result, Study, View, read_study
from handful.data.balance import amounts
from handful.errors import ConfigError
from handful.study.arms import ARMS, arm_named
from handful.study.plan import Plan, make_plan
from handful.study.run import resolution
from handful.study.store import Store
from handful.study.stored import get_ledger, get_synthetic
from tiny_study import CLASSIFIER, STUDY_FILE, VAE_ARM, digits, stages, tiny, write_study


def plan_of(study: Study, store: Path = Path("/nonexistent/store"), **given: Any) -> Plan:
    options = {"budget": None, "workers": 1, "device": "cpu", "timed": False, "say": lambda line: None, **given}
    return make_plan(study, Store(store), **options)


def ran(study: Study, store: Path, **given: Any) -> Result:
    result = handful.run(study, store, engine="serial", device="cpu", **given)
    assert result.failed == []
    return result


def keys_of(plan: Plan, arm: str, repeat: int = 0) -> dict[str, str]:
    return {job.stage: job.key for job in plan.jobs_by_arm()[arm, repeat]}


def faults_of(make: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        make()
    return error.value.faults


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


# study files


def test_a_study_file_is_the_study_in_python(tmp_path: Path) -> None:
    from_file = read_study(write_study(tmp_path))
    assert from_file.source == str(tmp_path / "pictures")
    arm = Arm("vae", add=5, generator=VAE(width=4, latent=4, training=handful.Training(steps=4, eval_every=2)))
    in_python = Study(from_file.source, arms=["baseline", arm], protocol=Protocol(repeats=2), classifier=CLASSIFIER)
    in_python = in_python.changed(measures="none", mistakes=0)
    assert plan_of(from_file).study.digest() == plan_of(in_python).study.digest()


def test_every_fault_of_a_study_file_comes_at_once(tmp_path: Path) -> None:
    text = STUDY_FILE.replace("repeats", "repeets").replace("network", "netwrk").replace("latent", "latnt")
    path = write_study(tmp_path, "sed = 3\n" + text)
    faults = faults_of(lambda: read_study(path))
    assert all(fault.startswith(f"{path}: ") and "\n" not in fault for fault in faults)
    for given, near in (("repeets", "repeats"), ("netwrk", "network"), ("latnt", "latent")):
        assert sum(f"unknown key {given!r}; did you mean {near!r}?" in fault for fault in faults) == 1, given
    assert sum("unknown key 'sed'" in fault for fault in faults) == 1


def test_a_file_that_is_missing_or_no_toml_is_an_error(tmp_path: Path) -> None:
    assert faults_of(lambda: read_study(tmp_path / "no.toml")) == (f"{tmp_path}/no.toml: no such file",)
    (tmp_path / "half.toml").write_text("source = ")
    (fault,) = faults_of(lambda: read_study(tmp_path / "half.toml"))
    assert "half.toml: not a TOML file: Invalid value (at end of document)" in fault


def test_an_arm_of_a_file_can_start_from_a_named_one(tmp_path: Path) -> None:
    text = 'source = "digits"\narms = ["baseline", {from = "augment+vae", name = "more", add = 9}]\n'
    (tmp_path / "study.toml").write_text(text)
    arm = read_study(tmp_path / "study.toml").arms[1]
    assert arm == arm_named("augment+vae").changed(name="more", add=9)


def test_weights_in_a_study_file_start_at_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
    source = "digits"
    arms = [
        "baseline",
        {name = "other", classifier = {kind = "cnn", network = {kind = "resnet18", weights = "elsewhere.pth"}}},
        {name = "random", classifier = {kind = "cnn", network = {kind = "resnet18", weights = "random"}}},
        {name = "pre", pretrain = {kind = "simclr", network = {kind = "resnet50", weights = "w.pth"}}},
    ]

    [classifier]
    kind = "cnn"
    balance = {weights = "inverse"}
    network = {kind = "fusion", first = {kind = "vgg16", weights = "w.pth"}, second = "v2"}
    """
    for name in ("w.pth", "random", "inverse"):
        (tmp_path / "studies" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "studies" / name).touch()
    (tmp_path / "studies" / "study.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    study = read_study(Path("studies/study.toml"))
    assert study.classifier.network.first.weights == "studies/w.pth"  # type: ignore[union-attr]
    assert study.classifier.balance.weights == "inverse"  # type: ignore[union-attr]
    _, other, random, pre = study.arms or ()
    assert other.classifier.network.weights == "elsewhere.pth"  # type: ignore[union-attr]
    assert random.classifier.network.weights == "random"  # type: ignore[union-attr]
    assert pre.pretrain.network.weights == "studies/w.pth"  # type: ignore[union-attr]


# keys


def test_arms_that_share_a_prefix_share_its_jobs(tmp_path: Path) -> None:
    chosen = VAE_ARM.changed(name="chosen", selection=BestSSIM())
    same = VAE_ARM.changed(name="the same under another name")
    plan = plan_of(tiny("baseline", VAE_ARM, chosen, same))
    one, other = keys_of(plan, "vae"), keys_of(plan, "chosen")
    assert one["generator"] == other["generator"]
    assert all(one[stage] != other[stage] for stage in ("synthetic", "classifier", "predictions"))
    assert keys_of(plan, same.name) == one
    ran(tiny("baseline", VAE_ARM, chosen, same), tmp_path / "store")
    assert stages(tmp_path / "store") == {
        "images": 1, "split": 2, "generator": 2, "synthetic": 4, "classifier": 6, "predictions": 6,
    }  # fmt: skip


def test_changing_only_the_selection_computes_nothing_before_it_again(tmp_path: Path) -> None:
    ran(tiny(), tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "results").rglob("*.*")}
    done: list[tuple[str, str]] = []
    study = tiny("baseline", VAE_ARM.changed(selection=BestSSIM()))
    ran(study, tmp_path / "store", progress=lambda state: done.append((state.job.stage, state.event)))
    started = [stage for stage, event in done if event == "started"]
    assert sorted(started) == ["classifier"] * 2 + ["predictions"] * 2 + ["synthetic"] * 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_keys_hold_what_is_computed_and_nothing_else() -> None:
    plan = plan_of(tiny())
    assert keys_of(plan_of(tiny(), workers=3, device="cuda", timed=False), "vae") == keys_of(plan, "vae")
    assert keys_of(plan_of(tiny("baseline", VAE_ARM.changed(name="other"))), "other") == keys_of(plan, "vae")
    assert keys_of(plan_of(tiny(repeats=7)), "vae", 1) == keys_of(plan, "vae", 1)
    assert keys_of(plan_of(tiny(margin=0.3, score="accuracy")), "vae") == keys_of(plan, "vae")
    assert not set(keys_of(plan, "vae", 0).values()) & set(keys_of(plan, "vae", 1).values())


def test_two_repeats_that_would_be_the_same_share_their_jobs() -> None:
    """Only the order varies: the generator is fitted once."""
    plan = plan_of(tiny(vary=("order",)))
    one, other = keys_of(plan, "vae", 0), keys_of(plan, "vae", 1)
    assert {stage for stage in one if one[stage] == other[stage]} == {"generator", "synthetic"}


def test_digests_follow_the_seed_the_data_and_every_recipe() -> None:
    studies = [
        tiny(),
        tiny(seed=1),
        tiny(repeats=3),
        tiny(source=digits(20, 20, 19)),
        tiny(classifier=CLASSIFIER.changed(dropout=0.1)),
        tiny("baseline"),
        tiny(steps=5),
        tiny(image_size=9),
        tiny(resize="pad"),
    ]
    digests = [plan_of(study).study.digest() for study in studies]
    assert len(set(digests)) == len(digests)
    assert plan_of(tiny()).study.digest() == digests[0]


STREAMS = {
    "split": ("split",),
    "generator": ("seed of generator",),
    "initialisation": ("seed of classifier",),
    "order": ("order_seed of classifier",),
}


@pytest.mark.parametrize(
    "vary", [("split",), ("generator",), ("initialisation",), ("order",), ("order", "split"), tuple(STREAMS)]
)
def test_what_varies_between_repeats_is_what_was_named(vary: tuple[Any, ...]) -> None:
    plan = plan_of(tiny(vary=vary, repeats=3))

    def drawn(repeat: int) -> dict[str, Any]:
        jobs = {job.stage: job for job in plan.jobs_by_arm()["vae", repeat]}
        return {
            "split": plan.split("vae", repeat).digest,
            "seed of generator": (jobs["generator"].spec["seed"], jobs["synthetic"].spec["seed"]),
            "seed of classifier": jobs["classifier"].spec["seed"],
            "order_seed of classifier": jobs["classifier"].spec["order_seed"],
        }

    seen = [drawn(repeat) for repeat in range(3)]
    differing = {name for name in seen[0] if len({str(one[name]) for one in seen}) == 3}
    equal = {name for name in seen[0] if len({str(one[name]) for one in seen}) == 1}
    assert differing == {name for stream in vary for name in STREAMS[stream]}
    assert equal == set(seen[0]) - differing


def test_vary_must_name_something() -> None:
    assert "vary is empty" in faults_of(lambda: Protocol(vary=()))[0]


# splits and flaws


def test_all_arms_of_a_repeat_share_its_split() -> None:
    plan = plan_of(tiny("baseline", "augment", VAE_ARM, repeats=3))
    assert sorted(plan.splits) == [("", 0), ("", 1), ("", 2)]
    for repeat in range(3):
        assert len({plan.split_key(arm, repeat) for arm in ("baseline", "augment", "vae")}) == 1
    assert len({split.digest for split in plan.splits.values()}) == 3


def check_flawed(result: Result, flaw: str) -> None:
    """It says so everywhere and gives no verdict."""
    assert result.protocol.all_flaws == (flaw,)
    assert result.inflated.startswith("inflated because ")
    assert result.verdict.startswith("No verdict: every number here is inflated because ")
    made = result.to_json()
    assert made["inflated"] == result.inflated
    assert all(arm["flaws"] == [flaw] for arm in made["arms"])
    assert all(versus.verdict is None and versus.reason == result.inflated for versus in result.versus.values())
    assert all(row["verdict"] in (None, "reference") for row in result.table())
    assert result.classifier("baseline").about["inflated"] == result.inflated


def test_test_as_val_validates_on_the_test_part(tmp_path: Path) -> None:
    result = ran(tiny("baseline", "augment", repeats=5, flaws=("test-as-val",)), tmp_path / "store")
    check_flawed(result, "test-as-val")
    plan, honest = plan_of(tiny(repeats=5, flaws=("test-as-val",))), plan_of(tiny(repeats=5))
    for repeat in range(5):
        split, base = plan.split("", repeat), honest.split("", repeat)
        assert split.val.tolist() == split.test.tolist() == base.test.tolist()
        assert sorted(split.train) == sorted([*base.train, *base.val])
    key = result.keys("baseline", "classifier")[0]
    val = result.store.arrays(key, "val")
    np.testing.assert_allclose(val["probs"], result.predictions("baseline")[0]["probs"], atol=1e-6)


def test_synthetic_in_val_draws_validation_from_one_pot(tmp_path: Path) -> None:
    study = tiny("baseline", VAE_ARM.changed(add=20), repeats=5, flaws=("synthetic-in-val",))
    result = ran(study, tmp_path / "store")
    check_flawed(result, "synthetic-in-val")
    for key in result.keys("vae", "classifier").values():
        record = result.store.record(key)["result"]
        pot = 48 + 60  # training and validation, and the synthetic ones
        assert sum(record["val"]) == round(0.15 * pot) > 9
        assert sum(record["train"]) == pot - sum(record["val"])
    base = [result.store.record(key)["result"]["val"] for key in result.keys("baseline", "classifier").values()]
    assert base == [[3, 3, 3]] * 5
    made = result.predictions("vae")[0]
    assert made["rows"].tolist() == result.store.arrays(result.page["splits"][0]["key"])["test"].tolist()


def test_split_per_arm_gives_each_arm_a_split_of_its_own(tmp_path: Path) -> None:
    study = tiny("baseline", "augment", repeats=5, flaws=("split-per-arm",))
    result = ran(study, tmp_path / "store")
    check_flawed(result, "split-per-arm")
    assert result.versus == {}
    plan = plan_of(study)
    assert len({split.digest for split in plan.splits.values()}) == len(plan.splits) == 10
    mine, base = result.predictions("augment")[0], result.predictions("baseline")[0]
    assert mine["rows"].tolist() != base["rows"].tolist()


def with_copies() -> Any:
    """Each of 20 pictures of every class three times."""
    pixels, labels, names = digits()
    return np.repeat(pixels, 3, axis=0), np.repeat(labels, 3), names


def test_kept_copies_land_in_training_and_in_test(tmp_path: Path) -> None:
    study = tiny("baseline", VAE_ARM, source=with_copies(), repeats=5, copies="keep")
    result = ran(study, tmp_path / "store")
    check_flawed(result, "copies-across-parts")
    plan, once = plan_of(study), plan_of(study.changed(protocol=study.protocol.changed(copies="once")))
    assert (len(plan.source), len(once.source)) == (180, 60)
    for mine, met in ((plan, True), (once, False)):
        for split in mine.splits.values():
            train, test = (set(mine.source.content[rows].tolist()) for rows in (split.train, split.test))
            assert bool(train & test) == met
    assert {name for _, name in once.source.left_out} <= set(once.source.ids)


def test_a_flaw_is_part_of_every_key_of_what_it_touches() -> None:
    honest = plan_of(tiny())
    for flaw in ("synthetic-in-val", "test-as-val", "split-per-arm"):
        flawed = plan_of(tiny(flaws=(flaw,)))
        assert not set(keys_of(honest, "vae").values()) & set(keys_of(flawed, "vae").values())


# what a study can tell


def test_what_can_be_told_is_said_beforehand_and_not_with_flaws() -> None:
    told = [plan_of(tiny(repeats=repeats)).detectable for repeats in (5, 20)]
    assert 0 < told[1] < told[0] <= 1
    assert "this can tell differences from about" in resolution(plan_of(tiny(repeats=5)))
    for flaws in (("test-as-val",), ("split-per-arm",), ("synthetic-in-val",)):
        plan = plan_of(tiny(repeats=5, flaws=flaws))
        assert plan.detectable is None
        assert resolution(plan).endswith(f"no verdict: {flaws[0]}")
    assert plan_of(tiny(source=with_copies(), repeats=5, copies="keep")).detectable is None
    assert plan_of(tiny("baseline", repeats=5)).detectable is None
    assert plan_of(tiny(repeats=1)).detectable is None
    assert resolution(plan_of(tiny(repeats=4))).endswith("no verdict: fewer than 5 repeats")


# budgets


def cuts_of(study: Study, store: Path, budget: float) -> tuple[Plan, Sequence[str]]:
    plan = plan_of(study, store, budget=budget)
    return plan, plan.cuts


def test_a_tiny_budget_takes_repeats_then_steps_then_arms_and_says_so(tmp_path: Path) -> None:
    study = Study(digits())
    plan, cuts = cuts_of(study, tmp_path / "store", 1e-6)
    assert cuts[0] == "5 repeats instead of 10"
    assert cuts[1] == "300 optimizer steps per classifier instead of 600"
    assert cuts[2] == "150 optimizer steps per classifier instead of 300"
    assert [line.startswith("without the arm ") for line in cuts[3:-1]] == [True] * 5
    assert "will still take about" in cuts[-1]
    assert plan.repeats == 5
    assert plan.study.classifier.training.steps == 150
    assert len(plan.study.arms) == 2
    assert plan.study.arms[0].name == "baseline"
    assert not (tmp_path / "store").exists()


def test_a_budget_takes_only_what_the_study_leaves_open(tmp_path: Path) -> None:
    plan, cuts = cuts_of(tiny(repeats=7), tmp_path / "store", 1e-6)
    assert plan.study == plan_of(tiny(repeats=7)).study
    assert not any("instead of" in cut or "without" in cut for cut in cuts)
    plan, cuts = cuts_of(tiny(repeats=None), tmp_path / "store", 1e-6)
    assert plan.repeats == 5
    assert cuts[0] == "5 repeats instead of 10"
    assert [arm.name for arm in plan.study.arms] == ["baseline", "vae"]


def test_a_budget_that_is_enough_takes_nothing(tmp_path: Path) -> None:
    plan, cuts = cuts_of(tiny(repeats=None), tmp_path / "store", 1e6)
    assert cuts == ()
    assert plan.repeats == 10


def test_the_same_command_later_means_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, said = tiny("baseline", repeats=None), list[str]()
    first = ran(study, tmp_path / "store", budget=1e-6, say=said.append)
    assert "to fit the budget of 1e-06 minutes: 5 repeats instead of 10" in said
    assert first.protocol.repeats == 5
    assert first.page["cuts"][0] == "5 repeats instead of 10"
    done: list[str] = []
    monkeypatch.setattr("handful.study.plan.minutes", lambda plan, workers: 0.0)  # everything would fit by now
    again = ran(study, tmp_path / "store", budget=1e-6, progress=lambda state: done.append(state.event))
    assert again.study == first.study
    assert again.page["cuts"] == first.page["cuts"]
    assert done == []
    other = plan_of(study, tmp_path / "store", budget=2e-6)
    assert other.repeats == 10


def test_planning_writes_nothing(tmp_path: Path) -> None:
    plan_of(tiny(), tmp_path / "store", timed=True, budget=1.0)
    assert not (tmp_path / "store").exists()


def test_timings_are_of_every_open_job_and_none_that_is_done(tmp_path: Path) -> None:
    plan = plan_of(tiny(), tmp_path / "store", timed=True)
    assert set(plan.seconds) == {job.key for job in plan.jobs}
    assert all(0 < seconds < 60 for seconds in plan.seconds.values())
    ran(tiny("baseline"), tmp_path / "store")
    plan = plan_of(tiny(), tmp_path / "store", timed=True)
    assert set(plan.seconds) == {job.key for job in plan.jobs if job.arm == "vae"}


def test_a_network_from_random_weights_sees_pictures_at_the_size_that_fits_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, 30, 40), dtype=np.uint8)
    source = (pixels, np.repeat([0, 1], 10))
    monkeypatch.setattr("handful.study.advice.weights_at_hand", lambda: False)
    assert plan_of(Study(source)).study.classifier.view == View(size=28, channels=3)
    assert plan_of(Study(source, image_size=16, resize="pad")).study.classifier.view.size == 16
    assert plan_of(Study(source, classifier=CNN(view=View(size=20)))).study.classifier.view.size == 20
