"""Every number stands between its marks, all at the same sizes."""

from __future__ import annotations

import numpy as np
import pytest
from measure_inputs import features, probabilities, smooth

from handful.errors import ConfigError, DataError
from handful.measure.kernel import kernel_distance
from handful.measure.metrics import METRICS
from handful.measure.scale import Scaled, noise_pictures, on_scale


def sets(needs, num=40):
    if needs == "pictures":
        made = {key: smooth(num, seed=seed) for seed, key in enumerate(("real", "synthetic", "held_out"))}
        return made | {"noise": noise_pictures(num, (3, 16, 16))}
    draw = features if needs == "features" else probabilities
    made = {key: draw(num, 6, seed=seed) for seed, key in enumerate(("real", "synthetic", "held_out"))}
    return made | {"noise": 5 * features(num, 6, seed=9) if needs == "features" else np.full((num, 6), 1 / 6)}


@pytest.mark.parametrize("name", METRICS)
def test_every_measure_has_a_scale(name):
    made = on_scale(name, **sets(METRICS[name].needs))
    assert made.fault == ""
    assert all(np.isfinite([made.value, made.floor, made.copies, made.noise]))
    low, high = METRICS[name].range
    assert all(low <= mark <= high for mark in (made.value, made.floor, made.copies, made.noise))


@pytest.mark.parametrize("name", ["frechet", "kernel", "precision", "density", "coverage"])
def test_noise_is_worse_than_real_pictures_and_copies_fool_the_measure(name):
    made = on_scale(name, **sets("features"))
    sign = 1 if METRICS[name].better == "lower" else -1
    assert sign * made.noise > sign * made.floor
    assert made.beyond_copies


def test_noise_fools_recall_which_is_why_precision_stands_beside_it():
    assert on_scale("recall", **sets("features")).noise == 1


@pytest.mark.parametrize(("name", "copies"), [("near_copies", 1), ("authenticity", 0), ("novelty", 0)])
def test_the_audit_is_not_fooled_by_copies(name, copies):
    made = on_scale(name, **sets("features"))
    assert made.copies == copies
    assert not made.beyond_copies


def test_what_is_not_better_either_way_cannot_be_fooled():
    assert not on_scale("ssim_best", **sets("pictures", 6)).beyond_copies


def test_all_four_are_measured_at_the_size_of_the_smallest_set():
    given = sets("features") | {"held_out": features(12, 6, seed=2)}
    made = on_scale("kernel", **given)
    assert (made.num_real, made.num_synthetic, made.draws) == (40, 12, 5)
    assert made.floor == kernel_distance(real=given["real"], synthetic=given["held_out"])
    equal = on_scale("kernel", **sets("features"))
    assert (equal.num_synthetic, equal.draws) == (40, 1)
    assert equal.value == kernel_distance(real=given["real"], synthetic=given["synthetic"])
    assert on_scale("kernel", **given) == made


def test_a_measure_of_held_out_pictures_gets_half_of_them_as_yardstick():
    made = on_scale("data_copying", **sets("features"))
    assert made.num_synthetic == 20
    assert abs(made.floor) < 3
    assert made.copies < -3


def test_too_few_pictures_are_a_fault_that_names_what_works():
    made = on_scale("frechet", **{key: given[:5] for key, given in sets("features").items()})
    fault = "rank: features of 6 dimensions need at least 7 pictures in each set, got 5 real, 5 synthetic; use kernel"
    assert made == Scaled("frechet", None, None, None, None, 5, 5, 0, fault)
    assert not made.beyond_copies


def test_an_unknown_measure_and_an_empty_set_are_errors():
    with pytest.raises(ConfigError, match="did you mean 'frechet'"):
        on_scale("frechett", **sets("features"))
    with pytest.raises(DataError, match="40 real, 0 synthetic"):
        on_scale("kernel", **(sets("features") | {"synthetic": features(0)}))


def test_noise_pictures_are_even_and_repeat():
    made = noise_pictures(50, (3, 8, 8), seed=1)
    assert (made.dtype, made.shape) == (np.uint8, (50, 3, 8, 8))
    assert abs(made.mean() - 127.5) < 3
    np.testing.assert_array_equal(made, noise_pictures(50, (3, 8, 8), seed=1))
    assert (made != noise_pictures(50, (3, 8, 8), seed=2)).any()
