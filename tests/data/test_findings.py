"""`look` finds what was planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful.data.channels import channels_of
from handful.data.drift import compare_sets
from handful.data.features import colour_features, shape_features, squared_distances
from handful.data.look import CHECKS, SAMPLE, first_rows, look, sample
from handful.data.neighbours import find_doubts
from handful.data.source import open_source
from handful.data.stored import format_of
from handful.data.triage import triage
from handful.errors import ConfigError


def scene(stream: np.random.Generator, level: int, size: int = 48) -> Image.Image:
    """A smooth random picture around a level of brightness."""
    coarse = np.clip(stream.normal(level, 40, (12, 12, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with parts; every kind of fault once."""
    root, stream = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    for name, level in (("dark", 50), ("light", 200)):
        for part, num in (("train", 14), ("test", 5)):
            (root / part / name).mkdir(parents=True)
            for place in range(num):
                scene(stream, level).save(root / part / name / f"{place}.png")
    train, test = root / "train", root / "test"
    (test / "dark" / "copy.png").write_bytes((train / "dark" / "0.png").read_bytes())
    with Image.open(train / "light" / "1.png") as image:
        image.resize((40, 40)).save(test / "light" / "near.jpg", quality=90)
    scene(stream, 50).save(train / "light" / "doubtful.png")
    scene(stream, 50, 6).save(train / "dark" / "tiny.png")
    Image.new("RGB", (40, 40), (9, 9, 9)).save(train / "dark" / "blank.png")
    scene(stream, 50).resize((200, 20)).save(train / "dark" / "long.png")
    scene(stream, 50, 400).save(train / "dark" / "huge.png")
    scene(stream, 50).save(train / "dark" / "really.jpg", format="PNG")
    (train / "dark" / "broken.png").write_bytes(b"text")
    return root


@pytest.fixture(scope="module")
def told(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDFUL_CACHE", str(tmp_path_factory.mktemp("cache")))
        return look(open_source(planted, skip_unreadable=True)).to_json()


def test_the_json_is_json_and_keeps_the_keys_of_the_profile(told: dict[str, Any]) -> None:
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["classes"][0] == {"name": "dark", "train": 19, "val": 0, "test": 6}
    assert told["faults"] == [{"path": "train/dark/broken.png", "why": "not a picture of a known format"}]


def test_copies_and_near_copies_across_parts(told: dict[str, Any]) -> None:
    assert told["copies"]["groups"] == [["train/dark/0.png", "test/dark/copy.png"]]
    assert (told["copies"]["exact"], told["copies"]["across_parts"]) == (1, 1)
    assert told["near_copies"]["groups"] == [["train/light/1.png", "test/light/near.jpg"]]
    assert told["near_copies"]["across_parts"] == 1
    assert told["near_copies"]["across_classes"] == 0


def test_each_suspicious_file_is_named_once_with_its_reason(told: dict[str, Any]) -> None:
    assert {(one["kind"], one["path"].rpartition("/")[2]) for one in told["suspicious"]} == {
        ("tiny", "tiny.png"),
        ("blank", "blank.png"),
        ("shape", "long.png"),
        ("large", "huge.png"),
        ("name", "really.jpg"),
    }
    assert next(one["why"] for one in told["suspicious"] if one["kind"] == "name") == "named .jpg, holds PNG"


def test_the_planted_wrong_label_is_doubted_and_no_other(told: dict[str, Any]) -> None:
    assert told["doubts"]["pictures"] == [
        {"path": "train/light/doubtful.png", "label": "light", "neighbours": "dark", "votes": 10}
    ]
    assert told["doubts"]["accuracy"] > 0.9


def test_counts_for_generating_leave_out_copies_and_the_test_part(told: dict[str, Any]) -> None:
    assert told["generation"]["classes"] == [
        {"name": "dark", "num": 19, "level": "too few"},
        {"name": "light", "num": 15, "level": "too few"},
    ]
    assert [one.level for one in triage(("a", "b", "c", "d"), [19, 20, 50, 51])] == [
        "too few",
        "boundary",
        "boundary",
        "enough",
    ]


def test_what_is_skipped_is_null_and_said(planted: Path) -> None:
    found = look(open_source(planted, skip_unreadable=True), skip=CHECKS).to_json()
    assert found["near_copies"] is found["doubts"] is found["flips"] is None
    assert found["skipped"] == sorted(CHECKS)
    assert "name" not in {one["kind"] for one in found["suspicious"]}


def test_an_unknown_check_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown check 'flip'; did you mean 'flips'"):
        look(open_source("digits"), skip=["flip"])


def test_channels_are_of_the_training_part_only() -> None:
    pixels = np.concatenate([np.full((4, 1, 8, 8), 51, np.uint8), np.full((4, 1, 8, 8), 255, np.uint8)])
    pixels[0, 0, :4] = 153
    source = open_source((pixels, np.array([0, 1] * 4)))
    found = channels_of(source, np.arange(4), "train")
    values = pixels[:4] / 255
    assert (found.names, found.num) == (("grey",), 4)
    assert found.mean[0] == pytest.approx(values.mean())
    assert found.std[0] == pytest.approx(values.std())
    assert channels_of(source, np.arange(4), "train", channels=3).mean == pytest.approx([values.mean()] * 3)


def test_samples_are_capped_sorted_and_drawn_by_the_seed() -> None:
    rows = np.arange(0, 3 * SAMPLE, 2)
    drawn = sample(rows, 0, "a")
    assert len(drawn) == SAMPLE
    assert (np.diff(drawn) > 0).all()
    assert np.array_equal(drawn, sample(rows, 0, "a"))
    assert not np.array_equal(drawn, sample(rows, 1, "a"))
    assert sample(rows[:9], 0, "a") is not None


def test_of_copies_the_training_one_comes_first(planted: Path) -> None:
    source = open_source(planted, skip_unreadable=True)
    kept = {source.ids[row] for row in first_rows(source).tolist()}
    assert "train/dark/0.png" in kept
    assert "test/dark/copy.png" not in kept
    assert len(kept) == len(source) - 1


def test_too_few_pictures_are_not_doubted() -> None:
    found = find_doubts(np.eye(5, dtype=np.float32), np.array([0, 0, 1, 1, 1]))
    assert (found.num_checked, found.found) == (0, ())


def test_features_are_what_they_say() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    colour, shape = colour_features(pixels), shape_features(pixels)
    assert colour.shape == (20, 3 * 256 + 64)
    assert float((colour**2).sum() / 20) == pytest.approx(2, rel=1e-4)
    assert shape.shape == (20, 576)
    assert np.linalg.norm(shape, axis=1) == pytest.approx(np.ones(20), rel=1e-4)
    assert shape_features(pixels // 2) == pytest.approx(shape, abs=0.02)
    wanted = ((shape[:, None] - shape[None]) ** 2).sum(axis=2)
    assert squared_distances(shape, shape) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"GIF89a", "GIF"),
        (b"P6 2 2", "PPM"),
    ],
)
def test_formats_are_known_by_their_first_bytes(start: bytes, name: str) -> None:
    found = format_of(start)
    assert found is not None
    assert found[0] == name
    assert format_of(b"text") is None


