"""A study of train and test alone: what needs validation is refused while planning, everything else works."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from handful import CNN, VAE, Arm, Protocol, Training, View
from handful.data.images import LabeledImages
from handful.errors import ConfigError, DataError, StoreError
from handful.export import export_pictures
from handful.generate.interpolate import Interpolation
from handful.nn.train import How, train_networks
from handful.predict import export_classifier, predict_files
from handful.report.collect import page_of
from handful.report.html import render
from handful.study.plan import make_plan
from handful.study.result import Result
from handful.study.run import run
from handful.study.store import Store
from handful.study.validation import trainings_in
from tiny_study import TRAINING, digits, tiny, write_pictures

ARMS = (
    Arm("baseline"),
    Arm("mix", generator=Interpolation()),
    Arm("vae", generator=VAE(width=4, depth=2, latent=4, training=TRAINING.changed(keep="last")), add=5),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    root = tmp_path_factory.mktemp("no-val")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(root / "cache"))
        study = tiny(*ARMS, source=write_pictures(root / "set"), val_fraction=0, test_fraction=0.15)
        return run(study, root / "store", budget=None, engine="serial", device="cpu")


def refused(tmp_path: Path, *arms: Arm | str, **fields: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        make_plan(
            tiny(*arms, val_fraction=0, **fields),
            Store(tmp_path / "store"),
            budget=None,
            workers=1,
            device="cpu",
            timed=False,
            say=lambda line: None,
        )
    assert not (tmp_path / "store").exists()
    return error.value.faults


def test_it_runs_to_predictions_and_keeps_no_picture_for_validation(finished: Result) -> None:
    assert finished.failed == []
    assert finished.jobs["open"] == 0
    assert [row["train"] + row["test"] for row in finished.classes] == [20, 20, 20]
    assert [(row["val"], row["test"]) for row in finished.classes] == [(0, 3)] * 3
    assert all(finished.scores(arm)["accuracy"]["mean"] is not None for arm in finished.arms)
    assert finished.to_json()["arms"][0]["validation"] is None


def test_no_arm_is_called_the_best_and_a_command_needs_its_name(finished: Result, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no validation part to choose an arm by.*--arm \(baseline, mix, vae\)"):
        finished.best  # noqa: B018
    with pytest.raises(StoreError, match="--arm"):
        predict_files(finished.store.root, tmp_path, tmp_path / "out.csv", device="cpu")
    write_pictures(tmp_path / "new", 2, 2, 2)
    made = predict_files(finished.store.root, tmp_path / "new", tmp_path / "out.csv", arm="mix", device="cpu")
    assert (made.num, made.arm) == (6, "mix")
    assert (export_classifier(finished, tmp_path / "model", "baseline") / "classifier.json").exists()
    folder = export_pictures(finished, tmp_path / "pictures", "vae")
    assert len(list((folder / "generated").rglob("*.png"))) == 15
    assert len(list((folder / "original").rglob("*.png"))) == 51


def test_the_report_has_no_validation_in_it(finished: Result) -> None:
    page = page_of(finished)
    assert page.best == ""
    curves = {panel.title: [curve.name for curve in panel.curves] for panel in page.arms[0].panels}
    assert curves == {"training loss": ["loss"], "scores": ["training batches"], "learning rate": ["learning rate"]}
    assert "drawn by class: no validation, 15 % test, the rest training" in [fact.value for fact in page.protocol]
    text = render(finished)
    assert "Highest on validation" not in text
    assert "the score on validation" not in text


def test_all_settings_that_need_validation_are_named_with_their_arms_and_what_to_do(tmp_path: Path) -> None:
    stopping = CNN(view=View(size=8), training=TRAINING.changed(patience=2, schedule="plateau"))
    assert refused(tmp_path, "baseline", "vae", Arm("own", classifier=stopping)) == (
        "generator.training.keep is 'best' in 'vae', and there is no validation part to choose by; set it to 'last', "
        "drop these arms, or draw a validation part (val_fraction)",
        "classifier.training.patience is 2 in 'own', and there is no validation part to choose by; leave it out, drop "
        "these arms, or draw a validation part (val_fraction)",
        "classifier.training.schedule is 'plateau' in 'own', and there is no validation part to choose by; set it to "
        "'cosine', drop these arms, or draw a validation part (val_fraction)",
    )
    assert "'baseline', 'augment'" in refused(tmp_path, "baseline", "augment", classifier=stopping)[0]


def test_the_flaw_that_draws_from_validation_is_refused_and_the_one_that_takes_test_is_not(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, *ARMS, flaws=("synthetic-in-val",))
    assert "val_fraction 0.0 and the flaw synthetic-in-val" in fault
    assert "give a val_fraction above 0, or leave the flaw out" in fault
    best = CNN(network="base", view=View(size=8), training=TRAINING.changed(keep="best"))
    study = tiny("baseline", classifier=best, val_fraction=0, flaws=("test-as-val",))
    plan = make_plan(study, Store(tmp_path), budget=None, workers=1, device="cpu", timed=False, say=lambda line: None)
    assert plan.split("", 0).val.tolist() == plan.split("", 0).test.tolist()


def test_a_given_validation_part_is_used_whatever_the_fraction(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for part, nums in (("train", (9, 9)), ("val", (3, 3)), ("test", (4, 4))):
        write_pictures(root / part, *nums)
    study = tiny("baseline", source=root, val_fraction=0, copies="keep", repeats=1)
    study = study.changed(classifier=CNN(view=View(size=8), training=TRAINING.changed(keep="best")))
    plan = make_plan(study, Store(tmp_path / "s"), budget=None, workers=1, device="cpu", timed=False, say=print)
    assert len(plan.split("", 0).val) == 6


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_the_protocol_takes_zero_and_nothing_outside(fraction: float) -> None:
    assert Protocol(val_fraction=0).val_fraction == 0
    with pytest.raises(ConfigError, match="val_fraction"):
        Protocol(val_fraction=fraction)


def images() -> LabeledImages:
    pixels, labels, names = digits()
    return LabeledImages.of_arrays(pixels, labels, names)


@pytest.mark.parametrize("empty", [True, False])
def test_a_classifier_fits_without_validation_to_the_same_weights(empty: bool) -> None:
    whole = images()
    train, val = whole.take(np.arange(0, 60, 2)), whole.take(np.arange(1, 60, 2))
    recipe = CNN(network="base", view=View(size=8), training=TRAINING)
    alone = recipe.fit(train, whole.take(np.empty(0, dtype=np.int64)) if empty else None, seed=0)
    both = recipe.fit(train, val, seed=0)
    assert np.array_equal(alone.predict_proba(val), both.predict_proba(val))
    assert alone.seen == frozenset(train.origin.content.tolist())
    assert alone.history["values"] == [{}, {}]
    with pytest.raises(DataError, match=r"training\.keep is 'best' and training\.patience is 3: give pictures"):
        recipe.changed(training=TRAINING.changed(keep="best", patience=3)).fit(train, None, seed=0)


def test_a_loop_without_validation_keeps_its_last_weights() -> None:
    import torch

    network = torch.nn.Linear(1, 1)

    def step(batch: object):
        yield "line", network(torch.ones(4, 1)).square().mean()

    history = train_networks({"line": network}, step, recipe=Training(steps=4, eval_every=2), num=4, seed=0, how=How())
    assert history.values == [{}, {}]
    assert all(math.isfinite(one["line"]) for one in history.train_loss)


def test_trainings_are_found_wherever_a_recipe_holds_them() -> None:
    assert [path for path, _ in trainings_in(Arm("own", generator=VAE(), classifier=CNN()))] == [
        "generator.training",
        "classifier.training",
    ]
    assert list(trainings_in(View())) == []
