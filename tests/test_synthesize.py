"""`handful generate`: a balanced set from the training part alone, and the same pictures again from what it saved."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import handful
from command_line import Handful
from handful import synthesize
from handful.data.images import content_of
from handful.errors import ConfigError, HandfulError
from handful.study.plan import draw_splits
from handful.study.study import resolve
from tiny_study import NAMES, write_pictures


@pytest.fixture
def command(handful_: Handful) -> Any:
    """Run `handful generate` and return (code, stdout, stderr)."""

    def run(*given: Any) -> tuple[int, str, str]:
        made = handful_("generate", *given)
        return made.code, made.out, made.err

    return run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("generate") / "pictures", 24, 16, 12)


FEW = ("--steps", "20", "--image-size", "8")


def read(folder: Path) -> dict[str, list[np.ndarray[Any, Any]]]:
    """Pictures by class, in the order of their names."""
    return {
        place.name: [np.asarray(Image.open(path)) for path in sorted(place.glob("*.png"))]
        for place in sorted(folder.iterdir())
    }


def test_the_balanced_set_is_written_with_all_that_made_it(command: Any, pictures: Path, tmp_path: Path) -> None:
    code, out, err = command(
        pictures, "--generator", "vae", "--fill-to", "18", *FEW, "--gate", "none", "-o", tmp_path / "out"
    )
    assert code == 0, err
    assert out.splitlines()[-1] == str(tmp_path / "out")
    made = tmp_path / "out"
    assert sorted(path.name for path in made.iterdir()) == [
        *("README.md", "balanced", "candidates", "card.json", "generated", "generator", "grids", "manifest.csv"),
        "original",
    ]
    original, generated, balanced = (read(made / name) for name in ("original", "generated", "balanced"))
    for name in NAMES:
        assert len(balanced[name]) == max(18, len(original[name]))
        assert len(balanced[name]) == len(original[name]) + len(generated.get(name, []))
    with (made / "candidates" / "ledger.csv").open(newline="") as file:
        assert sum(row["kept"] == "yes" for row in csv.DictReader(file)) == sum(map(len, generated.values()))
    assert {path.stem for path in (made / "grids").iterdir()} == set(generated)
    assert json.loads((made / "card.json").read_text())["about"]["generator"]["kind"] == "vae"
    assert not list(tmp_path.glob(".*")), "nothing hidden stays"


def test_only_the_training_part_is_seen_and_written(command: Any, pictures: Path, tmp_path: Path) -> None:
    assert (
        command(pictures, "--generator", "interpolate", "--add", "2", "--image-size", "8", "-o", tmp_path / "out")[0]
        == 0
    )
    source = handful.open_source(pictures)
    study = handful.Study(str(pictures), image_size=8, protocol=handful.Protocol(repeats=1))
    split = draw_splits(resolve(study, source), source)["", 0]
    written = {content for place in read(tmp_path / "out" / "original").values() for content in _contents(place)}
    images = handful.load(source, handful.View(size=8, channels=1))
    assert written == set(content_of(images.take(split.train).pixels).tolist())
    assert not written & set(content_of(images.take(split.test).pixels).tolist())


def _contents(pictures: list[Any]) -> list[bytes]:
    return list(content_of(np.stack(pictures)[:, None]).tolist())


def test_a_saved_generator_gives_the_same_pictures_again(command: Any, pictures: Path, tmp_path: Path) -> None:
    assert command(pictures, "--generator", "vae", "--add", "3", *FEW, "-o", tmp_path / "out")[0] == 0
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        labels = f"{NAMES[0]}=4,{NAMES[2]}=2"
        code, _, err = command("--from", tmp_path / "out", "--labels", labels, "--seed", seed, "-o", tmp_path / name)
        assert code == 0, err
    one, two, three = (read(tmp_path / name / "generated") for name in ("one", "two", "three"))
    assert {name: len(place) for name, place in one.items()} == {NAMES[0]: 4, NAMES[2]: 2}
    for name, place in one.items():
        np.testing.assert_array_equal(place, two[name])
        assert (np.stack(place) != np.stack(three[name])).any()


def test_an_interrupted_run_goes_on_and_ends_the_same(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = handful.Study(str(pictures), image_size=8)
    recipe = synthesize.generator_recipe("vae", steps=12)
    synthesize.generate_pictures(study, recipe, tmp_path / "whole", amount={"add": 3})
    real = synthesize.run_job

    def killed(store: str, job: dict[str, Any], device: str, **given: Any) -> str | None:
        if job["stage"] == "synthetic":
            raise KeyboardInterrupt
        return real(store, job, device, **given)

    monkeypatch.setattr(synthesize, "run_job", killed)
    with pytest.raises(KeyboardInterrupt):
        synthesize.generate_pictures(study, recipe, tmp_path / "again", amount={"add": 3})
    assert [path.name for path in tmp_path.glob(".*")] == [".again.work"]
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(synthesize, "run_job", real)
    told = {"progress": lambda done, of: steps.append((done, of))}
    synthesize.generate_pictures(study, recipe, tmp_path / "again", amount={"add": 3}, **told)  # type: ignore[arg-type]
    assert steps == [], "the fit was there already"
    whole, again = (read(tmp_path / name / "generated") for name in ("whole", "again"))
    for name, place in whole.items():
        np.testing.assert_array_equal(place, again[name])


def test_what_fails_while_computing_is_said(pictures: Path, tmp_path: Path) -> None:
    recipe = synthesize.generator_recipe("vae", steps=12)
    wild = recipe.changed(training=recipe.training.changed(optimizer="sgd", lr=1e20, schedule="constant"))  # type: ignore[attr-defined]
    with pytest.raises(HandfulError, match=r"generator: .*a lower lr is the usual remedy"):
        synthesize.generate_pictures(
            handful.Study(str(pictures), image_size=8), wild, tmp_path / "out", amount={"add": 3}
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--generator", "vea"), "unknown generator 'vea'; did you mean 'vae'?"),
        (("--generator", "interpolate", "--steps", "5"), "--steps: interpolate trains no network"),
        (("--generator", "interpolate", "--per-class"), "--per-class: interpolate trains no network"),
        (("--per-class", "--conditional"), "exclude each other"),
        (("--steps", "5", "--epochs", "5"), "two budgets"),
        (("--fill-to", "20", "--add", "5"), "two rules for one amount"),
        (("--fill-to", "many"), "fill_to"),
        (("--selection", "sim"), "did you mean 'ssim'?"),
        (("--gate", "copy"), "did you mean 'copies'?"),
        (("--labels", "a=3"), "--labels needs --from"),
        (("--generator", "gan", "--preset", "s9"), "s9"),
    ],
)
def test_what_does_not_go_is_said_before_anything_is_written(
    command: Any, pictures: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    code, out, err = command(pictures, *options, "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "PICTURES is missing"),
        (("--from", "nowhere"), "--from needs --labels"),
        (("--from", "nowhere", "--labels", "a=3", "--steps", "4"), "--steps is not for --from"),
        (("--from", "nowhere", "--labels", "a"), "expected CLASS=NUMBER"),
        (("--from", "nowhere", "--labels", "a=3"), "no generator here"),
    ],
)
def test_sampling_again_needs_a_generator_and_numbers(
    command: Any, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    code, _, err = command(*options, "-o", tmp_path / "out")
    assert code == 2
    assert said in err


def test_a_folder_of_something_else_is_left_alone(command: Any, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    code, _, err = command(pictures, *FEW, "-o", tmp_path / "out")
    assert code == 2
    assert "not an export of pictures" in err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_classes_that_were_not_there_are_named(command: Any, pictures: Path, tmp_path: Path) -> None:
    assert command(pictures, "--add", "1", *FEW, "-o", tmp_path / "out")[0] == 0
    code, _, err = command("--from", tmp_path / "out", "--labels", "nine=3", "-o", tmp_path / "more")
    assert code == 2
    assert "unknown class 'nine'" in err
    with pytest.raises(ConfigError, match="expected 1 or more"):
        synthesize.sample_pictures(tmp_path / "out", tmp_path / "more", {NAMES[0]: 0})
