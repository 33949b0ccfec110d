"""Fixtures for every test: a cache of its own, and the real data where HANDFUL_DATA names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


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
