"""The page and the terminal lines of `handful measure`."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from handful.data.aligned import align
from handful.data.source import open_source
from handful.measure.measure_sets import measure_sets
from handful.report.measure import Track, render_measured, track, write_measured
from handful.report.measure_lines import faults, measure_lines, number, told_of
from handful.show import print_measures

HOSTILE = '<b>&"x'


class Seen(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def write(folder, num, seed, side=8):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for place in range(num):
        smooth = np.kron(rng.integers(0, 256, (2, 2, 3)), np.ones((side // 2, side // 2, 1)))
        Image.fromarray(smooth.astype(np.uint8)).save(folder / f"{place}.png")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two classes, one with a name that is markup; one copy among the synthetic, one among the held-out pictures."""
    root = tmp_path_factory.mktemp("sets")
    for seed, name in enumerate((HOSTILE, "plain")):
        write(root / "real" / name, 10, seed)
        write(root / "made" / name, 8, 10 + seed)
        write(root / "more" / name, 9, 20 + seed)
    for folder in ("made", "more"):
        (root / folder / "plain" / "copy.png").write_bytes((root / "real" / "plain" / "3.png").read_bytes())
    return root


@pytest.fixture(scope="module")
def found(sets):
    aligned = align(*(open_source(sets / name) for name in ("real", "made", "more")))
    return aligned, measure_sets(aligned.real, aligned.synthetic, aligned.held_out, extractor="pixels", per_class=True)


def test_the_page_is_complete_loads_nothing_and_escapes_names(found):
    text = render_measured(*found)
    seen = Seen(text)
    loaded = [value or "" for _, given in seen.tags for key, value in given.items() if key in ("src", "href")]
    assert all(value.startswith(("data:image/", "#")) for value in loaded)
    assert not {tag for tag, _ in seen.tags} & {"script", "iframe", "link"}
    assert not [tag for tag, given in seen.tags if tag == "b" and 'x"' in given]
    anchors = {given["id"] for _, given in seen.tags if "id" in given}
    assert {value[1:] for value in loaded if value.startswith("#")} <= anchors
    assert render_measured(*found) == text


def test_the_worst_copy_comes_first_beside_its_training_picture(found):
    text = render_measured(*found)
    section = text[text.index('id="pairs"') : text.index('id="numbers"')]
    first, second = re.findall(r'title="([^"]+)"', section)[:2]
    assert (first, second) == ("plain/copy.png", "plain/3.png")
    assert section.count("<figure>") == 2 * 17
    assert section.index("<b>exact copy<") < section.index("<b>ratio ")


def test_the_page_has_grids_of_all_three_sets_and_pairs_of_each_class(found):
    text = render_measured(*found)
    for what in ("real", "synthetic", "held-out"):
        assert f'alt="{what} pictures drawn at random, a row per class"' in text
    section = text[text.index('id="classes"') : text.index('id="pictures"')]
    assert section.count("<details>") == 2
    assert section.count("<figure>") == 2 * 2 * 6


def test_every_measure_is_on_the_page_with_its_number_or_why_there_is_none(found):
    text = render_measured(*found)
    for row in told_of(*found)["whole"]["rows"]:
        assert f'<th scope="row">{row["title"]}' in text
        assert row["value"] is not None or row["fault"].split(";")[0][:40] in text.replace("&#39;", "'")


def test_a_track_places_numbers_from_the_smallest_to_the_largest():
    row = {"value": 2.0, "floor": 1.0, "copies": 0.0, "noise": 4.0}
    assert track(row) == Track(value=50, floor=25, copies=0, noise=100)
    assert track({**row, "floor": None}) is None
    assert track(dict.fromkeys(row, 1.0)) is None


def test_the_lines_name_copies_by_file_and_say_copying_first(found):
    lines = measure_lines(told_of(*found))
    assert lines[0].tone == "bad"
    assert lines[0].text == "copies: 1 of 17 synthetic pictures are training pictures: plain/copy.png = plain/3.png"
    held = [line.text for line in lines if "held-out pictures are training pictures" in line.text]
    assert held == ["1 of 19 held-out pictures are training pictures, left out: plain/copy.png = plain/3.png"]
    order = [line.text.split(":")[0] for line in lines]
    assert order.index("copies") < order.index("fidelity") < order.index("diversity")


def test_the_verdict_is_said_in_words_for_every_outcome(found):
    told = json.loads(json.dumps(told_of(*found))) | {"exact": []}
    said = {}
    for verdict, p in (("copies", 0.01), ("nearer", 0.0001), ("none shown", 0.4), ("cannot tell", 0.5)):
        tests = {**dict.fromkeys(told["tests"], p / 3), "authenticity": 0.9}
        said[verdict] = measure_lines({**told, "verdict": verdict, "p": p, "tests": tests, "smallest_p": 0.2})[0]
    assert [line.tone for line in said.values()] == ["bad", "warn", "good", "warn"]
    assert "(p = 0.01)" in said["copies"].text
    assert "(p < 0.001)" in said["nearer"].text
    assert "smooth pictures" in said["nearer"].text
    assert "no copying shown (p = 0.4)" in said["none shown"].text
    assert "allow no p below 0.2" in said["cannot tell"].text
    tests = {"near_copies": 1.0, "authenticity": 0.0001, "distance": 0.0001}
    close = measure_lines({**told, "verdict": "nearer", "p": 0.0003, "tests": tests})[0]
    assert close.tone == "bad"
    assert "closer to one than its nearest other training picture" in close.text
    num = {role: number for role, number in told["whole"]["num"].items() if role != "held_out"}
    drawn = {role: number for role, number in told["drawn"].items() if role != "held_out"}
    alone = {**told, "verdict": "cannot tell", "p": None, "tests": {}, "drawn": drawn}
    alone = measure_lines({**alone, "whole": {**told["whole"], "num": num}})
    assert "--held-out" in alone[0].text


def test_without_classes_and_held_out_pictures_there_is_still_a_page(sets, tmp_path):
    aligned = align(
        open_source(sets / "real" / "plain", unsorted=True), open_source(sets / "made" / "plain", unsorted=True)
    )
    measured = measure_sets(aligned.real, aligned.synthetic, extractor="pixels", per_class=True)
    path = write_measured(tmp_path / "new" / "page.html", aligned, measured)
    text = path.read_text(encoding="utf-8")
    assert 'id="classes"' not in text
    assert "the other half of the real pictures" in text
    assert list(path.parent.iterdir()) == [path]


def test_the_terminal_says_the_same_numbers(found, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    told = told_of(*found)
    print_measures(told)
    out = capsys.readouterr().out
    assert out.startswith("!! copies: 1 of 17")
    kernel = next(row for row in told["whole"]["rows"] if row["name"] == "kernel")
    (line,) = [line for line in out.splitlines() if line.strip().startswith("kernel distance")]
    assert [number(kernel[name]) in line for name in ("value", "floor", "copies", "noise")] == [True] * 4
    assert kernel["on"] in line
    assert "FID, Inception Score: no weights: put " in out
    assert HOSTILE in out


def test_numbers_have_three_digits_and_faults_are_said_once():
    assert [number(value) for value in (0.12345, -0.0, 12345.6, None, 1e-9)] == ["0.123", "0", "12,346", "", "1e-09"]
    rows = [{"title": title, "value": None, "fault": "few"} for title in "ab"] + [{"title": "c", "value": 1.0}]
    assert faults(rows) == [("a, b", "few")]
