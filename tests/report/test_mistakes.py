"""Mistakes and planes on the page: what is shown is what the result holds, and a cell leads to its pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from handful.report.collect import page_of
from handful.report.html import render, render_page
from handful.report.mistakes import MOST_CELLS, confused_of, mistakes_of
from handful.report.plane_figures import class_colours
from handful.report.planes import planes_of
from handful.report.thumbs import overlaid
from handful.study.result import Result


def test_every_mistake_is_shown_with_its_evidence(result: Result, read: Callable[[str], Any]) -> None:
    arms = mistakes_of(result)
    assert [arm.slug for arm in arms] == ["arm0", "arm1", "arm2"], "the arm without a classifier has none"
    for arm, name in zip(arms, result.arms, strict=False):
        told = result.mistakes(name)
        assert [one.confidence for one in arm.mistakes] == [row["confidence"] for row in told]
        assert arm.wrong >= len(told)
    mix = arms[2]
    for one in mix.mistakes:
        assert [len(one.looked), len(one.real), len(one.made)] == [2, 3, 2]
        assert one.true != one.predicted
    html = render_page(page_of(result))
    text = read(html).text
    for one in mix.mistakes:
        assert f"{one.true} taken for {one.predicted}" in text
        assert f'<data value="{one.confidence!r}">' in html


def test_confusions_add_up_to_the_confusion_matrix(result: Result) -> None:
    counts = result.confusion("baseline")
    found = confused_of(result, "baseline")
    assert len(found) <= MOST_CELLS
    assert {one.cell: one.count for one in found} == {
        (row, column): counts[row, column]
        for row, column in np.ndindex(*counts.shape)
        if row != column and counts[row, column]
    }
    for one in found:
        assert sum(times for _, times in one.pictures) == one.count
    assert [one.count for one in found] == sorted((one.count for one in found), reverse=True)


def test_a_cell_leads_to_the_list_of_its_pictures(result: Result, read: Callable[[str], Any]) -> None:
    html = render(result)
    page = read(html)
    cells = set(re.findall(r'href="#(confusion-arm\d+-cell-\d+-\d+)"', html))
    assert cells
    assert cells == {name for name in page.ids if "-cell-" in name}
    assert "_blank" not in html


def test_the_planes_hold_every_point_once_and_only_an_arms_own_pictures(result: Result) -> None:
    made = planes_of(result)
    assert made is not None
    assert made.shared is not None
    assert len(made.shared.points) == len(result.embedding.points)  # type: ignore[union-attr]
    assert sum(made.shared.counts) == len(made.shared.points)
    assert [arm.name for arm in made.arms] == ["mix"]
    assert made.arms[0].plane.counts == made.shared.counts
    assert len(made.own) == 3


def test_without_the_stages_the_sections_are_left_out(result: Result, read: Callable[[str], Any]) -> None:
    page = replace(page_of(result), mistakes=(), planes=None)
    found = read(render_page(page))
    assert not {"mistakes", "embedding"} & set(found.ids)
    assert {"mistakes", "embedding"} < set(read(render_page(page_of(result))).ids)
    own = replace(page_of(result), planes=replace(page_of(result).planes, shared=None, arms=()))
    assert "not comparable between arms" in read(render_page(own)).text


def test_classes_have_colours_of_their_own() -> None:
    for num in (2, 10, 20, 58):
        assert len(set(class_colours(num))) == num


@pytest.mark.parametrize("channels", [1, 3])
def test_heat_lies_over_the_picture_in_grey(channels: int) -> None:
    picture = np.full((channels, 4, 4), 100, dtype=np.uint8)
    heat = np.zeros((4, 4), dtype=np.uint8)
    heat[1, 2] = 255
    made = overlaid(picture, heat)
    assert (made.shape, made.dtype) == ((3, 4, 4), np.uint8)
    assert made[0, 1, 2] > made[2, 1, 2] + 60, "yellow where it looked"
    assert np.ptp(made[:, 0, 0].astype(int)) < 10, "grey elsewhere"
