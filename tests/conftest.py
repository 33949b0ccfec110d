"""Fixtures for tests anywhere: a cache, real data, scanned digits, one thread, what is saved, and a command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from command_line import Handful
    from handful.data.images import LabeledImages

pytest.register_assert_rewrite("command_line", "plan_and_run")
NAMES = ("zero", "one", "four", "seven")
DIGITS = (0, 1, 4, 7)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test, empty; never the user's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HANDFUL_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; a test that asks for it carries the marker `data`."""
    given = os.environ.get("HANDFUL_DATA")
    if not given:
        pytest.skip("HANDFUL_DATA does not name the folder of real data sets")
    return Path(given)


@pytest.fixture
def alone() -> Iterator[None]:
    """Every job of handful runs with one torch thread."""
    from handful.nn.train import one_thread

    with one_thread():
        yield


@pytest.fixture(scope="session")
def digits() -> Callable[..., LabeledImages]:
    """digits(start, counts): scanned digits of four classes, 8 px grey, from the start-th of each class on."""
    from sklearn.datasets import load_digits

    from handful.data.images import LabeledImages

    images, targets = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)

    def take(start: int, counts: tuple[int, int, int, int]) -> LabeledImages:
        rows = np.concatenate(
            [np.flatnonzero(targets == digit)[start : start + num] for digit, num in zip(DIGITS, counts, strict=True)]
        )
        labels = np.repeat(np.arange(4), counts)
        return LabeledImages.of_arrays(pixels[rows], labels, NAMES)

    return take


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], dict[str, bytes]]:
    """saved(part): the bytes of every file that a generator or a classifier writes, by path."""

    def write(part: Any) -> dict[str, bytes]:
        folder = tmp_path / f"saved-{len(list(tmp_path.iterdir()))}"
        part.save(folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return write


@pytest.fixture
def handful_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Handful:
    """Run a command line in this process, as the script `handful` does."""
    from command_line import Ran
    from handful.cli import main

    def run(*given: Any) -> Ran:
        monkeypatch.setattr(sys, "argv", ["handful", *map(str, given)])
        monkeypatch.setenv("COLUMNS", "160")
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        made = capsys.readouterr()
        return Ran(code, made.out, made.err)

    return run
