"""Pictures in memory, their origins, and the guards."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from handful.data.images import LabeledImages, Origin, View, content_of, require_real, require_unseen
from handful.errors import ConfigError, DataError, LeakError


def some(num=6, channels=3, size=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, channels, size, size), dtype=np.uint8)


@pytest.fixture
def images():
    """Six real pictures of 'a', 'b' and 'c' (which has none)."""
    return LabeledImages.of_arrays(some(), np.array([0, 1, 0, 1, 1, 0]), ["a", "b", "c"])


@pytest.fixture
def made():
    pixels = some(3, seed=1)
    return LabeledImages(pixels, np.array([0, 0, 1]), ("a", "b", "c"), Origin.of_synthetic(pixels, "maker", [7, 8, 9]))


# ---------------------------------------------------------------- views


@pytest.mark.parametrize("field", [{"size": 3}, {"size": 1025}, {"size": 32.0}, {"resize": "squash"}, {"channels": 2}])
def test_an_impossible_view_is_refused(field):
    with pytest.raises(ConfigError, match=f"View.{next(iter(field))}"):
        View(**field)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    "pixels", [some()[0], some().astype(np.float32), some().astype(np.int64), some(channels=2), some(channels=4)]
)
def test_pixels_of_another_type_or_shape_are_refused(pixels):
    with pytest.raises(DataError, match=r"pixels must be uint8 \[N, C, H, W\] with C 1 or 3, got "):
        LabeledImages.of_arrays(pixels, np.zeros(len(pixels), dtype=np.int64))


def test_the_message_tells_what_was_given():
    with pytest.raises(DataError, match=r"got float64 \[6, 3, 5, 5\]"):
        LabeledImages.of_arrays(some() / 255, np.zeros(6, dtype=np.int64))


def test_other_numbers_of_pictures_labels_and_origins_are_refused():
    with pytest.raises(DataError, match="6 pictures, 5 labels and 6 origins: must be equal"):
        LabeledImages.of_arrays(some(), np.zeros(5, dtype=np.int64))
    with pytest.raises(DataError, match="6 pictures, 6 labels and 4 origins: must be equal"):
        LabeledImages(some(), np.zeros(6, dtype=np.int64), ("a",), Origin.of_real(content_of(some(4))))


@pytest.mark.parametrize(("labels", "says"), [([0, 1, 2], r"\[0, 2\), got 0..2"), ([-1, 0, 1], r"\[0, 2\), got -1..1")])
def test_labels_outside_the_classes_are_refused(labels, says):
    with pytest.raises(DataError, match=says):
        LabeledImages.of_arrays(some(3), np.array(labels), ["a", "b"])


def test_labels_that_are_not_whole_numbers_are_refused():
    with pytest.raises(DataError, match="labels"):
        LabeledImages.of_arrays(some(3), np.array([0.0, 0.9, 1.0]))


def test_an_origin_of_uneven_lengths_is_refused():
    origin = Origin.of_real(content_of(some(3)))
    with pytest.raises(DataError, match="'maker': 2"):
        Origin(origin.content, origin.maker[:2], origin.seed, origin.parent)


def test_pictures_from_arrays_are_real_and_named_by_their_labels():
    images = LabeledImages.of_arrays(some(3), np.array([2, 0, 2]))
    assert images.class_names == ("0", "1", "2")
    assert images.num_classes == 3
    assert images.counts.tolist() == [1, 0, 2]
    assert images.labels.dtype == np.int64
    assert images.origin.real.all()
    assert images.origin.parent.tolist() == [0, 1, 2]
    assert images.origin.seed.tolist() == [-1] * 3
    assert len(LabeledImages.of_arrays(some(0), np.array([]))) == 0


def test_they_cannot_be_changed(images):
    with pytest.raises(FrozenInstanceError):
        images.labels = images.labels


def test_taking_keeps_order_and_everything_that_belongs_to_a_picture(images):
    taken = images.take(np.array([4, 0, 4]))
    np.testing.assert_array_equal(taken.pixels, images.pixels[[4, 0, 4]])
    assert taken.labels.tolist() == [1, 0, 1]
    assert taken.class_names == images.class_names
    assert taken.origin.parent.tolist() == [4, 0, 4]
    assert taken.origin.content.tolist() == images.origin.content[[4, 0, 4]].tolist()
    assert len(images.take(np.array([]))) == 0
    assert images.of_class(1).origin.parent.tolist() == [1, 3, 4]
    assert len(images.of_class(2)) == 0


def test_joining_keeps_both_and_their_origins(images, made):
    joined = images.joined(made)
    np.testing.assert_array_equal(joined.pixels, np.concatenate([images.pixels, made.pixels]))
    assert joined.labels.tolist() == [0, 1, 0, 1, 1, 0, 0, 0, 1]
    assert joined.origin.real.tolist() == [True] * 6 + [False] * 3
    assert joined.origin.maker.tolist() == [""] * 6 + ["maker"] * 3, "the longer name is not cut"
    assert joined.origin.seed.tolist() == [-1] * 6 + [7, 8, 9]
    assert joined.origin.parent.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1]
    assert len(joined.origin) == 9


def test_joining_other_shapes_or_classes_is_refused(images):
    grey = LabeledImages.of_arrays(some(channels=1), images.labels, images.class_names)
    with pytest.raises(DataError, match=r"shape \[3, 5, 5\] with \[1, 5, 5\]"):
        images.joined(grey)
    renamed = LabeledImages(images.pixels, images.labels, ("a", "b", "d"), images.origin)
    with pytest.raises(DataError, match=r"classes \['a', 'b', 'c'\] with \['a', 'b', 'd'\]"):
        images.joined(renamed)


# ---------------------------------------------------------------- origins


def test_synthetic_pictures_know_maker_seed_and_parent():
    origin = Origin.of_synthetic(some(2), "digest", [5, 2**62], [3, -1])
    assert not origin.real.any()
    assert origin.seed.tolist() == [5, 2**62]
    assert origin.parent.tolist() == [3, -1]
    assert origin.content.tolist() == content_of(some(2)).tolist()
    assert set(origin.to_arrays()) == {"content", "maker", "seed", "parent"}


def test_real_pictures_know_their_source_rows():
    origin = Origin.of_real(content_of(some(2)), np.array([40, 7]))
    assert origin.take(np.array([1, 0])).parent.tolist() == [7, 40]


# ---------------------------------------------------------------- content


def test_the_content_digest_is_half_a_sha256_of_shape_and_pixels():
    picture = some(1, size=4)
    expected = hashlib.sha256(b"3x4x4" + picture.tobytes()).hexdigest()[:32].encode()
    assert content_of(picture).tolist() == [expected]
    assert content_of(picture).dtype == np.dtype("S32")
    assert content_of(some(0)).shape == (0,)


def test_grey_and_rgb_with_equal_channels_have_one_digest():
    grey = some(4, channels=1)
    rgb = np.repeat(grey, 3, axis=1)
    assert content_of(grey).tolist() == content_of(rgb).tolist()
    rgb[0, 2, 0, 0] ^= 1
    assert content_of(grey)[0] != content_of(rgb)[0]


def test_content_depends_on_the_shape_too_and_not_on_the_memory_layout():
    flat = np.zeros((1, 1, 4, 9), dtype=np.uint8)
    assert content_of(flat) != content_of(flat.reshape(1, 1, 6, 6))
    picture = some(2)
    assert content_of(np.asfortranarray(picture)).tolist() == content_of(picture).tolist()
    assert content_of(list(picture)).tolist() == content_of(picture).tolist()


def test_all_pictures_have_digests_of_their_own():
    assert len(set(content_of(some(200)).tolist())) == 200


# ---------------------------------------------------------------- guards


def test_synthetic_pictures_are_refused_with_their_number(images, made):
    require_real(images, "test")
    with pytest.raises(
        LeakError, match=r"^test: 3 of 9 pictures are synthetic; scores are taken on real pictures only"
    ):
        require_real(images.joined(made), "test")


def test_seen_pictures_are_refused_with_their_positions(images):
    contents = images.origin.content.tolist()
    require_unseen(images, set(), "test")
    require_unseen(images, {b"another"}, "test")
    for seen in (set(contents[2:4]), frozenset(contents[2:4]), contents[2:4]):
        with pytest.raises(
            LeakError, match=r"^test: 2 of 6 pictures are also in training \(positions 2, 3\); take them"
        ):
            require_unseen(images, seen, "test")
    with pytest.raises(LeakError, match=r"6 of 6 .*\(positions 0, 1, 2, 3, 4, \.\.\.\).*copies='once'"):
        require_unseen(images, contents, "test")
