"""Everything that is said about two sets: copies are found, every number stands on its scale, too few is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from measure_inputs import smooth

from handful.data.images import LabeledImages
from handful.errors import ConfigError, DataError
from handful.measure.audit import audit
from handful.measure.extractor import Network
from handful.measure.kernel import kernel_estimate
from handful.measure.measure_sets import MOST, measure_sets
from handful.measure.measured import GROUPS, Row
from handful.measure.pretrained import Inception
from handful.measure.scale import Scaled

CLASSES = ("a", "b")


def images(num=24, seed=0, classes=CLASSES, size=8):
    """Smooth noise, the classes in turn."""
    return LabeledImages.of_arrays(smooth(num, size=size, seed=seed), np.arange(num) % len(classes), classes)


def joined(first, second):
    return first.joined(second)


def measured(real, synthetic, held_out=None, **options):
    return measure_sets(real, synthetic, held_out, extractor="pixels", **options)


def rows(found):
    return {row.scaled.name: row for row in found.whole.rows}


def test_every_measure_has_a_row_in_its_group_and_the_numbers_are_json():
    found = measured(images(), images(seed=1), images(seed=2), per_class=True)
    assert [(row.group, row.scaled.name) for row in found.whole.rows] == [
        (group, name) for group, names in GROUPS.items() for name in names
    ]
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["extractor"] == "pixels/rgb/as-given"
    assert {row["name"]: row["on"] for row in told["whole"]["rows"]}["ssim"] == "pictures, 8 px"
    assert [group["name"] for group in told["classes"]] == list(CLASSES)
    assert told["whole"]["num"] == {"real": 24, "synthetic": 24, "held_out": 24}


def test_numbers_stand_between_held_out_pictures_and_noise():
    found = rows(measured(images(40), images(40, seed=1), images(40, seed=2)))
    kernel = found["kernel"]
    assert kernel.scaled.floor is not None
    assert kernel.scaled.noise is not None
    assert kernel.low is not None
    assert kernel.high is not None
    assert kernel.low < kernel.scaled.value < kernel.high
    assert kernel.to_noise is not None
    assert kernel.to_noise < 0.2
    inverted = LabeledImages.of_arrays(255 - images(40, seed=1).pixels // 3, images(40).labels, CLASSES)
    worse = rows(measured(images(40), inverted, images(40, seed=2)))["kernel"]
    assert worse.to_noise is not None
    assert worse.to_noise > kernel.to_noise + 0.2


def test_the_way_to_noise_is_zero_at_the_floor_and_one_at_noise():
    def way(name, value, floor, noise):
        return Row("", "", Scaled(name, value, floor, 0.0, noise, 9, 9, 1, "")).to_noise

    assert (way("kernel", 1.0, 1.0, 3.0), way("kernel", 3.0, 1.0, 3.0), way("kernel", 2.0, 1.0, 3.0)) == (0, 1, 0.5)
    assert way("recall", 0.2, 0.8, 0.0) == pytest.approx(0.75)
    assert way("kernel", 0.5, 1.0, 3.0) < 0
    assert way("kernel", 2.0, 3.0, 1.0) is None  # noise is better than real pictures: no scale
    assert way("ssim", 0.5, 0.1, 0.0) is None  # neither direction is better


def test_exact_copies_are_found_and_named_whatever_the_distances_say():
    real, synthetic = images(), images(seed=1)
    found = measured(real, joined(synthetic, real.take([3, 8])), images(seed=2))
    assert found.exact == ((24, 3), (25, 8))
    assert found.verdict == "copies"
    first = found.whole.pairs[:2]
    assert sorted((pair.synthetic, pair.real) for pair in first) == [(24, 3), (25, 8)]
    assert [pair.distance for pair in first] == [0, 0]


def test_near_copies_are_found_with_a_p_value_and_fresh_pictures_are_not_accused():
    real, held_out = images(40, size=16), images(40, seed=2, size=16)
    nearly = LabeledImages.of_arrays(real.pixels ^ np.uint8(1), real.labels, CLASSES)
    copied = measured(real, nearly, held_out)
    assert copied.exact == ()
    assert copied.verdict == "copies"
    assert copied.p is not None
    assert copied.p < 0.001
    fresh = measured(real, images(40, seed=1, size=16), held_out)
    assert fresh.verdict == "none shown"
    assert fresh.p is not None
    assert fresh.p > 0.05


def test_smooth_pictures_are_nearer_but_no_copies():
    real, held_out = images(40, size=16), images(40, seed=2, size=16)
    mean = real.pixels.mean(axis=0)
    flat = (mean + 0.1 * (smooth(40, seed=1) - mean)).round().clip(0, 255).astype(np.uint8)
    found = measured(real, LabeledImages.of_arrays(flat, real.labels, CLASSES), held_out)
    assert found.verdict == "nearer"
    assert found.p is not None
    assert found.p < 0.001
    assert found.tests["near_copies"] > 0.05


def test_held_out_pictures_that_are_training_pictures_are_named_and_left_out():
    real, held_out = images(), images(seed=2)
    found = measured(real, images(seed=1), joined(real.take([5]), held_out))
    assert found.known == ((0, 5),)
    assert found.whole.num["held_out"] == 24
    clean = measured(real, images(seed=1), held_out)
    assert [row.to_json() for row in found.whole.rows] == [row.to_json() for row in clean.whole.rows]


def test_the_same_picture_at_the_size_compared_is_a_copy_though_its_original_was_larger():
    real, again = images(), images()
    other = again.origin.take(np.arange(24))
    object.__setattr__(other, "content", np.array([f"{n:032d}".encode() for n in range(24)], dtype="S32"))
    moved = LabeledImages(again.pixels, again.labels, CLASSES, other)
    assert len(measured(real, images(seed=1), moved).known) == 24


def test_without_held_out_pictures_halves_set_the_floor_and_copying_gets_no_p_value():
    found = measured(images(), images(seed=1))
    assert (found.marks, found.p, found.verdict) == ("halves", None, "cannot tell")
    assert rows(found)["kernel"].scaled.num_real == 12
    assert rows(found)["near_copies"].scaled.num_real == 24
    assert "held-out" in rows(found)["novelty"].scaled.fault
    only_known = measured(images(), images(seed=1), images().take([0, 1]))
    assert (only_known.marks, len(only_known.known)) == ("halves", 2)


def test_too_few_held_out_pictures_cannot_tell_rather_than_acquit():
    found = measured(images(6), images(2, seed=1), images(2, seed=2))
    assert found.smallest_p is not None
    assert found.smallest_p > 0.05
    assert found.verdict == "cannot tell"


def test_where_n_is_too_small_the_row_says_so_and_names_what_works():
    found = rows(measured(images(8), images(3, seed=1), images(8, seed=2)))
    assert found["frechet"].scaled.value is None
    assert "rank" in found["frechet"].scaled.fault
    assert "use kernel" in found["frechet"].scaled.fault
    assert "3 synthetic" in found["precision"].scaled.fault
    assert "use kernel" in found["precision"].scaled.fault
    assert found["kernel"].scaled.value is not None


def test_without_its_network_there_is_no_fid_and_no_inception_score(tmp_path, monkeypatch):
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path))
    found = rows(measured(images(), images(seed=1)))
    for name in ("fid", "inception_score"):
        assert found[name].scaled.value is None
        assert "weights-inception-2015-12-05-6726825d.pth" in found[name].scaled.fault
        assert str(tmp_path) in found[name].scaled.fault
        assert found[name].on.startswith("inception/")
    (tmp_path / "weights-inception-2015-12-05-6726825d.pth").write_bytes(b"")
    assert "extractor inception" in rows(measured(images(), images(seed=1)))["fid"].scaled.fault


def test_the_numbers_are_those_of_the_measures():
    real, synthetic, held_out = images(), images(seed=1), images(seed=2)
    found = measured(real, synthetic, held_out)
    flat = {
        name: one.pixels.reshape(24, -1) / np.float32(255)
        for name, one in zip("rsh", (real, synthetic, held_out), strict=True)
    }
    estimate = kernel_estimate(real=flat["r"], synthetic=flat["s"])
    kernel = rows(found)["kernel"]
    assert kernel.scaled.value == pytest.approx(estimate.value, rel=1e-5)
    assert (kernel.low, kernel.high) == pytest.approx((estimate.low, estimate.high), rel=1e-5)
    looked = audit(real=flat["r"], synthetic=flat["s"], held_out=flat["h"])
    assert rows(found)["authenticity"].scaled.value == looked.authenticity
    assert found.whole.audit is not None
    assert found.whole.audit.near_copies == looked.near_copies


def test_real_pictures_that_repeat_count_once_and_synthetic_ones_are_counted():
    real, synthetic = images(), images(seed=1)
    twice = measured(joined(real, real), joined(synthetic, synthetic.take([0])), images(seed=2))
    assert twice.repeats == {"real": 24, "synthetic": 1, "held_out": 0}
    assert twice.whole.num == {"real": 24, "synthetic": 25, "held_out": 24}
    assert {pair.real for pair in twice.whole.pairs} <= set(range(24))


def test_the_same_seed_gives_the_same_numbers_and_classes_their_own():
    sets = images(30), images(20, seed=1), images(16, seed=2)
    first, again = (measured(*sets, per_class=True, seed=3).to_json() for _ in range(2))
    assert first == again
    assert first != measured(*sets, per_class=True, seed=4).to_json()
    alone = [one.of_class(1) for one in sets]
    own = measured(*alone, seed=3).whole.audit
    assert first["classes"][1]["audit"]["near_copies"] == own.near_copies
    assert first["classes"][1]["num"] == {"real": 15, "synthetic": 10, "held_out": 8}


def test_progress_counts_every_picture_once():
    seen = []
    measured(images(), images(seed=1), images(seed=2), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (96, 96)  # with as many of noise
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_large_sets_are_drawn_from_and_said_to_be():
    rng = np.random.default_rng(0)
    many = LabeledImages.of_arrays(rng.integers(0, 256, (MOST + 5, 1, 4, 4), dtype=np.uint8), np.zeros(MOST + 5, int))
    few = LabeledImages.of_arrays(rng.integers(0, 256, (6, 1, 4, 4), dtype=np.uint8), np.zeros(6, int))
    found = measured(few, joined(many, few.take([2])), None)
    assert found.drawn == {"real": 6, "synthetic": MOST}
    assert found.exact == ((MOST + 5, 2),)  # copies are searched among all
    assert all(row.scaled.num_synthetic <= MOST for row in found.whole.rows)
    turned = measured(many, few)
    assert turned.drawn == {"real": MOST + 5, "synthetic": 6}
    assert rows(turned)["near_copies"].scaled.num_real == MOST + 5  # near ones among more


def test_the_network_of_the_fid_gives_an_inception_score_too(monkeypatch, tmp_path):
    """A stand-in for the network: brightness of the picture in as many features as the layer has."""

    def load(self, device):
        width = {"64": 64, "2048": 2048, "logits_unbiased": 1008}[self.layer]
        weights = torch.linspace(-1, 1, width)
        return Network(
            lambda pictures: pictures.mean(dim=(1, 2, 3))[:, None] * weights,
            self.layer,
            75,
            "bilinear",
            (0.0,),
            (1.0,),
            3,
            device,
        )

    monkeypatch.setattr(Inception, "load", load)
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(tmp_path))  # networks are remembered by this folder
    found = measure_sets(images(), images(seed=1), images(seed=2), extractor="inception")
    assert found.extractor == "inception/2048/tensorflow299"
    fid, score = rows(found)["fid"], rows(found)["inception_score"]
    assert (fid.on, fid.scaled.value) == ("inception/2048/tensorflow299", None)
    assert "rank: features of 2048 dimensions" in fid.scaled.fault
    assert score.scaled.value is not None
    assert 1 <= score.scaled.value <= 24
    assert score.on == "inception/logits_unbiased/tensorflow299"


@pytest.mark.parametrize(
    ("sets", "word"),
    [
        ((images(), images(size=16)), "of one shape"),
        ((images(), images(classes=("a", "c"))), "same class names"),
        ((images(), images().take([])), "synthetic set is empty"),
        ((images(1), images(seed=1)), "two different real pictures"),
    ],
)
def test_sets_that_cannot_be_measured_are_refused(sets, word):
    with pytest.raises(DataError, match=word):
        measured(*sets)


def test_an_unknown_extractor_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'pixels'"):
        measure_sets(images(), images(seed=1), extractor="pixel")
