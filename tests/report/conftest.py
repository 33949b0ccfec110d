"""A tiny finished study with names that try to break the page, and a reader of HTML."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from handful.generate.interpolate import Interpolation
from handful.generate.vae import VAE
from handful.nn.train import Training
from handful.study.arms import Arm
from handful.study.protocol import Protocol
from handful.study.result import Result
from handful.study.run import run
from handful.study.store import Store
from handful.study.study import Study

NAMES = ("<script>alert(1)</script>", "$x$ & $\\frac$", 'quo"te')
TINY = VAE(width=4, depth=1, latent=2, training=Training(steps=2))


def pictures() -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Three classes of 20, 14 and 10 pictures that a bright row tells apart."""
    labels = np.repeat([0, 1, 2], [20, 14, 10])
    pixels = np.random.default_rng(0).integers(0, 100, (len(labels), 8, 8), dtype=np.uint8)
    for row, label in enumerate(labels):
        pixels[row, 2 * label + 1] += 35
    return pixels, labels, NAMES


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a study of two repeats, four arms; one of them is judged by reconstruction."""
    arms = (
        Arm("baseline"),
        Arm("<b>bold</b>", balance="oversample"),
        Arm("mix", generator=Interpolation()),
        Arm("rebuild", generator=TINY, judged_by="reconstruction"),
    )
    root = tmp_path_factory.mktemp("report") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(root.parent / "cache"))
        study = Study(pictures(), arms=arms, steps=6, measures="pixels", protocol=Protocol(repeats=2))
        run(study, root, budget=None, engine="serial", device="cpu")
    return root


@pytest.fixture(scope="session")
def result(stored: Path) -> Result:
    return Result.of(Store.existing(stored))


@pytest.fixture
def without(stored: Path, tmp_path: Path) -> Callable[..., Result]:
    """A result of the same study in which jobs of some (arm, stage) failed in some repeats."""

    def lose(*lost: tuple[str, str], repeats: tuple[int, ...] = (0, 1)) -> Result:
        root = tmp_path / "store"
        shutil.copytree(stored, root)
        before = Result.of(Store.existing(root))
        for arm, stage in lost:
            for repeat, key in before.keys(arm, stage).items():
                if repeat in repeats:
                    shutil.rmtree(before.store.folder(key))
                    failure = {"error": "ValueError: <i>no</i>", "traceback": "Traceback\n  <u>here</u>"}
                    before.store.fail(key, failure)
        return Result.of(Store.existing(root))

    return lose


class Reader(HTMLParser):
    """What a page holds: tags, addresses, ids, anchors, and the cells of each table row by the table's class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[list[float]]] = []
        self.row_names: list[str] = []
        self.words: list[str] = []
        self._table, self._cell = "", False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.addresses += [
            given[name] for name in ("src", "href", "xlink:href", "action", "srcset", "poster") if name in given
        ]
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "table":
            self._table = given.get("class", "")
        if self._table == "results":
            if tag == "tr":
                self.rows.append([])
            elif tag == "td":
                self.rows[-1].append([])
            elif tag == "data":
                self.rows[-1][-1].append(float(given["value"]))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def read() -> Callable[[str], Reader]:
    return Reader
