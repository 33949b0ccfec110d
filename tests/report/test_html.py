"""The file: complete, safe, the same for the same result, and with Result's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handful.report.collect import page_of
from handful.report.html import count, duration, p_value, percent, points, render, score, write_report
from handful.study.kept import Trained
from handful.study.result import Result


@pytest.fixture(scope="module")
def html(result: Result) -> str:
    return render(result)


@pytest.fixture(scope="module")
def page(html: str, read: Callable[[str], Any]) -> Any:
    return read(html)


def test_every_number_of_the_results_table_is_the_results_own(result: Result, page: Any) -> None:
    expected = []
    for arm in result.arms[:3]:  # the fourth is judged by reconstruction
        made, validation, versus = (
            result.scores(arm)["balanced_accuracy"],
            result.validation(arm),
            result.versus.get(arm),
        )
        assert validation is not None
        row: list[list[float]] = [[one["mean"], *(one["interval"] or [one["sd"]])] for one in (made, validation)]
        row += [[], [], []]
        if versus is not None:
            row[2] = [versus.estimate.value, *versus.estimate.interval]
            row[3] = [versus.p_adjusted] if versus.p_adjusted is not None else []
        expected.append(row)
    assert [row for row in page.rows if row] == expected


def test_printed_numbers_are_the_exact_ones_formatted(html: str) -> None:
    found = re.findall(r'<data value="([^"]+)">(0\.\d{3})</data>', html)
    assert len(found) > 30
    assert all(score(float(value)) == text for value, text in found)


def test_it_loads_nothing(html: str, page: Any) -> None:
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert not re.search(r"https?:|@import|//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", html))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)


def test_ids_are_unique_and_every_anchor_has_its_target(html: str, page: Any) -> None:
    assert len(page.ids) == len(set(page.ids))
    targets = [address[1:] for address in page.addresses if address.startswith("#")]
    targets += re.findall(r"url\(#([^)]*)\)", html)
    assert targets
    assert set(targets) <= set(page.ids)


def test_names_are_text_in_tables_and_figures(html: str, page: Any) -> None:
    assert "<script>" not in html
    assert "<b>bold" not in html
    assert page.text.count("<script>alert(1)</script>") > 3
    assert "$x$ & $\\frac$" in page.text
    assert 'quo"te' in page.text
    svgs = " ".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "&lt;script&gt;alert" in svgs
    assert "$x$ &amp; $\\frac$" in svgs


def test_the_same_result_gives_the_same_bytes(result: Result, html: str, tmp_path: Path) -> None:
    again = Result.of(result.store)
    assert write_report(again, tmp_path / "deep" / "report.html").read_text(encoding="utf-8") == html
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_two_repeats_give_no_verdict_and_say_so(page: Any) -> None:
    assert "No verdict: 2 repeats" in page.text
    assert "A verdict needs 5 repeats or more." in page.text
    assert "helps" not in page.text


def test_what_a_reader_needs_to_do_it_again_is_there(result: Result, html: str, page: Any) -> None:
    for text in (result.page["digest"], result.page["source"]["digest"], result.page["versions"]["torch"]):
        assert text in html
    for split in result.page["splits"]:
        assert split["digest"] in html
    for job in result.page["jobs"]:
        assert str(job["spec"].get("seed", "")) in html
    assert "on this training pool, for new pictures and new training runs" in page.text
    assert "<title>No verdict: 2 repeats · arrays · handful report</title>" in html


def test_every_picture_has_a_text_instead(html: str) -> None:
    assert all('alt="' in one for one in re.findall(r"<img[^>]*>", html))
    assert all('aria-label="' in one for one in re.findall(r"<svg[^>]*>", html))


def test_an_arm_judged_by_reconstruction_has_a_table_of_its_own(result: Result, html: str, page: Any) -> None:
    assert "Judged by reconstruction" in page.text
    mean = result.scores("rebuild")["reconstruction_mse"]["mean"]
    assert f'<data value="{mean!r}">{mean:.3g}</data>' in html


def test_failed_jobs_are_shown_with_their_errors(without: Callable[..., Result], read: Callable[[str], Any]) -> None:
    lost = without(("mix", "predictions"), ("mix", "classifier"))
    html = render(lost)
    page = read(html)
    assert "4 jobs failed." in page.text
    assert "ValueError: <i>no</i>" in page.text
    assert "<i>" not in html
    assert "<u>" not in html
    assert "mix: 0 of 2 repeats are finished" in page.text
    assert "no repeat is finished" in page.text


@pytest.mark.parametrize("arms", [("baseline",), ("baseline", "<b>bold</b>", "mix")], ids=["reference", "all"])
def test_a_study_without_results_still_renders(without: Callable[..., Result], arms: tuple[str, ...]) -> None:
    html = render(without(*((arm, stage) for arm in arms for stage in ("predictions", "classifier"))))
    assert "No verdict: nothing to compare yet" in html


def test_one_finished_repeat_renders(without: Callable[..., Result]) -> None:
    lost = without(("baseline", "predictions"), ("mix", "predictions"), ("mix", "synthetic"), repeats=(0,))
    page = page_of(lost)
    assert [arm.repeats for arm in page.arms] == [1, 2, 1, 2]
    assert page.arms[2].trained == Trained(0, (13, 9, 6), (0, 4, 7))
    assert "1 of 2 repeats are finished" in render(lost)


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (score, 0.9316, "0.932"),
        (score, None, "–"),
        (points, 0.0512, "+5.1"),
        (points, -0.0004, "0.0"),
        (points, -0.031, "−3.1"),
        (percent, 0.95, "95\u00a0%"),
        (percent, 1 - 0.05 / 3, "98.3\u00a0%"),
        (p_value, 0.0004, "<\u00a00.001"),
        (p_value, 0.0123, "0.012"),
        (p_value, 0.5189, "0.52"),
        (p_value, None, "–"),
        (count, 12800.0, "12,800"),
        (duration, 0.31, "0.3 s"),
        (duration, 92.3, "2 min"),
        (duration, 9000, "2.5 h"),
    ],
)
def test_formats(form: Callable[[Any], str], value: float | None, text: str) -> None:
    assert form(value) == text
