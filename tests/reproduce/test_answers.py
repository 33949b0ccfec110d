"""Answers in words: where to stop adding pictures, the staircase."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful import run
from handful.reproduce import staircase
from handful.reproduce.response import response_table
from handful.reproduce.run import reproduce
from handful.reproduce.scale import SCALES
from handful.reproduce.staircase import STEPS
from handful.reproduce.table import STUDIES
from tiny_study import VAE_ARM, tiny


def test_where_nothing_is_shown_to_gain_the_answer_is_to_stop(tmp_path: Path) -> None:
    result = run(tiny("baseline", VAE_ARM), tmp_path / "store", engine="serial")
    told, table = response_table(result, "response", "VAE", [(0, "baseline"), (5, "vae")])
    assert [row[0] for row in table.rows] == ["0 to 5"]
    assert told.startswith("VAE: ")
    assert "Too few repeats for a verdict" in told


def test_the_staircase_says_what_each_step_removed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = STUDIES["signs-diffusion"]
    finished = reproduce(entry, tmp_path, SCALES["tiny"], (), engine="serial", say=list)
    made = staircase.section(finished)
    (table,), (figure,) = made.tables, made.figures
    assert [row[0] for row in table.rows] == [step.what for step in STEPS]
    assert [row[3] for row in table.rows] == [step.removed for step in STEPS]
    assert [row[4] == "nothing" for row in table.rows] == [False, False, True, True, True]
    assert "synthetic" in table.rows[0][4]
    assert "synthetic" not in table.rows[1][4]
    assert "<svg" in figure
