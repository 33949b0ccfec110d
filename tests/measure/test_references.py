"""Each measure equals independent implementations within the tolerance that docs/measures.md states."""

from __future__ import annotations

import contextlib
import io
from math import sqrt

import numpy as np
import prdc
import pytest
import scipy.linalg
import torch
from measure_inputs import TOLERANCES, features, smooth
from skimage.metrics import structural_similarity
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from handful.measure.copying import authenticity, data_copying, exact_copies, near_copies, novelty
from handful.measure.frechet import frechet_distance, frechet_infinity
from handful.measure.inception_score import inception_score
from handful.measure.kernel import kernel_distance
from handful.measure.manifold import coverage, density, precision, recall, vendi_score
from handful.measure.metrics import METRICS
from handful.measure.ssim import best_ssim, mean_ssim, ssim_within
from handful.rng import forked

# torchmetrics says that it keeps features in memory, and takes a spread over its one split
pytestmark = pytest.mark.filterwarnings("ignore:Metric `:UserWarning", "ignore:std:UserWarning")

SIZES = [(40, 40, 12), (200, 150, 24), (60, 90, 12)]
CHECKED: set[tuple[str, str]] = set()


def agree(measure, reference, value, expected):
    CHECKED.add((measure, reference))
    tolerance = TOLERANCES[measure, reference]
    scale = 1.0 if METRICS[measure].range[1] == 1.0 else abs(expected)
    assert abs(value - expected) <= tolerance * scale, (value, expected)


class Values(torch.nn.Module):
    """The values of a picture as its features, as an extractor of torchmetrics."""

    num_features = 12

    def forward(self, pictures):
        return pictures.flatten(1).double()


def as_values(pictures):
    return pictures.reshape(len(pictures), -1).astype(np.float64)


def value_pictures(num, seed):
    """uint8 [num, 3, 2, 2], read as 12 features."""
    return np.random.default_rng(seed).integers(0, 100 + 40 * seed, (num, 3, 2, 2)).astype(np.uint8)


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_frechet_is_that_of_a_matrix_square_root(n, m, d):
    x, y = features(n, d), features(m, d, 0.3, 1.2, seed=1)
    x[:, 0] = 3 * x[:, 1] + x[:, 0]
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.trace(scipy.linalg.sqrtm(a @ b)).real
    expected = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * root
    agree("frechet", "scipy.linalg.sqrtm", frechet_distance(real=x, synthetic=y), expected)


def test_large_frechet_is_that_of_a_matrix_square_root():
    """Past the size up to which singular values are taken directly, with N > D and with N < D."""
    for n, m, d in ((900, 1000, 600), (600, 640, 700)):
        x, y = features(n, d), features(m, d, 0.3, 1.2, seed=1)
        a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        if n > d:
            root = np.trace(scipy.linalg.sqrtm(a @ b)).real
        else:  # both covariances are singular: the root of the product is that of the roots
            values, vectors = np.linalg.eigh(a)
            half = vectors * np.sqrt(values.clip(0)) @ vectors.T
            root = np.sqrt(np.linalg.eigvalsh(half @ b @ half).clip(0)).sum()
        expected = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * root
        agree("frechet", "scipy.linalg.sqrtm", frechet_distance(real=x, synthetic=y), expected)


@pytest.mark.parametrize(("n", "m"), [(60, 60), (80, 50)])
def test_frechet_is_that_of_torchmetrics_and_torch_fidelity(n, m):
    x, y = value_pictures(n, 1), value_pictures(m, 3)
    theirs = FrechetInceptionDistance(feature=Values(), input_img_size=(3, 2, 2))
    theirs.update(torch.from_numpy(x), real=True)
    theirs.update(torch.from_numpy(y), real=False)
    value = frechet_distance(real=as_values(x), synthetic=as_values(y))
    agree("frechet", "torchmetrics", value, float(theirs.compute()))
    statistics = (fid_features_to_statistics(torch.from_numpy(as_values(part))) for part in (x, y))
    made = fid_statistics_to_metric(*statistics, verbose=False)
    agree("frechet", "torch-fidelity", value, made["frechet_inception_distance"])


def test_kernel_is_that_of_torchmetrics_and_torch_fidelity():
    x, y = value_pictures(50, 1), value_pictures(50, 3)
    value = kernel_distance(real=as_values(x), synthetic=as_values(y))
    theirs = KernelInceptionDistance(feature=Values(), subsets=1, subset_size=50)
    theirs.update(torch.from_numpy(x), real=True)
    theirs.update(torch.from_numpy(y), real=False)
    with forked(0):
        agree("kernel", "torchmetrics", value, float(theirs.compute()[0]))
    made = kid_features_to_metric(
        *(torch.from_numpy(as_values(part)) for part in (x, y)), kid_subsets=1, kid_subset_size=50, verbose=False
    )
    agree("kernel", "torch-fidelity", value, made["kernel_inception_distance_mean"])


def test_inception_score_is_that_of_torchmetrics_and_torch_fidelity():
    pictures = value_pictures(40, 1)
    logits = torch.from_numpy(as_values(pictures)) / 30
    value = inception_score(synthetic=logits.softmax(dim=1).numpy())

    class Logits(Values):
        def forward(self, pictures):
            return super().forward(pictures) / 30

    theirs = InceptionScore(feature=Logits(), splits=1)
    theirs.update(torch.from_numpy(pictures))
    with forked(0):
        agree("inception_score", "torchmetrics", value, float(theirs.compute()[0]))
    made = isc_features_to_metric(logits, splits=1)
    agree("inception_score", "torch-fidelity", value, made["inception_score_mean"])


