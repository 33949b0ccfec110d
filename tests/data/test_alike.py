"""Near copies that only an embedding sees are found in a sample and reported apart."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from handful.data import look as looking
from handful.data.alike import EMBED_VIEW, NearCopies, embedded, embedded_copies, near_copies
from handful.data.load import load
from handful.data.look import look
from handful.data.near import VIEW
from handful.data.source import Source, open_source
from handful.report.look import render_look
from handful.report.look_lines import lines


def coarse(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Brightness on a 4 x 4 grid of the picture turned upright: the brightest corner goes to the top left."""
    small = pixels.mean(axis=1).reshape(len(pixels), 4, 56, 4, 56).mean(axis=(2, 4))
    turned = [np.rot90(one, k=int(np.argmax([np.rot90(one, k=turn)[0, 0] for turn in range(4)]))) for one in small]
    return np.stack(turned).reshape(len(pixels), 16).astype(np.float32)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Two classes of 15 pictures, a mild JPEG of one, and one of class a that stands, turned, in the test part of b."""
    root, stream = tmp_path_factory.mktemp("turned"), np.random.default_rng(2)
    for name in ("a", "b"):
        for part in ("train", "test"):
            (root / part / name).mkdir(parents=True)
        for place in range(15):
            made = Image.fromarray(stream.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            picture = made.resize((40, 40), Image.Resampling.BICUBIC)
            picture.save(root / "train" / name / f"{place}.png")
            if (name, place) == ("a", 0):
                picture.save(root / "train" / name / "again.jpg", quality=92)
    with Image.open(root / "train" / "a" / "3.png") as image:
        image.rotate(90).save(root / "test" / "b" / "turned.png")
    Image.fromarray(stream.integers(0, 256, (40, 40), dtype=np.uint8)).save(root / "test" / "a" / "grey.png")
    return open_source(root)


def test_a_turned_copy_is_found_by_an_embedding_alone_and_reported_apart(turned: Source) -> None:
    found = look(turned, embed=coarse, embedding="a coarse grid").to_json()
    assert found["near_copies"]["groups"] == [["train/a/0.png", "train/a/again.jpg"]]
    assert found["embedded_copies"] == {
        "embedding": "a coarse grid",
        "cosine": 0.95,
        "pictures": 2,
        "across_parts": 1,
        "across_classes": 1,
        "groups": [["train/a/3.png", "test/b/turned.png"]],
    }
    assert found["doubts"]["embedding"] == "a coarse grid"
    assert found["sample"]["embedded_copies"] == [len(turned), len(turned)]


def test_without_an_embedding_nothing_is_said_of_it(turned: Source) -> None:
    found = look(turned).to_json()
    assert found["embedded_copies"] is None
    assert found["doubts"]["embedding"] == ""
    assert "embedded_copies" not in found["sample"]
    assert not [line for line in lines(found) if "hashes do not find" in line.text]


def test_the_sample_is_said_on_the_page_and_in_the_lines(turned: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "EMBEDDED", 20)
    found = look(turned, embed=coarse, embedding="a coarse grid")
    assert found.to_json()["sample"]["embedded_copies"] == [20, len(turned)]
    (said,) = (line.text for line in lines(found.to_json()) if "hashes do not find" in line.text)
    assert said.startswith("near copies by a coarse grid that hashes do not find (a sample of 20 of 33 different")
    page = render_look(turned, found)
    assert "Near copies by a coarse grid" in page
    assert "Searched in a sample of 20 of 33 different pictures, seed 0" in page
    assert "share another, by a coarse grid." in page


def test_an_embedding_is_not_computed_where_nothing_needs_it(turned: Source) -> None:
    def never(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise AssertionError("called")

    found = look(turned, embed=never, skip=["near-copies", "doubts"])
    assert found.embedding == ""
    only_doubts = look(turned, embed=coarse, skip=["near-copies"])
    assert only_doubts.embedded_copies is None
    assert only_doubts.doubts is not None
    assert only_doubts.embedding == "an embedding"


def test_embeddings_are_centred_of_length_one_and_in_the_order_of_their_rows(turned: Source) -> None:
    seen: list[tuple[int, ...]] = []

    def embed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(pixels.shape)
        return coarse(pixels)

    rows = np.random.default_rng(0).permutation(len(turned))
    features = embedded(turned, rows, embed)
    assert set(seen) == {(len(turned), 3, EMBED_VIEW.size, EMBED_VIEW.size)}
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    assert features[np.argsort(rows)] == pytest.approx(embedded(turned, np.arange(len(turned)), embed), abs=1e-6)


def test_pictures_come_in_blocks() -> None:
    sizes: list[int] = []

    def embed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(pixels))
        return coarse(pixels)

    pixels = np.random.default_rng(0).integers(0, 256, (130, 1, 8, 8), dtype=np.uint8)
    embedded(open_source((pixels, np.arange(130) % 2)), np.arange(130), embed)
    assert sizes == [64, 64, 2]


def test_one_embedding_for_all_is_no_copy(turned: Source) -> None:
    features = embedded(turned, np.arange(len(turned)), lambda pixels: np.ones((len(pixels), 8), np.float32))
    assert not features.any()
    assert embedded_copies(turned, np.arange(len(turned)), features, None).groups == ()


@pytest.mark.parametrize("made", [np.ones((3, 4)), np.ones(33), np.full((33, 4), np.nan)])
def test_an_embedding_of_another_shape_or_of_no_numbers_is_an_error(turned: Source, made: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="an embedding of 33 pictures must be finite"):
        embedded(turned, np.arange(len(turned)), lambda pixels: made)


def test_groups_by_embedding_are_those_of_all_pairs() -> None:
    """Against a plain loop, over the edge of a block."""
    stream = np.random.default_rng(3)
    features = stream.normal(size=(600, 3)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    pixels = stream.integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    source = open_source((pixels, np.arange(600) % 2))
    rows = np.flatnonzero(np.arange(600) % 50 != 3)[:590]
    close = features[rows] @ features[rows].T >= 0.95
    reached = np.linalg.matrix_power(close.astype(np.float64), 1)
    for _ in range(10):
        reached = (reached @ reached > 0).astype(np.float64)
    wanted = {tuple(rows[np.flatnonzero(row)].tolist()) for row in reached if row.sum() > 1}
    assert set(embedded_copies(source, rows, features[rows], None).groups) == wanted
    known = NearCopies.of(source, list(wanted)[:1])
    assert set(embedded_copies(source, rows, features[rows], known).groups) == wanted - set(known.groups)


def test_hash_copies_are_told_apart_by_part_and_label() -> None:
    buffer = io.BytesIO()
    base = np.asarray(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8)).resize((32, 32))
    )
    Image.fromarray(base).save(buffer, "JPEG", quality=90)
    with Image.open(buffer) as image:
        pixels = np.stack([base, np.asarray(image), np.asarray(image)[::-1]])[:, None]
    source = open_source((pixels, np.array([0, 1, 1])))
    found = near_copies(source, load(source, VIEW).pixels, np.arange(3))
    assert (found.groups, found.across_parts, found.across_classes) == (((0, 1),), (), ((0, 1),))
