"""The page: verdicts in one line, flaws, cuts, and what a hand-made page looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from handful.report.collect import headline, page_of
from handful.report.facts import digests_of
from handful.report.html import render_page
from handful.report.page import ArmPage, ClassCount, ClassRow, Comparison, Page
from handful.study.kept import Trained
from handful.study.result import Result


@pytest.fixture(scope="module")
def page(result: Result) -> Page:
    return page_of(result)


def judged(page: Page, *words: str | None, reference: str = "baseline") -> tuple[ArmPage, ...]:
    """The reference and one arm for each verdict, named a, b, c."""
    arms = [page.arms[0]]
    for place, word in enumerate(words):
        made = Comparison(word, reference, 0.051 - 0.01 * place, (0.03, 0.0721), 0.98, 0.0004, "a reason", 5)
        arms.append(replace(page.arms[1], name="abc"[place], slug=f"x{place}", comparison=made))
    return tuple(arms)


@pytest.mark.parametrize(
    ("words", "kind", "title"),
    [
        (("helps",), "helps", "a helps"),
        (("helps", "hurts"), "helps", "a helps"),
        (("helps", "helps", "cannot tell"), "helps", "a and b help"),
        (("hurts", "cannot tell"), "hurts", "No treatment is shown to help"),
        (("cannot tell", "no difference that matters"), "cannot tell", "No treatment is shown to help"),
        (("no difference that matters",), "no difference that matters", "No difference that matters"),
        (("cannot tell", "cannot tell"), "cannot tell", "No treatment can be told from baseline"),
        (("cannot tell",), "cannot tell", "The treatment cannot be told from baseline"),
        ((None, None), "none", "No verdict: 5 repeats"),
        ((), "none", "No verdict: one arm only"),
    ],
)
def test_headline(page: Page, words: tuple[str | None, ...], kind: str, title: str) -> None:
    made = headline(judged(page, *words), "", "balanced accuracy", "baseline")
    assert (made.kind, made.title) == (kind, title)
    assert (made.lead is not None) == (kind == "helps")


def test_the_verdict_is_the_first_thing_on_the_page(page: Page, read: Callable[[str], Any]) -> None:
    arms = judged(page, "helps", "hurts")
    shown = replace(page, arms=arms, headline=headline(arms, "", page.score_words, "baseline"))
    text = read(render_page(shown)).text
    start = text.index("a helps", text.index("handful report · arrays"))
    assert "+5.1 points of balanced accuracy" in text[start : start + 80]
    assert "(98\u00a0% interval +3.0 to +7.2)" in text.replace(" % interval", "\u00a0% interval")
    assert "▲ helps" in text
    assert "▼ hurts" in text
    assert "< 0.001" in text.replace("\u00a0", " ")


def test_flaws_stand_beside_every_number_and_take_the_verdict(
    result: Result, read: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    flawed = Result(result.store, {**result.page, "study": {**result.page["study"]}})
    monkeypatch.setattr(
        flawed, "study", result.study.changed(protocol=result.protocol.changed(flaws=("synthetic-in-val",)))
    )
    why = "inflated because validation holds synthetic pictures and the real ones they were made from"
    html = render_page(page_of(flawed))
    page = read(html)
    numbers = sum(1 for row in page.rows for cell in row if cell)
    assert flawed.inflated == why
    assert "No verdict" in page.text
    assert "helps" not in page.text
    table = html[html.index('<table class="results">') : html.index("</table>")]
    assert table.count(f'<span class="inflated">{why}</span>') == numbers
    assert "for new pictures and new training runs" not in page.text


def test_cuts_unreadable_files_and_notes_are_named(page: Page, read: Callable[[str], Any]) -> None:
    made = replace(
        page,
        cuts=("5 repeats instead of 10",),
        notes=("3 files repeat the picture of an earlier one",),
        unreadable=(("a/<img src=x>.png", "no picture"),),
    )
    html = render_page(made)
    text = read(html).text
    assert "5 repeats instead of 10" in text
    assert "3 files repeat the picture" in text
    assert "a/<img src=x>.png" in text
    assert "<img src=x>" not in html


def test_many_classes_and_odd_letters_render(page: Page, read: Callable[[str], Any]) -> None:
    names = [f"class {place}" for place in range(55)] + ["日本語", "a" * 80, "𝛼 \u202e"]
    rows = tuple(ClassRow(name, 0.5, 0.25, 0.333, 4) for name in names)
    counts = np.eye(58, dtype=np.int64)
    arms = (replace(page.arms[0], per_class=rows, confusion=counts, trained=Trained(0, (7,) * 58, (5,) * 58)),)
    made = replace(page, arms=arms, classes=tuple(ClassCount(name, 8, 2, 4) for name in names))
    html = render_page(made)
    assert "日本語" in read(html).text
    assert "data:image/png;base64" in html


def test_a_name_that_is_not_printable_is_quoted(result: Result) -> None:
    source = {**result.page["source"], "name": "x\ud800\n", "class_names": ["a\u202eb", "c\x00", "d"]}
    html = render_page(page_of(Result(result.store, {**result.page, "source": source})))
    assert "&#39;x\\ud800\\n&#39;" in html
    assert "a\\u202eb" in html
    assert "\x00" not in html


def test_the_arms_of_the_page_hold_what_the_result_computes(result: Result, page: Page) -> None:
    for arm, name in zip(page.arms[:3], result.arms, strict=False):
        scores = result.scores(name)
        assert {key: (one.mean, one.values) for key, one in arm.scores.items()} == {
            key: (one["mean"], tuple(one["values"])) for key, one in scores.items()
        }
        assert arm.confusion is not None
        assert arm.confusion.tolist() == result.confusion(name).tolist()
        listed = [
            {key: list(one) if isinstance(one, tuple) else one for key, one in vars(row).items()}
            for row in arm.per_class
        ]
        assert listed == result.per_class(name)
    assert [vars(row) for row in page.classes] == result.classes


def test_the_report_says_what_weights_every_network_started_from(result: Result) -> None:
    facts = {fact.name: fact.value for fact in digests_of(result)}
    fitted = [arm for arm in result.arms if result.keys(arm, "classifier")]
    assert len(fitted) > 1
    for arm in result.arms:
        assert facts.get(f"first weights of {arm}") == ("random" if arm in fitted else None)
        assert result.start(arm) == ({"source": "random", "digest": ""} if arm in fitted else {})
