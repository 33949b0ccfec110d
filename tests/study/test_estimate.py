"""What a plan costs is measured in seconds, whatever the recipes in it would take."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful import Arm, Augmentation
from handful.data.images import View
from handful.generate.autoencoder import Autoencoder
from handful.nn.train import Training
from handful.study import estimate
from handful.study.estimate import TIMED_STEPS, disk
from handful.study.plan import make_plan
from handful.study.store import Store
from tiny_study import CLASSIFIER, tiny

RECIPE = Autoencoder(
    width=4,
    latent=4,
    scope="per-class",
    epochs_by_size=((0, 1000),),
    view=View(size=8, channels=1),
    training=Training(steps=30, eval_every=30),
)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """The steps and the looks of every autoencoder that is fitted, network by network."""
    monkeypatch.setattr(estimate, "_TRIALS", {})
    monkeypatch.setattr(estimate, "QUICK", 0.0)
    seen: list[dict[str, int]] = []
    fit = Autoencoder.fit

    def counted(self: Autoencoder, *parts: object, **how: object) -> object:
        made = fit(self, *parts, **how)  # type: ignore[arg-type]
        seen.extend({"steps": one["steps_done"], "looks": len(one["steps"])} for one in made.history.values())
        return made

    monkeypatch.setattr(Autoencoder, "fit", counted)
    return seen


def test_a_recipe_is_weighed_by_one_short_fit_of_one_network_whatever_is_asked_and_how_often(
    tmp_path: Path, fitted: list[dict[str, int]]
) -> None:
    for again in range(2):
        store = Store(tmp_path / str(again))
        study = tiny("baseline", Arm("ae", generator=RECIPE))
        plan = make_plan(study, store, budget=None, workers=1, device="cpu", timed=True, say=print)
        assert disk(plan, store, "cpu") > 0
    assert fitted == [{"steps": TIMED_STEPS + 2, "looks": 1}]


def test_time_and_disk_of_a_recipe_are_those_of_all_its_networks(tmp_path: Path, fitted: list[dict[str, int]]) -> None:
    """Networks of single classes share the steps of one; each has looks of its own and takes its own place on disk."""
    store = Store(tmp_path / "store")
    sizes, seconds = {}, {}
    for scope in ("conditional", "per-class"):
        recipe = RECIPE.changed(scope=scope, epochs_by_size=())
        plan = make_plan(
            tiny("baseline", Arm("ae", generator=recipe)),
            store,
            budget=None,
            workers=1,
            device="cpu",
            timed=True,
            say=print,
        )
        sizes[scope] = disk(plan, store, "cpu")
        seconds[scope] = next(plan.seconds[job.key] for job in plan.jobs if job.stage == "generator")
    assert len(fitted) == 1
    trial = estimate.trial_of(RECIPE, ("a", "b", "c"), "cpu")
    num = plan.repeats
    assert sizes["per-class"] - sizes["conditional"] == pytest.approx(2 * num * trial.size)
    assert seconds["per-class"] - seconds["conditional"] == pytest.approx(2 * trial.start)


def test_a_prediction_takes_as_long_as_its_views_and_pictures(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    flips = Augmentation(flip_horizontal=True, flip_vertical=True)
    one_view = CLASSIFIER.changed(augment=flips)
    arms = [Arm("one", classifier=one_view), Arm("four", classifier=one_view.changed(tta="flips"))]
    study = tiny("baseline", *arms)
    plan = make_plan(study, store, budget=None, workers=1, device="cpu", timed=True, say=print)
    seconds = {job.arm: plan.seconds[job.key] for job in plan.jobs if job.stage == "predictions" and job.repeat == 0}
    one, four = (seconds[name] - estimate.SMALL_JOB for name in ("one", "four"))
    assert one > 0
    assert four == pytest.approx(4 * one)
