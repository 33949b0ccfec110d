"""What tests of the command line share: what a command left, what it refused, and a study that it ran."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import handful
from tiny_study import write_study

HERE = ("--engine", "serial", "--device", "cpu", "--budget", "0")


class Ran:
    """What a command left: exit code, standard output and standard error."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Handful = Callable[..., Ran]


def run_study(folder: Path) -> Path:
    """A folder with pictures, a study file, and a store that a run of it wrote."""
    study = handful.read_study(write_study(folder))
    result = handful.run(study, folder / "store", budget=None, engine="serial", device="cpu")
    assert result.jobs == {"finished": 12, "failed": 0, "open": 0}
    return folder


def refused(made: Ran, *words: str) -> list[str]:
    """The fault lines of a command that refused its input."""
    assert made.code == 2, made.err
    assert "Traceback" not in made.out + made.err
    lines = made.err.splitlines()
    assert lines
    assert all(line.startswith("handful: ") for line in lines), made.err
    for word in words:
        assert any(word in line for line in lines), f"{word!r} is not in {lines}"
    return lines


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
