"""What a plan costs is measured in seconds, whatever the recipes in it would take."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful import Arm
from handful.data.images import View
from handful.generate.autoencoder import Autoencoder
from handful.study.estimate import disk
from handful.study.plan import make_plan
from handful.study.store import Store
from tiny_study import tiny


def test_a_recipe_with_epochs_by_size_is_weighed_after_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Autoencoder(
        width=4, latent=4, scope="per-class", epochs_by_size=((0, 1000),), view=View(size=8, channels=1)
    )
    steps: list[int] = []
    fit = Autoencoder.fit

    def counted(self: Autoencoder, *parts: object, **how: object) -> object:
        made = fit(self.changed(epochs_by_size=self.epochs_by_size and ((0, 1),)), *parts, **how)  # type: ignore[arg-type]
        steps.append(1000 if self.epochs_by_size else sum(one["steps_done"] for one in made.history.values()))
        return made

    monkeypatch.setattr(Autoencoder, "fit", counted)
    store = Store(tmp_path / "store")
    asked = {"budget": None, "workers": 1, "device": "cpu", "timed": False, "say": list}
    plan = make_plan(tiny("baseline", Arm("ae", generator=recipe)), store, **asked)  # type: ignore[arg-type]
    assert disk(plan, store) > 0
    assert steps == [3], "a step for each of three classes"
