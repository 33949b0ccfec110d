"""A network as a drawing and as a page: a box for each stage, as tall as its maps and as wide as they are many."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from handful.errors import ConfigError
from handful.nn.summary import Summary
from handful.report.html import environment
from handful.report.svg import short
from handful.study.summarized import Shown

PER_ROW, CELL, TALLEST, ROW = 7, 144, 96, 186
COLOURS = {"ink": "#1b1d21", "muted": "#5d636c", "accent": "#1f5fa8", "wash": "#edf3fa", "band": "#efede7"}


@dataclass(frozen=True)
class _Box:
    name: str
    kind: str
    shape: tuple[int, ...]
    note: str
    trained: bool


def write_summary(path: Path, networks: Sequence[Shown]) -> Path:
    """Write the page (.html) of all networks or the drawing (.svg) of the first, aside and renamed; return its path.

    Raises:
        ConfigError: another suffix, or a drawing of a generator.
    """
    if path.suffix not in (".html", ".svg"):
        raise ConfigError(f"{path}: a summary is written as .html or .svg")
    first = networks[0].summary
    if path.suffix == ".svg" and not first.stages:
        raise ConfigError(f"{path}: {networks[0].title} has no drawing, only a table of layers; write .html")
    text = page(networks) if path.suffix == ".html" else diagram(first, colours=COLOURS)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
    return path


def page(networks: Sequence[Shown]) -> str:
    """Return the page as HTML: of each network the drawing, where it has one, then the table of layers."""
    template = environment().get_template("network.html.j2")
    drawings = [Markup(diagram(one.summary)) if one.summary.stages else "" for one in networks]
    return template.render(
        title=networks[0].title, networks=list(zip(networks, drawings, strict=True)), shape=shape_words
    )


def diagram(summary: Summary, colours: dict[str, str] | None = None) -> str:
    """Return the stages as SVG.

    Args:
        colours: by name; None: the variables of a page's style sheet.
    """
    paint = colours or {name: f"var(--{name})" for name in COLOURS}
    boxes = [_Box("pictures", "", summary.picture, "", False)] + [
        _Box(
            one.name,
            one.kind,
            one.output,
            f"{number(one.parameters)} parameters",
            one.trained > 0 or not one.parameters,
        )
        for one in summary.stages
    ]
    rows = math.ceil(len(boxes) / PER_ROW)
    width, height = CELL * min(len(boxes), PER_ROW), ROW * rows
    tallest = max((side for box in boxes for side in box.shape[1:]), default=1)
    drawn = "".join(_drawn(box, place, tallest, place + 1 < len(boxes), paint) for place, box in enumerate(boxes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" style="--w: {width}px" '
        f'font-family="system-ui, sans-serif" font-size="11"><title>From pictures to classes</title>{drawn}</svg>'
    )


def _drawn(box: _Box, place: int, tallest: int, goes_on: bool, paint: dict[str, str]) -> str:
    left, top = CELL * (place % PER_ROW), ROW * (place // PER_ROW)
    side = max(box.shape[1:], default=1)
    tall = max(10.0, TALLEST * math.sqrt(side / tallest))
    wide = min(CELL - 50.0, 10 + 8 * math.log2(1 + (box.shape[0] if box.shape else 1)))
    middle, centre = left + CELL / 2 - 8, top + 10 + TALLEST / 2
    fill = paint["wash"] if box.trained else paint["band"]
    parts = [
        f'<rect x="{middle - wide / 2:.1f}" y="{centre - tall / 2:.1f}" width="{wide:.1f}" height="{tall:.1f}" rx="2" '
        f'fill="{fill}" stroke="{paint["accent"] if box.trained else paint["muted"]}"/>'
    ]
    if goes_on:
        parts.append(
            f'<path d="M{middle + wide / 2 + 6:.1f} {centre:.1f}h14m-4 -3l4 3l-4 3" fill="none" '
            f'stroke="{paint["muted"]}"/>'
        )
    notes = [(box.name, "ink"), (shape_words(box.shape), "ink"), (box.kind, "muted"), (_note(box), "muted")]
    for line, (text, colour) in enumerate(note for note in notes if note[0]):
        parts.append(
            f'<text x="{middle:.1f}" y="{top + TALLEST + 28 + 15 * line}" text-anchor="middle" fill="{paint[colour]}">'
            f"{escape(short(text, 23))}</text>"
        )
    return "".join(parts)


def _note(box: _Box) -> str:
    return box.note if box.trained or not box.note else f"{box.note}, frozen"


def shape_words(shape: tuple[int, ...]) -> str:
    """Return a shape as `512 × 2 × 2`."""
    return " × ".join(map(str, shape)) or "-"


def number(value: int) -> str:
    """Return a count with three digits and k, M or G."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)
