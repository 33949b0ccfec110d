"""Learning curves over repeats that stop at different steps."""

from __future__ import annotations

import pytest

from handful.report import figures
from handful.report.collect import page_of
from handful.report.curves import PANELS, _curve, panels_of
from handful.study.result import Result


def test_the_band_spans_the_steps_all_repeats_reached_and_the_rest_goes_on_alone() -> None:
    made = _curve("loss", [{10: 3.0, 20: 2.0}, {10: 1.0, 20: 1.0, 30: 0.5}])
    assert made is not None
    assert made.steps == (10, 20)
    assert made.mean == (2.0, 1.5)
    assert (made.low, made.high) == ((1.0, 1.0), (3.0, 2.0))
    assert made.rest == (((20, 30), (1.0, 0.5)),)


def test_repeats_with_no_step_in_common_are_drawn_alone() -> None:
    made = _curve("loss", [{7: 3.0}, {9: 1.0}])
    assert made is not None
    assert made.steps == ()
    assert made.rest == (((7,), (3.0,)), ((9,), (1.0,)))


def test_a_quantity_that_no_repeat_has_gives_no_curve() -> None:
    assert _curve("loss", [{}, {}]) is None


@pytest.mark.parametrize(("arm", "num"), [("baseline", 4), ("rebuild", 0)])
def test_panels_of_an_arm(result: Result, arm: str, num: int) -> None:
    panels = panels_of(result, arm)
    assert len(panels) == num
    assert all(curve.steps[-1] == 6 for panel in panels for curve in panel.curves)


def test_every_curve_of_every_panel_is_drawn(result: Result) -> None:
    """The digits' study has all four curves of the scores."""
    page = page_of(result)
    (arm, *_) = page.arms
    drawn = figures.learning(page, arm)
    names = [curve.name for panel in arm.panels for curve in panel.curves]
    assert {"validation", "validation, balanced", "validation, AUC", "training batches"} <= set(names)
    for panel in arm.panels:
        if len(panel.curves) > 1:
            assert all(f">{curve.name}<" in drawn for curve in panel.curves)


def test_training_accuracy_is_shown_where_the_history_has_it() -> None:
    history = {"steps": [5, 10], "values": [{"accuracy": 0.5}, {}], "train_values": [{"accuracy": 0.75}, {}], "lr": [1]}
    readers = {name: read for _, wanted in PANELS for name, read in wanted}
    found = {name: [readers[name](history, place) for place in (0, 1)] for name in ("validation", "training batches")}
    assert found == {"validation": [0.5, None], "training batches": [0.75, None]}
    assert [readers["learning rate"](history, place) for place in (0, 1)] == [1, None]
    assert readers["training batches"]({"steps": [5], "values": [{}]}, 0) is None
