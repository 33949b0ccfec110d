"""Balance and augmentation as arms of a study, and their losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handful import Arm, Augmentation
from handful.classify.contract import evaluate
from handful.classify.loss import Loss
from handful.data.balance import Balance, balance_table
from handful.data.images import LabeledImages
from handful.data.mix import Mix
from handful.errors import ConfigError, LeakError
from handful.study.arms import ARMS, DEFAULT_ARMS, arm_named
from handful.study.parts import training_part
from handful.study.run import run
from tiny_study import CLASSIFIER, VAE_ARM, digits, tiny

COUNTS = np.array([60, 30, 10])


def logits(num=8, seed=0):
    return torch.randn(num, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


LABELS = torch.tensor([0, 1, 2, 0, 0, 1, 2, 1])
PARTNERS = torch.tensor([1, 1, 0, 2, 0, 2, 2, 0])


def by_hand(balance, values, soft, weights):
    """The loss with NumPy, from soft labels [B, K]."""
    values = values.double().numpy() + balance.tau * np.log(COUNTS / COUNTS.sum())
    probs = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    each = soft * weights * (1 - probs) ** balance.gamma * -np.log(probs)
    return each.sum() / (soft * weights).sum()


@pytest.mark.parametrize(
    ("balance", "weights"),
    [
        (Balance(), [1.0, 1.0, 1.0]),
        (Balance(weights="inverse"), 100 / (3 * COUNTS)),
        (Balance(weights="effective-number", beta=0.9), 0.1 / (1 - 0.9**COUNTS)),
        (Balance(gamma=2.0), [1.0, 1.0, 1.0]),
        (Balance(tau=1.0), [1.0, 1.0, 1.0]),
        (Balance(weights="inverse", gamma=0.5, tau=0.7), 100 / (3 * COUNTS)),
    ],
)
def test_losses_are_those_by_hand_for_plain_and_mixed_labels(balance, weights):
    loss = Loss.of(balance, COUNTS)
    one, other = (torch.nn.functional.one_hot(labels, 3).double().numpy() for labels in (LABELS, PARTNERS))
    assert loss(logits(), LABELS).item() == pytest.approx(by_hand(balance, logits(), one, weights), rel=1e-4)
    share = torch.linspace(0, 1, 8)
    mixed = share.numpy()[:, None] * one + (1 - share.numpy()[:, None]) * other
    found = loss(logits(), LABELS, PARTNERS, share).item()
    assert found == pytest.approx(by_hand(balance, logits(), mixed, weights), rel=1e-4)


def test_mixed_labels_are_torch_s_soft_labels():
    share = torch.linspace(0, 1, 8)
    one, other = (torch.nn.functional.one_hot(labels, 3).float() for labels in (LABELS, PARTNERS))
    soft = share[:, None] * one + (1 - share[:, None]) * other
    torch.testing.assert_close(
        Loss()(logits(), LABELS, PARTNERS, share), torch.nn.functional.cross_entropy(logits(), soft)
    )


def test_focal_loss_is_torchvision_s_for_two_classes():
    from torchvision.ops import sigmoid_focal_loss

    values, labels = logits()[:, :2], LABELS.clamp_max(1)
    theirs = sigmoid_focal_loss(values[:, 1] - values[:, 0], labels.float(), alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(Loss(gamma=2.0)(values, labels), theirs)


def test_a_focal_loss_of_a_certain_picture_has_a_finite_slope():
    values = torch.tensor([[80.0, 0.0, 0.0]], requires_grad=True)
    Loss(gamma=0.5)(values, torch.tensor([0])).backward()
    assert torch.isfinite(values.grad).all()


def test_logit_adjustment_asks_more_of_a_rare_class():
    even = torch.zeros(1, 3)
    loss = Loss.of(Balance(tau=1.0), COUNTS)
    assert loss(even, torch.tensor([2])) > loss(even, torch.tensor([1])) > loss(even, torch.tensor([0]))
    assert loss(even, torch.tensor([2])).item() == pytest.approx(-np.log(0.1), rel=1e-5)


# ---------------------------------------------------------------- arms


def test_a_bare_run_compares_six_treatments():
    assert DEFAULT_ARMS == ("baseline", "class-weights", "oversample", "augment", "interpolate", "vae", "default")
    assert set(DEFAULT_ARMS) <= set(ARMS)


def test_names_compose_and_one_thing_is_changed_once():
    arm = arm_named("focal+augment-strong+mixup")
    assert (arm.balance, arm.augment, arm.mix) == ("focal", Augmentation.preset("strong"), Mix(mixup=0.2))
    with pytest.raises(ConfigError, match="two of its parts set augment"):
        arm_named("augment+cutout")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"fill_level": 0.5}, "fill_level needs a generator, or augment"),
        ({"enlarge": 2}, "enlarge makes copies by augmentation"),
        ({"enlarge": 2, "augment": "s1", "enlarge_synthetic": True}, "enlarge_synthetic needs"),
        ({"augment": "s1", "add": 3, "fill_level": 0.5}, "add and fill_level are 2 rules for one amount"),
        ({"balance": "oversampel"}, "did you mean 'oversample'"),
        ({"cap": 0}, "cap"),
    ],
)
def test_arms_that_do_not_fit_together_are_refused(fields, fault):
    with pytest.raises(ConfigError, match=fault):
        Arm("a", **fields)


def test_every_fault_of_an_arm_comes_at_once():
    with pytest.raises(ConfigError) as raised:
        Arm("a", real=False, enlarge=2, fill_to=3, add=4)
    assert len(raised.value.faults) == 4


def real_part():
    pixels, labels, names = digits(20, 8, 3)
    return LabeledImages.of_arrays(pixels, labels, names)


def test_a_training_part_is_what_the_table_said():
    from handful.study.stages import composed

    train = real_part()
    for arm in (
        Arm("undersample", cap="smallest"),
        Arm("cap and fill", cap=10, augment="s1", fill_to="largest"),
        Arm("level", augment="s1", fill_level=0.5),
        Arm("both", augment="s1", fill_to=9, enlarge=2, enlarge_synthetic=True),
        ARMS["enlarge"],
        ARMS["fill-copies"],
    ):
        made = training_part(train, None, {**composed(arm), "seed": 3})
        rows = balance_table(train.counts, arm, train.class_names)
        assert made.counts.tolist() == [row.after for row in rows], arm.name
        real = made.take(np.flatnonzero(made.origin.real))
        assert real.counts.tolist() == [row.kept for row in rows]
        if arm.cap is None:
            assert set(train.origin.content.tolist()) <= set(made.origin.content.tolist())


def test_copies_of_a_generator_s_pictures_make_the_published_total():
    """S1's T2: 277 real pictures and 50 generated for each of ten classes, three copies of each: 3108."""
    stream = np.random.default_rng(0)
    names = tuple(str(label) for label in range(10))

    def noise(labels):
        pixels = stream.integers(0, 256, (len(labels), 1, 8, 8), dtype=np.uint8)
        return LabeledImages.of_arrays(pixels, labels, names)

    real, generated = noise(np.arange(277) % 10), noise(np.repeat(np.arange(10), 50))
    from handful.study.stages import composed

    arm = VAE_ARM.changed(add=50, augment="s1", enlarge=3, enlarge_synthetic=True)
    made = training_part(real, generated, {**composed(arm), "seed": 0})
    assert len(made) == 3108
    assert np.bincount(made.origin.parent[-2331:][:277], minlength=277).min() >= 1