def test_ssim_and_its_kin_are_those_of_scikit_image():
    x, y = smooth(4, size=20), smooth(5, size=20, seed=1)
    y[0] = np.clip(x[0].astype(int) + 9, 0, 255)
    pairs, own = (
        np.array([[structural_similarity(one, other, channel_axis=0, data_range=255) for other in b] for one in y])
        for b in (x, y)
    )
    agree("ssim", "scikit-image", mean_ssim(real=x, synthetic=y), pairs.mean())
    agree("ssim_best", "scikit-image", best_ssim(real=x, synthetic=y), pairs.max(axis=1).mean())
    agree("ssim_within", "scikit-image", ssim_within(synthetic=y), own[~np.eye(5, dtype=bool)].mean())


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_precision_recall_density_coverage_are_those_of_prdc(n, m, d, k):
    x, y = features(n, d), features(m, d, 0.4, 0.8, seed=1)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = prdc.compute_prdc(real_features=x, fake_features=y, nearest_k=k)
    for measure in (precision, recall, density, coverage):
        name = measure.__name__
        agree(name, "prdc", measure(real=x, synthetic=y, neighbours=k), float(theirs[name]))


@pytest.mark.parametrize("seed", range(4))
def test_exact_ties_are_decided_as_prdc_decides_them(seed):
    stream = np.random.default_rng(seed)
    x, y = stream.integers(0, 4, (40, 3)).astype(float), stream.integers(0, 4, (30, 3)).astype(float)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = prdc.compute_prdc(real_features=x, fake_features=y, nearest_k=5)
    for measure in (precision, recall, density, coverage):
        name = measure.__name__
        agree(name, "prdc", measure(real=x, synthetic=y, neighbours=5), float(theirs[name]))


def test_vendi_is_its_closed_form():
    """Groups of equal rows at right angles: the exponential of the entropy of their shares."""
    for counts in ([5, 5, 5], [1, 9], [7, 2, 1]):
        shares = np.array(counts) / sum(counts)
        rows = 3 * np.eye(6)[np.repeat(np.arange(len(counts)), counts)]
        agree("vendi", "closed form", vendi_score(synthetic=rows), float(np.exp(-(shares * np.log(shares)).sum())))


def test_near_copies_and_authenticity_are_those_of_a_search():
    x, y = features(30, 3), np.concatenate([features(20, 3, seed=1), features(30, 3)[:15] + 0.05])
    near, new = 0, 0
    for one in y:
        to = sorted((sqrt(((one - other) ** 2).sum()), i) for i, other in enumerate(x))
        near += to[0][0] < to[1][0] / 3
        nearest = x[to[0][1]]
        new += to[0][0] > min(sqrt(((nearest - other) ** 2).sum()) for i, other in enumerate(x) if i != to[0][1])
    agree("near_copies", "a search over all pairs", near_copies(real=x, synthetic=y), near / len(y))
    agree("authenticity", "a search over all pairs", authenticity(real=x, synthetic=y), new / len(y))
    assert near >= 10
    assert 0 < new < len(y)


def test_data_copying_is_the_formula_worked_by_hand():
    """Training at 0 on a line. Synthetic at 1, 2, 5 and held-out at 3, 4: pairs with the synthetic one farther are
    (5, 3) and (5, 4), so U = 2, m n / 2 = 3, variance 3 * 2 * 6 / 12 = 3, Z = -1 / sqrt(3)."""
    value = data_copying(real=[[0.0]], synthetic=[[1.0], [-2.0], [5.0]], held_out=[[3.0], [-4.0]])
    agree("data_copying", "the formula worked by hand", value, -1 / sqrt(3))


def test_novelty_is_its_closed_form_on_a_line():
    value = novelty(real=[[0.0]], synthetic=[[1.0], [-2.0], [5.0]], held_out=[[3.0], [-5.0]])
    agree("novelty", "closed form on a line", value, 0.5)


def test_exact_copies_are_those_found_pair_by_pair():
    x, y = smooth(6), np.concatenate([smooth(6)[[1, 1, 4]], smooth(4, seed=1)])
    expected = np.mean([any((one == other).all() for other in x) for one in y])
    agree("exact_copies", "comparing all pairs", exact_copies(real=x, synthetic=y), expected)
    assert expected == 3 / 7


def test_frechet_at_infinity_is_the_closed_form_for_gaussians():
    d, shift, spread = 6, 0.5, 1.5
    truth = d * (shift**2 + (spread - 1) ** 2)
    pairs = [(features(300, d, seed=s), features(300, d, shift, spread, seed=1000 + s)) for s in range(12)]
    value = np.mean([frechet_infinity(real=x, synthetic=y) for x, y in pairs])
    agree("frechet_infinity", "closed form for Gaussians", value, truth)


def test_every_measure_has_a_row_and_every_row_was_checked(request):
    assert {measure for measure, _ in TOLERANCES} == set(METRICS)
    ran = sum(item.path == request.node.path for item in request.session.items)
    if ran > 15:  # the whole file, not one test asked for by name
        assert set(TOLERANCES) == CHECKED