def half_sets(shift: int) -> tuple[Any, Any]:
    stream = np.random.default_rng(1)
    pixels = stream.integers(0, 200, (240, 3, 16, 16), dtype=np.uint8)
    pixels[120:] += np.uint8(shift)
    labels = np.arange(120) % 2
    return open_source((pixels[:120], labels)), open_source((pixels[120:], labels, ["0", "1"]))


def test_two_halves_of_one_set_do_not_drift_and_a_brighter_one_does() -> None:
    alike, brighter = (compare_sets(*half_sets(shift)).test for shift in (0, 40))
    assert alike is not None
    assert brighter is not None
    assert alike.p > 0.01
    assert brighter.accuracy > 0.9
    assert brighter.p < 1e-6


def test_the_two_sample_test_keeps_its_level() -> None:
    """On halves of one set p < 0.1 comes in about a tenth of the runs: of 40 fewer than 10 (P = 0.5 %)."""
    from handful.data.drift import two_sample_test

    stream, hits = np.random.default_rng(5), 0
    for _ in range(40):
        pixels = stream.integers(0, 256, (80, 1, 16, 16), dtype=np.uint8)
        made = two_sample_test(pixels[:40], pixels[40:], 0)
        assert made is not None
        hits += made.p < 0.1
    assert hits < 10


def test_what_two_sets_share_is_found_also_under_another_class(planted: Path, tmp_path: Path) -> None:
    source = open_source(planted, skip_unreadable=True)
    (tmp_path / "set" / "dark").mkdir(parents=True)
    (tmp_path / "set" / "new").mkdir()
    stream = np.random.default_rng(9)
    for name in ("dark", "new"):
        scene(stream, 120).save(tmp_path / "set" / name / "own.png")
    (tmp_path / "set" / "new" / "copy.png").write_bytes((planted / "train" / "dark" / "3.png").read_bytes())
    with Image.open(planted / "train" / "dark" / "5.png") as image:
        image.resize((40, 40)).save(tmp_path / "set" / "dark" / "near.jpg", quality=90)
    found = compare_sets(source, open_source(tmp_path / "set")).to_json()
    assert found["copies"] == [["train/dark/3.png", "new/copy.png"]]
    assert found["near_copies"] == [["train/dark/5.png", "dark/near.jpg"]]
    assert found["conflicts"] == [["train/dark/3.png", "new/copy.png"]]
    assert found["classes"] == [
        {"name": "dark", "first": 25, "other": 2},
        {"name": "light", "first": 21, "other": 0},
        {"name": "new", "first": 0, "other": 2},
    ]
    assert found["test"] is None


@pytest.mark.data
def test_road_signs_as_published(published_signs: Path) -> None:
    """Copies as the manifest lists them; the bends to the left and to the right are mirror images of each other."""
    source = open_source(published_signs)
    found = look(source).to_json()
    assert found["copies"]["exact"] == 516
    assert len(
        {source.content[source.ids.index(name)] for group in found["copies"]["groups"] for name in group}
    ) == len(found["copies"]["groups"])
    (horizontal, *_) = found["flips"]
    assert [(turn["classes"], turn["sure"]) for turn in horizontal["turns"]] == [(["38", "39"], True)]
    assert horizontal["verdict"] == "unsafe"
