"""The page as one HTML file that opens offline."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from handful.report import figures, plane_figures
from handful.report.collect import page_of
from handful.report.page import Page
from handful.report.pictures import Gallery, Pairs, gallery_of, pairs_of
from handful.scores import SCORES
from handful.study.result import Result

MINUS = "−"


def write_report(result: Result, path: str | Path) -> Path:
    """Write the report of a result into one HTML file, and return its path. It is written aside and renamed."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
    try:
        aside.write_text(render(result), encoding="utf-8")
        os.replace(aside, final)
    finally:
        aside.unlink(missing_ok=True)
    return final


def render(result: Result) -> str:
    """Return the report of a result as HTML. The same result gives the same text."""
    return render_page(page_of(result), gallery_of(result), pairs_of(result))


def render_page(page: Page, gallery: Gallery | None = None, pairs: Mapping[str, Pairs] | None = None) -> str:
    """Return a page as HTML."""
    template = environment().get_template("report.html.j2")
    drawn, recipe = _figures(page), _pretty(page.recipe)
    text = template.render(page=page, gallery=gallery, pairs=pairs or {}, figures=drawn, recipe=recipe)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def environment() -> jinja2.Environment:
    """Return the templates' environment: everything escaped, an unknown name an error, numbers formatted by filters."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("handful.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    forms = (score, points, size, small, measure, percent, count, duration, slug)
    made.filters.update({form.__name__: form for form in forms}, p=p_value, exact=repr)
    made.globals["format"] = {form.__name__: form for form in forms}
    made.globals["scores"] = SCORES
    return made


def _figures(page: Page) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "forest": figures.forest(page) if page.compared else "",
        "by_repeat": figures.by_repeat(page) if page.scored else "",
        "class_counts": figures.class_counts(page),
    }
    if page.planes and page.planes.shared:
        drawn["plane"] = plane_figures.shared_plane(page, page.planes.shared)
    drawn = {name: Markup(svg) for name, svg in drawn.items()}
    drawn["planes_named"] = len(page.class_names) <= plane_figures.LEGEND
    for name, kind in (("arm_planes", "arms"), ("own_planes", "own")):
        arms = getattr(page.planes, kind) if page.planes else ()
        drawn[name] = {arm.slug: Markup(plane_figures.arm_plane(page, arm, kind)) for arm in arms}
    drawn["curves"] = {arm.slug: Markup(figures.learning(page, arm)) for arm in page.arms if arm.panels}
    drawn["confusion"] = {
        arm.slug: Markup(figures.confusion(page, arm)) for arm in page.arms if arm.confusion is not None
    }
    drawn["reliability"] = {arm.slug: Markup(figures.reliability(page, arm)) for arm in page.calibrated}
    return drawn


def _pretty(recipe: dict[str, Any]) -> str:
    return json.dumps(recipe, indent=2, sort_keys=True, ensure_ascii=True)


def score(value: float | None) -> str:
    """Return a fraction in [0, 1] with three digits."""
    return "–" if value is None else f"{value:.3f}"


def points(value: float) -> str:
    """Return a difference in points, signed."""
    text = f"{100 * value:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", MINUS)


def size(value: float) -> str:
    """Return a difference in points, unsigned."""
    return f"{100 * value:g}"


def small(value: float) -> str:
    """Return an error with three significant digits."""
    return f"{value:.3g}"


def measure(value: float) -> str:
    """Return a measure with three significant digits, four decimals at most."""
    text = (
        f"{value:.1f}" if abs(value) >= 100 else f"{value:.{4 if abs(value) < 0.01 else 3 if abs(value) < 1 else 2}f}"
    )
    return "0" if float(text) == 0 else text.replace("-", MINUS)


def percent(value: float) -> str:
    """Return a level in percent, three digits at most."""
    return f"{100 * value:.3g}\N{NO-BREAK SPACE}%"


def p_value(value: float | None) -> str:
    """Return `< 0.001`, `0.012`, `0.52`."""
    if value is None:
        return "–"
    if value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def count(value: float | None) -> str:
    """Return a number of things, thousands apart."""
    return "–" if value is None else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return seconds as `48 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def slug(word: str) -> str:
    """Return a verdict as a class of the style sheet."""
    return word.replace(" ", "-")
