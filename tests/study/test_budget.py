"""Budgets and plans: what a budget takes away and in which order, timings, and that planning writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from plan_and_run import plan_of, ran

from handful import CNN, Study, View
from handful.study.plan import Plan
from tiny_study import digits, tiny


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