def test_scoring_refuses_copies():
    train = real_part()
    made = training_part(
        train, None, {"augment": Augmentation().describe(), "enlarge": 1, "enlarge_synthetic": False, "seed": 0}
    )
    copies = made.take(np.flatnonzero(~made.origin.real))
    recipe = CLASSIFIER.changed(view=CLASSIFIER.view.changed(channels=1))
    with pytest.raises(LeakError, match="validation: 31 of 31 pictures are synthetic"):
        recipe.fit(train, copies, seed=0)
    val = LabeledImages.of_arrays(255 - train.pixels, train.labels, train.class_names)
    with pytest.raises(LeakError, match="test: 31 of 31 pictures are synthetic"):
        evaluate(recipe.fit(made, val, seed=0), copies)


NEW = [name for name in ARMS if name not in DEFAULT_ARMS]


def test_every_new_arm_runs_as_named(tmp_path):
    new = [name for name in NEW if ARMS[name].pretrain is None]  # for the others see test_pretrain.py
    pairs = {"mirror": Arm("mirror", mirror_pairs=[("zero", "two", "half turn")])}  # digits have none to find
    copied = VAE_ARM.changed(name="s1", augment="s1", enlarge=2, enlarge_synthetic=True, cap=6)
    arms = ["baseline", *(pairs.get(name, name) for name in new), copied]
    result = run(tiny(*arms, repeats=1), tmp_path / "store", engine="serial")
    assert result.failed == []
    assert {row["arm"] for row in result.table()} == {"baseline", *new, "s1"}


def test_every_way_of_balancing_repeats_itself_and_changes_something():
    train = real_part()
    val = LabeledImages.of_arrays(255 - train.pixels, train.labels, train.class_names)
    view = CLASSIFIER.view.changed(channels=1)
    plain = CLASSIFIER.changed(view=view)
    probs = {}
    for name, fields in {
        "plain": {},
        "mix": {"mix": Mix(mixup=0.4, cutmix=1.0)},
        "half": {"balance": Balance(level=0.5)},
        "focal": {"balance": "focal"},
        "adjusted": {"balance": "logit-adjusted"},
    }.items():
        recipe = plain.changed(**fields)
        one, again = (recipe.fit(train, val, seed=0).predict_proba(val) for _ in range(2))
        np.testing.assert_array_equal(one, again)
        probs[name] = one
    for name in set(probs) - {"plain"}:
        assert (probs[name] != probs["plain"]).any(), name


def classifier_job(arm, tmp_path):
    """What the classifier's job of an arm is told, as planned."""
    from handful.study.plan import make_plan
    from handful.study.store import Store

    study = tiny("baseline", arm, repeats=1)
    plan = make_plan(
        study, Store(tmp_path / "s"), budget=None, workers=1, device="cpu", timed=False, say=lambda line: None
    )
    (job,) = [job for job in plan.jobs_by_arm()[arm.name, 0] if job.stage == "classifier"]
    return job.spec


@pytest.mark.parametrize("name", ["augment", "oversample", "mixup", "focal", "trivial-augment"])
def test_what_changes_batches_changes_no_pictures(name, tmp_path):
    spec = classifier_job(ARMS[name], tmp_path)
    assert "composition" not in spec
    assert (spec["recipe"]["augment"] is not None) == (ARMS[name].augment is not None)
    assert (spec["recipe"]["mix"] is not None) == (name == "mixup")


@pytest.mark.parametrize("name", ["enlarge", "fill-copies"])
def test_copies_made_once_leave_the_batches_alone(name, tmp_path):
    spec = classifier_job(ARMS[name], tmp_path)
    assert spec["recipe"]["augment"] is None
    assert spec["composition"]["augment"] == Augmentation().describe()


def test_a_larger_cap_is_drawn_from_the_same_seed(tmp_path):
    first, second = (classifier_job(Arm("a", cap=cap), tmp_path)["composition"] for cap in (3, 4))
    assert first["seed"] == second["seed"]
    assert (first["cap"], second["cap"]) == (3, 4)
