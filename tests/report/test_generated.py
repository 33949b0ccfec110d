"""The section on generated pictures: the result's numbers between their marks, copying, and what predicted use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from handful.report.collect import page_of
from handful.report.generated import NAMES, Generated, generated_of, told
from handful.report.html import measure, render, render_page
from handful.report.page import Page
from handful.report.pictures import pairs_of
from handful.study.arms import Arm
from handful.study.measured import MEASURES
from handful.study.result import Result


@pytest.fixture(scope="module")
def page(result: Result) -> Page:
    return page_of(result)


@pytest.fixture(scope="module")
def generated(page: Page) -> Generated:
    assert page.generated is not None
    return page.generated


def row(measure: str, rho: float | None, interval: list[float] | None, reason: str = "") -> dict[str, Any]:
    predicts = interval is not None and interval[0] * interval[1] > 0
    return {"measure": measure, "rho": rho, "interval": interval, "level": 0.99, "predicts": predicts, "reason": reason}


def test_every_measured_arm_has_its_numbers_between_their_marks(result: Result, generated: Generated) -> None:
    (arm,) = generated.arms
    assert arm.name == "mix"
    assert [one.name for one in arm.pooled] == [NAMES[name] for name in MEASURES]
    rows = {(one["measure"], one["moment"]): one for one in result.measures("mix") if one["class"] is None}
    for one, name in zip(arm.pooled, MEASURES, strict=True):
        scaled = rows[name, "after"]["scaled"]
        assert one.after == (scaled["value"] if scaled else rows[name, "after"]["value"])
        assert (one.marks is None) == (scaled is None)
        if one.marks is not None:
            assert (one.marks.floor, one.marks.copies, one.marks.noise) == (
                scaled["floor"],
                scaled["copies"],
                scaled["noise"],
            )
    drawing = result.drawing("mix")
    assert arm.drawing == {key: sum(one[key] for one in drawing) for key in ("wanted", "drawn", "gated", "kept")}
    assert [one.name for one in arm.by_class] == ["$x$ & $\\frac$", "quo&quot;te".replace("&quot;", '"')]


def test_the_page_prints_them(result: Result, generated: Generated, read: Callable[[str], Any]) -> None:
    html = render(result)
    text = read(html).text
    assert "Generated pictures" in text
    assert 'href="#generated"' in html
    (arm,) = generated.arms
    for one in arm.pooled:
        if one.after is not None:
            assert f'<data value="{one.after!r}">{measure(one.after)}</data>' in html
    assert f"{arm.drawing['kept']} kept of {arm.drawing['wanted']} wanted, in 2 repeats" in text
    assert "What predicted usefulness here cannot be told" in told(result.predicts())
    assert told(result.predicts()) in text


def test_the_closest_pairs_are_shown(result: Result) -> None:
    pairs = pairs_of(result)
    assert list(pairs) == ["arm2"]
    assert pairs["arm2"].columns == 8
    assert pairs["arm2"].sheet.data in render(result)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ""),
        ([row("kernel", 0.1, [-0.2, 0.4]), row("ssim", None, None, "x")], "here: nothing. Every interval holds 0."),
        ([row("kernel", -0.6, [-0.8, -0.4]), row("ssim", 0.1, [-0.2, 0.4])], "here: kernel distance."),
        ([row("kernel", -0.6, None, "4 repeats; an interval needs 5")], "cannot be told: 4 repeats; an interval needs"),
    ],
)
def test_what_predicted_usefulness_is_said_in_a_sentence(rows: list[dict[str, Any]], words: str) -> None:
    assert words in told(rows)
    assert bool(told(rows)) == bool(rows)


def test_without_measures_there_is_no_section(
    result: Result, page: Page, without: Callable[..., Result], read: Callable[[str], Any]
) -> None:
    assert generated_of(without(("mix", "measures"))) is None
    text = read(render_page(replace(page, generated=None))).text
    assert "Generated pictures" not in text


def test_a_measure_that_failed_in_one_repeat_is_the_mean_of_the_others(without: Callable[..., Result]) -> None:
    made = generated_of(without(("mix", "measures"), repeats=(0,)))
    assert made is not None
    assert made.arms[0].repeats == 1
    assert len(made.arms[0].p_values) == 1


def test_an_arm_trained_on_the_same_pictures_alone_lends_its_score(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = result.study.arms
    alone = Arm("<b>bold</b>", generator=arms[2].generator, real=False)
    monkeypatch.setattr(result, "study", result.study.changed(arms=(arms[0], alone, *arms[2:])))
    made = generated_of(result)
    assert made is not None
    assert made.arms[0].alone == ("<b>bold</b>", result.scores("<b>bold</b>")["balanced_accuracy"]["mean"])


def test_flaws_mark_every_number(page: Page) -> None:
    html = render_page(replace(page, inflated="inflated because <x>"))
    section = html[html.index('<section id="generated">') : html.index('<section id="cost">')]
    body = section[section.index('<table class="measures">') : section.index("</table>", section.index("measures"))]
    assert body.count("<data") - body.count("interval") == body.count("inflated-mark")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-0.0012, "−0.0012"), (12.345, "12.35"), (345.67, "345.7"), (-0.00001, "0"), (-3.2, "−3.20")],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert measure(value) == text
