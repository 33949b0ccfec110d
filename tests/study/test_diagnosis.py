"""The diagnosis of an arm: in Python, in the JSON of a result, in its report and its status."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import handful
from handful import Result
from handful.cli import app
from handful.report.html import write_report
from handful.study.diagnosis import ArmDiagnosis
from tiny_study import tiny


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return handful.run(
        tiny("baseline", "augment", steps=6, repeats=2), tmp_path_factory.mktemp("store"), engine="serial"
    )


def test_an_arm_is_diagnosed_by_the_mean_of_its_runs(result):
    made = result.diagnosis("baseline")
    assert sorted(made.runs) == [0, 1]
    train = [run.evidence.train_accuracy for run in made.runs.values()]
    assert made.whole.evidence.train_accuracy == pytest.approx(sum(train) / 2)
    assert made.whole.evidence.val_accuracy == pytest.approx(
        sum(run.evidence.val_accuracy for run in made.runs.values()) / 2
    )
    best = max(result.diagnosis(arm).whole.evidence.val_accuracy for arm in result.arms)
    assert made.whole.shortfall == pytest.approx(best - made.whole.evidence.val_accuracy)


def test_runs_that_differ_are_told_beside_the_whole(result, tmp_path, monkeypatch):
    plain = result.diagnosis("augment")
    odd = replace(plain.whole, word="not converged", grade="slight", said="not converged at all")
    alike = replace(plain.whole, said="another number, the same word")
    made = ArmDiagnosis(plain.whole, {0: alike, 1: odd})
    assert made.differing == {1: odd}
    monkeypatch.setattr("handful.study.result.diagnoses_of", lambda result: {"augment": made})
    again = Result.of(result.store)
    page = write_report(again, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<li>repeat 0: another number, the same word</li>" in page
    assert "<li>repeat 1: not converged at all</li>" in page
    told = CliRunner().invoke(app, ["status", str(result.store.root)]).output
    assert f"    {plain.whole.said}\n      repeat 1: not converged at all\n" in told
    assert "another number" not in told


def test_json_report_and_status_say_the_same(result, tmp_path):
    said = result.diagnosis("augment").whole.said
    arms = {arm["name"]: arm for arm in json.loads(json.dumps(result.to_json(), allow_nan=False))["arms"]}
    assert arms["augment"]["diagnosis"]["said"] == said
    assert [run["repeat"] for run in arms["augment"]["diagnosis"]["runs"]] == [0, 1]
    assert said in write_report(result, tmp_path / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    told = CliRunner().invoke(app, ["status", str(result.store.root)])
    assert said in told.output
