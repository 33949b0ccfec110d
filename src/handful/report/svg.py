"""Drawings as inline SVG: colours of the page, the same bytes for the same numbers, nothing fetched, names as text."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

POINT = 1.32  # CSS pixels of a point, so that 9 pt read as 11.5 px
LABEL = 22  # letters of a name that a figure has room for

# A drawing is made in these stand-ins, and each becomes a variable of the page's style sheet: light, dark and print.
INK, MUTED, RULE, PAPER, ACCENT = "#010101", "#010102", "#010103", "#010104", "#010105"
HELPS, HURTS, SAME, UNSURE, REAL, SYNTHETIC = "#010106", "#010107", "#010108", "#010109", "#01010a", "#01010b"
ON_ACCENT, BAND, FLAWED = "#01010c", "#01010d", "#01010e"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    ACCENT: "accent",
    HELPS: "helps",
    HURTS: "hurts",
    SAME: "same",
    UNSURE: "unsure",
    REAL: "real",
    SYNTHETIC: "synthetic",
    ON_ACCENT: "on-accent",
    BAND: "band",
    FLAWED: "flawed",
}
VERDICT_COLOURS = {"helps": HELPS, "hurts": HURTS, "no difference that matters": SAME, "cannot tell": UNSURE}

_STYLE = {
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.facecolor": "none",
    "font.size": 9,
    "legend.edgecolor": "none",
    "legend.facecolor": "none",
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "patch.linewidth": 0,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 8.5,
}


class Drawing:
    """A figure that becomes `svg` when its `drawing` block ends."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), layout="constrained")
        self.svg = ""


@contextmanager
def drawing(name: str, width: float, height: float, alt: str) -> Iterator[Drawing]:
    """Yield an empty figure of `width` x `height` inches, drawn at the end of the block.

    Args:
        name: unique in a page, letters, digits and hyphens; every id in the drawing starts with it.
        alt: what the drawing shows, for those who do not see it.
    """
    with style.context(["default", {**_STYLE, "svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that matplotlib's font lacks: the browser has its own
        made = Drawing(width, height)
        yield made
        buffer = io.StringIO()
        made.figure.savefig(buffer, format="svg", metadata={"Date": None})
        made.svg = inline(buffer.getvalue(), name, alt, width)


def inline(text: str, name: str, alt: str, width: float) -> str:
    """Return what matplotlib wrote, fit to stand in a page: own ids, the page's colours and fonts, no addresses."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([-0-9. ]+)"', text)
    assert box is not None
    body = body.replace("xlink:href=", "href=").replace("base64,\n", "base64,")
    body = body.replace(' target="_blank"', "")  # a link of a drawing leads to a place in its page
    body = re.sub(r'\bid="([^"<>]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"<>]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)<>]+)\)", rf"url(#{name}-\1)", body)
    for stand_in, variable in VARIABLES.items():
        body = body.replace(stand_in, f"var(--{variable})")
    body = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", body)
    pixels = round(width * 72 * POINT)
    head = f'<svg role="img" aria-label="{_attribute(alt)}" viewBox="{box.group(1)}" style="--w: {pixels}px">'
    return f"{head}{body}".rstrip()


def short(name: str, letters: int = LABEL) -> str:
    """Return a name cut to what a figure has room for."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def quiet(axes: Axes, *, grid: str = "y") -> None:
    """Take away what is not data, and add the lines along which values are read."""
    axes.grid(axis=grid, color=RULE, linewidth=0.6, alpha=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        if side[0] != {"y": "b", "x": "l"}[grid]:
            axes.spines[side].set_visible(False)


def whole_steps(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _attribute(text: str) -> str:
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(letter, entity)
    return text
