"""What the README shows is run: its Python, its study file and its commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import handful
from handful.cli import app
from handful.study.run import run

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Two classes of noise in `pictures/`, in the folder the snippets are run from."""
    noise = np.random.default_rng(0)
    for name, level in (("cat", 40), ("dog", 160)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for place in range(12):
            pixels = (noise.integers(0, 60, (8, 8, 3)) + level).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{place}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pictures"


def test_the_python_of_the_readme_runs(pictures, monkeypatch):
    def quick(study, store):
        short = handful.VAE(training=handful.Training(steps=2))
        arms = [arm.changed(generator=short) if arm.generator else arm for arm in study.arms]
        small = study.changed(protocol=handful.Protocol(repeats=1), steps=2, arms=arms)
        return run(small, store, engine="serial")

    monkeypatch.setattr(handful, "run", quick, raising=False)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert [row["arm"] for row in names["rows"]] == ["baseline", "augment", "vae-80"]
    assert names["classifier"].about["arm"] == "augment"


def test_the_study_file_of_the_readme_is_read(pictures):
    (text,) = blocks("toml")
    Path("study.toml").write_text(text, encoding="utf-8")
    study = handful.read_study(Path("study.toml"))
    assert [arm.name for arm in study.arms] == ["baseline", "augment", "vae-80"]
    assert (study.protocol.repeats, study.classifier.view.size) == (10, 64)


def test_the_commands_of_the_readme_have_these_options(pictures):
    """Every `handful ...` line parses; unknown commands and options would exit with 2."""
    lines = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    handful ")]
    assert len(lines) >= 7
    for line in lines:
        command, *rest = shlex.split(line)[1:]
        shown = CliRunner().invoke(app, [command, "--help"]).output
        for option in (word for word in rest if word.startswith("-")):
            assert option in shown, line


def test_the_treatments_table_of_the_readme_is_the_table_of_arms():
    from handful.study.arms import ARMS

    assert re.findall(r"^\| `([a-z-]+)` \|", README, flags=re.MULTILINE) == list(ARMS)
