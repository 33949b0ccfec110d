"""The page and the terminal lines of `handful look`."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from handful.cli import app
from handful.data.drift import compare_sets
from handful.data.look import look
from handful.data.source import open_source
from handful.report.look import PER_CLASS, render_look
from handful.report.look_lines import MOST, drift_lines, lines
from handful.report.thumbs import thumb_data
from handful.show import print_look

HOSTILE = '<b>&"x'


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, one with a name that is markup; a copy across parts, a picture in both classes, faults."""
    root, stream = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for name in (HOSTILE, "plain"):
        for part, num in (("train", 12), ("test", 3)):
            (root / part / name).mkdir(parents=True)
            for place in range(num):
                pixels = stream.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{place}.png")
    train, test = root / "train", root / "test"
    (test / "plain" / "copy.png").write_bytes((train / "plain" / "0.png").read_bytes())
    (test / "plain" / "conflict.png").write_bytes((train / HOSTILE / "0.png").read_bytes())
    Image.new("L", (24, 20), 9).save(train / "plain" / "blank\nname.png")
    for number in range(MOST + 2):
        (train / "plain" / f"bad{number}.png").write_bytes(b"text")
    return root


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def opened(pictures: Path):
    return open_source(pictures, skip_unreadable=True)


def test_the_page_is_complete_loads_nothing_and_escapes_names(pictures: Path) -> None:
    source = opened(pictures)
    text = render_look(source, look(source))
    seen = Seen(text)
    loaded = [value or "" for _, given in seen.tags for key, value in given.items() if key in ("src", "href")]
    assert all(value.startswith(("data:image/", "#")) for value in loaded)
    assert not re.search(r"https?://", text)
    assert not {tag for tag, _ in seen.tags} & {"script", "iframe", "link"}
    assert not [tag for tag, given in seen.tags if tag == "b" and 'x"' in given]
    assert "blank\\nname.png" in text
    anchors = {given["id"] for _, given in seen.tags if "id" in given}
    assert {value[1:] for value in loaded if value.startswith("#")} <= anchors


def test_the_page_has_pictures_of_every_class_and_of_what_was_found(pictures: Path) -> None:
    source = opened(pictures)
    seen = Seen(render_look(source, look(source)))
    shown = [given for tag, given in seen.tags if tag == "img"]
    captions = [given["alt"] for given in shown]
    assert sum(caption == "plain, test, 1 file" for caption in captions) == 2
    assert f"{HOSTILE}, train, 1 file" in captions
    assert any("nearly one colour" in str(caption) for caption in captions)
    assert len(shown) == 2 * PER_CLASS + 2 * 2 + 1


def test_the_same_findings_give_the_same_page(pictures: Path) -> None:
    source = opened(pictures)
    assert render_look(source, look(source)) == render_look(source, look(source))
    assert render_look(source, look(source, seed=1)) != render_look(source, look(source))


def test_a_page_of_skipped_checks_says_so(pictures: Path) -> None:
    source = opened(pictures)
    seen = Seen(render_look(source, look(source, skip=["near-copies", "doubts", "flips"])))
    assert sum(word.strip() == "Not checked." for word in seen.words) == 3


def test_lines_start_with_what_spoils_results(pictures: Path) -> None:
    said = lines(look(opened(pictures)).to_json())
    bad = [line.text for line in said if line.tone == "bad"]
    assert [line.tone for line in said][: len(bad)] == ["bad"] * len(bad)
    assert bad[0] == "cannot be read: train/plain/bad0.png: not a picture of a known format"
    assert bad[MOST] == "cannot be read: 2 more"
    assert bad[MOST + 1].startswith("identical pictures with different labels: train/<b>")
    assert bad[MOST + 2] == "copies: 2 files repeat an earlier one, 2 pictures in more than one part"
    assert any(r"'train/plain/blank\nname.png'" in line.text for line in said)


def test_a_clean_set_has_nothing_bad() -> None:
    said = lines(look(open_source("digits")).to_json())
    assert not [line for line in said if line.tone == "bad"]
    assert "copies: 0 files repeat an earlier one, 0 pictures in more than one part" in [line.text for line in said]


def test_two_sets_side_by_side(pictures: Path, tmp_path: Path) -> None:
    stream = np.random.default_rng(1)
    for name in ("plain", "extra"):
        (tmp_path / "other" / name).mkdir(parents=True)
        for place in range(3):
            pixels = stream.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "other" / name / f"{place}.png")
    (tmp_path / "other" / "plain" / "same.png").write_bytes((pictures / "train" / "plain" / "5.png").read_bytes())
    source, other = opened(pictures), open_source(tmp_path / "other")
    drift = compare_sets(source, other)
    told = [line.text for line in drift_lines(drift.to_json())]
    assert told[0].endswith("and other share 1 picture and 0 near copies")
    assert "classes only in other: extra" in told
    text = render_look(source, look(source), other, drift)
    assert 'id="against"' in text
    assert text.count("plain/same.png") == 1


@pytest.mark.parametrize(("size", "kind", "largest"), [((30, 40), "png", 40), ((50, 200), "jpeg", 96)])
@pytest.mark.parametrize("channels", [1, 3])
def test_thumbnails_are_small_and_keep_their_shape(
    size: tuple[int, int], kind: str, largest: int, channels: int
) -> None:
    data = thumb_data(np.full((channels, *size), 100, np.uint8))
    assert data.startswith(f"data:image/{kind};base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
    assert max(image.size) == largest
    assert image.size[0] / image.size[1] == pytest.approx(size[1] / size[0], rel=0.05)
    assert abs(int(np.asarray(image).mean()) - 100) <= 1


def test_the_command_prints_writes_and_tells_json(pictures: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep" / "look.html"
    made = CliRunner().invoke(app, ["look", str(pictures), "-o", str(page), "--against", "digits"])
    assert made.exit_code == 0, made.output
    assert "cannot be read: train/plain/bad0.png" in made.output
    assert "share 0 pictures" in made.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    told = CliRunner().invoke(app, ["look", str(pictures), "--json", "--skip", "doubts, flips"])
    found = json.loads(told.stdout)
    assert found["copies"]["exact"] == 2
    assert found["skipped"] == ["doubts", "flips"]
    assert "against" not in found


def test_without_an_output_no_page_is_written(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    print_look(look(opened(pictures)).to_json())
    assert "copies: 2 files" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_classes_that_mirror_each_other_are_named_with_the_arm_that_makes_use_of_it() -> None:
    """Bright on the left, bright on the right, and a bar."""
    noise = np.random.default_rng(0).integers(0, 60, (45, 3, 32, 32))
    noise[:15, ..., :12] += 150
    noise[15:30, ..., 20:] += 150
    noise[30:, ..., 10:22] += 150
    source = open_source((noise.astype(np.uint8), np.repeat([0, 1, 2], 15), ("left", "right", "bar")))
    said = [line.text for line in lines(look(source, skip=["near-copies", "doubts"]).to_json())]
    assert "each other's mirror images: left and right; the arm `mirror` lends them pictures" in said
    assert any(line.startswith("a horizontal flip is unsafe: it turns left into right (15 of 15") for line in said)
