"""The page counts what each classifier saw: real pictures that were kept, synthetic ones and copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful import Arm, Augmentation
from handful.generate.interpolate import Interpolation
from handful.report import figures
from handful.report.collect import page_of
from handful.report.html import render
from handful.study.kept import Trained
from handful.study.result import Result
from handful.study.run import run
from tiny_study import digits, tiny

ARMS = (
    Arm("baseline"),
    Arm("oversample", balance="oversample"),
    Arm("undersample", cap="smallest"),
    Arm("mix", generator=Interpolation()),
    Arm("alone", generator=Interpolation(), real=False, add=4),
    Arm("capped mix", generator=Interpolation(), cap=5, fill_to=9),
    Arm("copies", augment=Augmentation(), fill_to="largest"),
    Arm("larger", augment=Augmentation(), enlarge=2),
)


def finished(root: Path, **fields: object) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(root / "cache"))
        study = tiny(*ARMS, source=digits(20, 14, 10), repeats=1, **fields)
        return run(study, root / "store", budget=None, engine="serial", device="cpu")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return finished(tmp_path_factory.mktemp("counts"))


def test_every_arm_tells_what_its_classifier_saw(result: Result) -> None:
    assert {arm: result.trained(arm) for arm in result.arms} == {
        "baseline": Trained(0, (13, 9, 6), (0, 0, 0)),
        "oversample": Trained(0, (13, 9, 6), (0, 0, 0)),
        "undersample": Trained(0, (6, 6, 6), (0, 0, 0)),
        "mix": Trained(0, (13, 9, 6), (0, 4, 7)),
        "alone": Trained(0, (0, 0, 0), (4, 4, 4)),
        "capped mix": Trained(0, (5, 5, 5), (4, 4, 4)),
        "copies": Trained(0, (13, 9, 6), (0, 4, 7)),
        "larger": Trained(0, (13, 9, 6), (26, 18, 12)),
    }
    for arm in result.arms:
        trained = result.trained(arm)
        assert trained is not None
        assert [a + b for a, b in zip(trained.real, trained.made, strict=True)] == result.costs(arm)["train"]
    assert result.to_json()["arms"][2]["train_real"] == [6, 6, 6]


def test_the_figure_has_a_column_for_each_different_training_part(result: Result) -> None:
    page = page_of(result)
    assert [arm.name for arm in page.composed] == ["undersample", "mix", "alone", "capped mix", "copies", "larger"]
    drawn = figures.class_counts(page)
    for title in ("before", "undersample", "mix, copies", "alone", "capped mix", "larger"):
        assert f">{title}<" in drawn
    assert "13 + 26" in render(result)


def test_under_the_flaw_that_draws_validation_from_the_pot_real_ones_are_still_told_apart(tmp_path: Path) -> None:
    made = finished(tmp_path, flaws=("synthetic-in-val",))
    trained = made.trained("mix")
    assert trained is not None
    real, synthetic = sum(trained.real), sum(trained.made)
    assert real + synthetic == sum(made.costs("mix")["train"])
    pot = 13 + 9 + 6 + 3 + 2 + 2 + 11
    assert real + synthetic == pot - round(0.15 * pot)
    assert 0 < synthetic <= 11
    assert made.trained("baseline") == Trained(0, (13, 9, 6), (0, 0, 0))
