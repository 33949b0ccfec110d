"""The traps of the published studies, T1 to T14: each can be shown under `published`, and none can be fallen into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from handful import rng, run
from handful.classify.contract import evaluate
from handful.compare import estimate_score
from handful.data.augment import Augmentation
from handful.data.balance import balance_table
from handful.data.copies import once
from handful.data.images import LabeledImages, Origin, content_of
from handful.data.load import load
from handful.data.source import open_source
from handful.errors import LeakError
from handful.generate.autoencoder import Autoencoder
from handful.generate.vae import VAE
from handful.measure.extractors import extractor_of
from handful.measure.metrics import METRICS
from handful.reproduce import (
    animals_transfer,
    cifar_cnn,
    fashion_autoencoder,
    quality,
    satellite_fusion,
    signs_autoencoders,
    signs_diffusion,
)
from handful.reproduce.entry import Inputs
from handful.reproduce.scale import SCALES
from handful.reproduce.table import STUDIES
from handful.reproduce.welch import welch
from handful.study.arms import ARMS, Arm
from handful.study.parts import redrawn
from handful.study.plan import Plan, make_plan
from handful.study.result import Result
from handful.study.stages import STAGES
from handful.study.store import Store
from handful.study.study import Study
from tiny_study import CLASSIFIER, VAE_ARM, digits, tiny


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[Study], Plan]:
    store = Store(tmp_path / "plan")
    return lambda study: make_plan(
        study, store, budget=None, workers=1, device="cpu", timed=False, say=lambda line: None
    )


def pictures(num: int) -> LabeledImages:
    pixels, labels, names = digits()
    return LabeledImages(pixels, labels, names, Origin.of_real(content_of(pixels))).take(np.arange(num))


def ran(study: Study, folder: Path) -> Result:
    return run(study, folder, engine="serial")


def test_t1_synthetic_pictures_are_in_validation_under_the_flaw_alone(tmp_path: Path) -> None:
    """28, 78, 128 and 528 are a tenth of 277 plus ten times what was added: drawn after the pictures were made."""
    assert [round((277 + 10 * added) / 10) for added in (0, 50, 100, 500)] == [28, 78, 128, 528]
    arms = ("baseline", VAE_ARM.changed(add=20))
    honest = ran(tiny(*arms), tmp_path / "honest")
    flawed = ran(tiny(*arms, flaws=("synthetic-in-val",)), tmp_path / "flawed")
    for result, leaks in ((honest, False), (flawed, True)):
        sizes = {len(result.store.arrays(key, "val")["labels"]) for key in result.keys("vae", "classifier").values()}
        real = {len(result.store.arrays(split["key"])["val"]) for split in result.page["splits"]}
        assert (sizes != real) == leaks
    assert flawed.inflated.startswith("inflated because validation holds synthetic pictures")
    assert all(versus.verdict is None for versus in flawed.versus.values())

    train = pictures(30)
    made = LabeledImages(
        train.pixels, train.labels, train.class_names, Origin.of_synthetic(train.pixels, "m", range(30))
    )
    part, val = redrawn(train.joined(made), 0.1, 0)
    with pytest.raises(LeakError, match="synthetic"):
        CLASSIFIER.fit(part, val, seed=0)


def test_t2_an_enlargement_of_three_is_three_more_copies_of_every_picture() -> None:
    counts = np.array([8, 78, 10, 20, 30, 31, 30, 20, 20, 30])
    assert counts.sum() == 277
    arm = Arm("s1", generator=VAE(), add=50, augment=Augmentation.preset("s1"), enlarge=3, enlarge_synthetic=True)
    rows = balance_table(counts, arm, [str(place) for place in range(10)])
    assert sum(row.after for row in rows) == 3108 == 4 * (277 + 10 * 50) != 3 * 277


def test_t3_six_halvings_of_64_px_do_not_leave_4096_values_and_both_readings_do() -> None:
    size = 64
    for _ in range(6):
        size = (size + 1) // 2
    assert 1024 * size**2 == 1024
    for reading in ("s1-75", "s1-stride"):
        with rng.forked(0):
            network = VAE.preset("s1", network=reading).networks(3, 64, 0)["vae"].eval()
        assert network.hidden[0].in_features == 4096  # type: ignore[union-attr, index]
        images, labels = torch.rand(2, 3, 64, 64), torch.zeros(2, dtype=torch.int64)
        assert network(network(images, labels, "encode")[0], labels, "decode").shape == images.shape


def test_t4_a_frechet_distance_names_its_layer_and_is_refused_where_there_are_too_few_pictures() -> None:
    assert extractor_of("inception/64").label != extractor_of("inception").label
    assert "64" in extractor_of("inception/64").label
    assert "2048" in extractor_of("inception").label
    assert "at least" in METRICS["frechet"].fault(2048, real=100, synthetic=100)
    assert METRICS["frechet"].fault(64, real=100, synthetic=100) == ""


class _Noise:
    """An extractor of so many features of noise."""

    def __init__(self, width: int) -> None:
        self.width = width

    def features(self, pixels: np.ndarray, device: str) -> np.ndarray:
        return np.random.default_rng(len(pixels)).normal(size=(len(pixels), self.width)).astype(np.float32)


def test_t4_the_pages_of_the_studies_refuse_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "FID_LAYER", _Noise(32))
    monkeypatch.setattr(quality, "extractor_of", lambda name: _Noise(10))
    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8)).astype(np.uint8)
    labels = np.array([0] * 50 + [1] * 10)
    real = LabeledImages(pixels, labels, ("many", "few"), Origin.of_real(content_of(pixels)))
    scores, fids = quality._by_inception(real, real, "cpu")
    assert isinstance(scores, dict)
    assert isinstance(fids, dict)
    assert set(scores) == {0, 1, None}, "of each class and of the whole set"
    assert isinstance(fids[None], float)
    assert isinstance(fids[0], float)
    assert "10 real" in str(fids[1])
    assert "need" in str(fids[1])


def test_t5_no_measure_of_pictures_chooses_anything(planned: Callable[[Study], Plan]) -> None:
    """The published distance ranks the families the other way round from the published usefulness."""
    fid = {kind: np.mean(measures["FID"]) for kind, measures in signs_diffusion.QUALITY.items()}
    useful = {kind: signs_diffusion.KAGGLE[kind, 100] for kind in fid}
    assert sorted(fid, key=lambda kind: fid[kind]) == ["vae", "diffusion", "gan"]
    assert sorted(useful, key=lambda kind: -useful[kind]) == ["gan", "diffusion", "vae"]
    jobs = planned(tiny("baseline", VAE_ARM, measures="pixels")).jobs
    measured = {job.key for job in jobs if job.stage == "measures"}
    assert measured
    assert not [job for job in jobs if measured & set(job.inputs.values())]


def test_t6_a_score_of_340_pictures_comes_with_its_interval_and_few_repeats_with_no_verdict(tmp_path: Path) -> None:
    one, other = 0.667, 0.605
    both = (one + other) / 2
    assert (one - other) / np.sqrt(both * (1 - both) * 2 / 340) == pytest.approx(1.68, abs=0.01)
    labels = np.tile(np.arange(10), 34)
    noise = np.random.default_rng(0)
    predicted = np.where(noise.random((5, 340)) < one, labels, (labels + 1) % 10)
    made = estimate_score(predicted, labels, score="accuracy", num_classes=10)
    assert made.interval[1] - made.interval[0] > 0.02
    assert [versus.verdict for versus in ran(tiny("baseline", "augment"), tmp_path).versus.values()] == [None]


def test_t7_overlapping_bands_are_no_test() -> None:
    (mean, sd), (later, later_sd) = fashion_autoencoder.AT[30], fashion_autoencoder.AT[50]
    assert mean + sd > later - later_sd
    made = welch(mean, sd, 15, later, later_sd, 15)
    checked = stats.ttest_ind_from_stats(later, later_sd, 15, mean, sd, 15, equal_var=False)
    assert (made.t, made.p) == pytest.approx((checked.statistic, checked.pvalue))
    assert made.t == pytest.approx(3.2, abs=0.05)
    assert made.p < 0.01


def test_t8_arms_share_their_splits_and_where_they_do_not_nothing_is_compared(
    planned: Callable[[Study], Plan], data: Path, tmp_path: Path
) -> None:
    arms = ("baseline", "augment")
    honest = planned(tiny(*arms))
    assert all(honest.split("baseline", repeat) == honest.split("augment", repeat) for repeat in range(2))
    flawed = planned(tiny(*arms, flaws=("split-per-arm",)))
    assert flawed.split("baseline", 0) != flawed.split("augment", 0)
    assert ran(tiny(*arms, flaws=("split-per-arm",)), tmp_path / "store").versus == {}
    inputs = Inputs(str(data / satellite_fusion.LAND_USE.path), tmp_path)
    for protocol in ("published", "honest"):
        (study,) = satellite_fusion.studies(SCALES["paper"], protocol, inputs).values()
        assert ("split-per-arm" in study.protocol.flaws) == (protocol == "published")


def test_t9_schedules_watch_the_test_part_under_the_flaw_alone(
    planned: Callable[[Study], Plan], data: Path, tmp_path: Path
) -> None:
    inputs = Inputs(str(data / animals_transfer.ANIMALS.path), tmp_path)
    for protocol in ("published", "honest"):
        (study,) = animals_transfer.studies(SCALES["paper"], protocol, inputs).values()
        watching = [arm.name for arm in study.arms or () if arm.classifier.training.schedule == "plateau"]  # type: ignore[union-attr]
        assert watching == [arm.name for arm in study.arms or () if arm.name != "vgg16 v1"]
        assert len(watching) > 5
        assert ("test-as-val" in study.protocol.flaws) == (protocol == "published")
    honest, flawed = planned(tiny("baseline")), planned(tiny("baseline", flaws=("test-as-val",)))
    for split in honest.splits.values():
        assert not set(split.val) & set(split.test)
    for split in flawed.splits.values():
        assert np.array_equal(split.val, split.test)
    part = pictures(40)
    train, test = part.take(np.arange(0, 40, 2)), part.take(np.arange(1, 40, 2))
    classifier = CLASSIFIER.fit(train, test, seed=0)
    with pytest.raises(LeakError, match="test"):
        evaluate(classifier, test)
    assert len(evaluate(classifier, test, flaws=("test-as-val",))) == len(test)


def test_t10_no_treatment_flips_unless_it_is_asked_to(data: Path, tmp_path: Path) -> None:
    inputs = Inputs(str(data / signs_diffusion.SIGNS.path), tmp_path)
    of_signs = [
        arm
        for module in (signs_autoencoders, signs_diffusion)
        for protocol in ("published", "honest")
        for study in module.studies(SCALES["paper"], protocol, inputs).values()
        for arm in study.arms or ()
    ]
    assert len(of_signs) > 20
    for arm in (*ARMS.values(), *of_signs):
        assert arm.augment is None or not (arm.augment.flip_horizontal or arm.augment.flip_vertical), arm.name
    marked = np.zeros((1, 3, 16, 16), dtype=np.uint8)
    marked[..., :8] = 255  # the left half is bright and stays brighter under every default
    for arm in ARMS.values():
        if arm.augment is not None:
            draws = torch.rand((64, 256), generator=torch.Generator().manual_seed(0))
            seen = arm.augment.apply(torch.from_numpy(np.repeat(marked, 64, axis=0)), draws[:, : _num_draws()])
            if arm.augment.rotation <= 15 and arm.augment.policy is None:
                assert bool((seen[..., :8].mean(dim=(1, 2, 3)) > seen[..., 8:].mean(dim=(1, 2, 3))).all()), arm.name


def _num_draws() -> int:
    from handful.data.draws import NUM_DRAWS

    return NUM_DRAWS


def test_t11_the_decoder_reaches_28_px_from_five_with_a_filter_of_four_and_not_with_three_twice() -> None:
    def up(side: int, kernel: int) -> int:
        return (side - 1) * 2 + kernel + 1

    assert up(up(5, 4), 3) == 28 != up(up(5, 3), 3)
    with rng.forked(0):
        network = Autoencoder.preset("s4").networks(1, 28, 0)["autoencoder"]
    images = torch.rand(2, 1, 28, 28)
    assert network(images, torch.zeros(2, dtype=torch.int64), []).shape == images.shape
    assert 32 * 5 * 5 in [one.in_features for one in network.modules() if isinstance(one, torch.nn.Linear)]


def test_t12_every_published_number_names_its_part_and_is_a_fraction() -> None:
    for entry in STUDIES.values():
        for row in entry.rows:
            assert row.on in ("validation", "test")
            assert row.published is None or 0 < row.published <= 1, (entry.name, row.what)
    assert animals_transfer.PUBLISHED["vgg16 v1"][2] == 0.4079  # printed as 0.4079 %
    base = {row.on: row.published for row in cifar_cnn.ROWS if row.arm == "base" and row.number == "accuracy"}
    assert base == {"test": 0.58, "validation": 0.616}


def test_t13_both_readings_of_the_reconstruction_are_there_and_differ() -> None:
    images, labels = (
        torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        torch.zeros(2, dtype=torch.int64),
    )
    losses = {}
    for error in ("bce", "mse"):
        recipe = VAE.preset("s1", reconstruction=error)
        with rng.forked(0):
            nets = recipe.networks(3, 64, 0)
        losses[error] = torch.Tensor.item(
            recipe.loss(nets, images, labels, recipe.noise((2, 3, 64, 64), rng.torch_rng(0), "cpu"), 1.0).detach()
        )
    assert losses["bce"] != pytest.approx(losses["mse"], rel=0.1)


def test_t14_copies_of_training_files_are_in_validation_and_test_under_published_alone(
    data: Path, tmp_path: Path, planned: Callable[[Study], Plan]
) -> None:
    inputs = Inputs(str(data / signs_diffusion.SIGNS.path), tmp_path)
    shared = {}
    for protocol in ("published", "honest"):
        study = signs_diffusion.studies(SCALES["tiny"], protocol, inputs)["signs"]
        plan = planned(study)
        images = load(plan.source, CLASSIFIER.view)
        content = {
            part: set(images.take(getattr(plan.splits["", 0], part)).origin.content.tolist())
            for part in ("train", "val", "test")
        }
        shared[protocol] = len(content["train"] & content["val"]), len(content["train"] & content["test"])
        assert bool(plan.study.protocol.all_flaws) == (protocol == "published")
    assert shared["honest"] == (0, 0)
    assert min(shared["published"]) > 0
    published = open_source(tmp_path / "published-signs" / "files")
    assert len(published) == 3 * (2 * 10 + 4 + 1)
    assert len(once(published)) == 3 * (10 + 4)


def test_every_trap_has_its_test() -> None:
    names = {name.split("_")[1] for name in globals() if name.startswith("test_t")}
    assert names == {f"t{place}" for place in range(1, 15)}


def test_stages_are_those_that_the_traps_were_looked_for_in() -> None:
    assert {"generator", "synthetic", "classifier", "predictions", "measures"} <= set(STAGES)
