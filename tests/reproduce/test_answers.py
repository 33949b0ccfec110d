"""Answers in words: where to stop adding pictures, the staircase."""

from __future__ import annotations

from pathlib import Path

import pytest

from handful import run
from handful.reproduce import staircase
from handful.reproduce.response import response_table
from handful.reproduce.rows import pair_words, verdict_of
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


def test_without_the_original_pictures_there_is_no_response_to_the_first_step(tmp_path: Path) -> None:
    more = VAE_ARM.changed(name="vae 10", add=10)
    result = run(tiny(VAE_ARM, more, reference="vae"), tmp_path / "store", engine="serial")
    points = [(0, "baseline"), (5, "vae"), (10, "vae 10")]
    told, table = response_table(result, "response", "VAE", points)
    assert [row[0] for row in table.rows] == ["5 to 10"]
    assert told == "VAE: not enough repeats to say where to stop."


def test_under_flaws_the_response_is_no_verdict(tmp_path: Path) -> None:
    study = tiny("baseline", VAE_ARM, flaws=("synthetic-in-val",))
    told, _ = response_table(run(study, tmp_path, engine="serial"), "response", "VAE", [(0, "baseline"), (5, "vae")])
    assert "No verdict: inflated because validation holds synthetic pictures" in told


def test_against_the_reference_a_pair_is_told_as_in_the_table(tmp_path: Path) -> None:
    result = run(tiny("baseline", "augment", VAE_ARM, repeats=5), tmp_path, engine="serial")
    assert verdict_of(result, "vae") in pair_words(result, "vae", "baseline")
    assert "(95 %)" in pair_words(result, "vae", "augment")
    assert pair_words(result, "vae", "nobody") == ""


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
