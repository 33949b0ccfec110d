"""What tests of networks share."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest

from handful.nn import weight_files


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights, empty, on a machine without a network."""

    def no_network(url: str, timeout: float) -> None:
        raise urllib.error.URLError("no route to host")

    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(folder))
    monkeypatch.setattr(weight_files.urllib.request, "urlopen", no_network)
    return folder
