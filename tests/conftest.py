"""Fixtures for tests anywhere: a cache of their own, the real data of HANDFUL_DATA, one thread, the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from command_line import Handful

pytest.register_assert_rewrite("command_line", "plan_and_run")


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
