"""A synthetic picture handed to scoring or validation, or one that is also in training, raises; a named flaw lifts
its own guard and no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handful
from handful import Interpolation, LabeledImages
from handful.classify.contract import Classifier
from handful.classify.ensemble import Ensemble
from handful.data.images import Origin, content_of
from handful.data.split import Split
from handful.errors import LeakError
from handful.study.plan import make_plan
from handful.study.run import put_inputs
from handful.study.stages import Job, run_job
from handful.study.store import Store
from handful.study.stored import get_images, put_images, put_split
from handful.study.study import Study
from tiny_study import CLASSIFIER, VAE_ARM, digits, tiny

FLAWS = ("copies-across-parts", "split-per-arm", "synthetic-in-val", "test-as-val")
SYNTHETIC, SEEN = r"pictures are synthetic; scores are taken on real", r"pictures are also in training"


@pytest.fixture(scope="module")
def parts() -> dict[str, LabeledImages]:
    """Training, validation and test without a picture in common, and pictures made from training."""
    images, order = LabeledImages.of_arrays(*digits()), np.random.default_rng(0).permutation(60)
    made = {name: images.take(order[rows]) for name, rows in (("train", slice(30)), ("val", slice(30, 45)))}
    made["test"] = images.take(order[45:])
    generator = Interpolation().fit(made["train"], None, seed=0)
    return {**made, "synthetic": generator.sample([0, 1, 2], seeds=[0, 1, 2])}


@pytest.fixture(scope="module")
def classifier(parts: dict[str, LabeledImages]) -> Classifier:
    return CLASSIFIER.fit(parts["train"], parts["val"], seed=0)


def first(images: LabeledImages, num: int = 2) -> LabeledImages:
    return images.take(np.arange(num))


def test_fitting_refuses_validation_that_is_synthetic(parts: dict[str, LabeledImages]) -> None:
    with pytest.raises(LeakError, match=f"validation: 3 of 18 {SYNTHETIC}"):
        CLASSIFIER.fit(parts["train"], parts["val"].joined(parts["synthetic"]), seed=0)


def test_fitting_refuses_validation_that_is_in_training(parts: dict[str, LabeledImages]) -> None:
    with pytest.raises(LeakError, match=f"validation: 2 of 17 {SEEN}"):
        CLASSIFIER.fit(parts["train"], parts["val"].joined(first(parts["train"])), seed=0)


def test_fitting_a_generator_refuses_synthetic_pictures(parts: dict[str, LabeledImages]) -> None:
    for recipe in (Interpolation(), VAE_ARM.generator):
        with pytest.raises(LeakError, match=f"the generator's training part: 3 of 33 {SYNTHETIC}"):
            recipe.fit(parts["train"].joined(parts["synthetic"]), parts["val"], seed=0)
        with pytest.raises(LeakError, match=f"the generator's validation part: 3 of 3 {SYNTHETIC}"):
            recipe.fit(parts["train"], parts["synthetic"], seed=0)


def test_a_copy_is_known_at_any_size_and_as_colour(parts: dict[str, LabeledImages]) -> None:
    """Content is that of the decoded original; a grey picture stored as RGB is the same picture."""
    assert content_of(np.repeat(parts["train"].pixels, 3, axis=1)).tolist() == parts["train"].origin.content.tolist()


def saved(classifier: Classifier, folder: Path) -> Classifier:
    classifier.save(folder)
    return handful.load_classifier(folder)


KINDS: dict[str, Callable[[Classifier, Path], Classifier]] = {
    "fitted": lambda made, folder: made,
    "loaded": saved,
    "ensemble": lambda made, folder: Ensemble.of([made, made]),
    "exported": lambda made, folder: saved(Ensemble.of([made, made]), folder),
}


@pytest.mark.parametrize("kind", KINDS)
def test_scoring_refuses_what_is_synthetic_or_was_seen(
    kind: str, classifier: Classifier, parts: dict[str, LabeledImages], tmp_path: Path
) -> None:
    made = KINDS[kind](classifier, tmp_path / "model")
    assert handful.evaluate(made, parts["test"]).shape == (15, 3)
    with pytest.raises(LeakError, match=f"test: 3 of 18 {SYNTHETIC}"):
        handful.evaluate(made, parts["test"].joined(parts["synthetic"]))
    for seen in ("train", "val"):
        with pytest.raises(LeakError, match=f"test: 2 of 17 {SEEN}"):
            handful.evaluate(made, parts["test"].joined(first(parts[seen])))


# which guards each flaw lifts, and no other
LIFTED = {
    "fit on synthetic validation": {"synthetic-in-val"},
    "fit on validation in training": {"copies-across-parts", "synthetic-in-val"},
    "score what is synthetic": set(),
    # a classifier keeps the contents of training and validation as one set, so one flaw lifts both
    "score what is in training": {"copies-across-parts", "test-as-val"},
    "score what is in validation": {"copies-across-parts", "test-as-val"},
}


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("what", LIFTED)
def test_a_flaw_lifts_its_own_guard_only(
    what: str, flaw: str, classifier: Classifier, parts: dict[str, LabeledImages]
) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "fit on synthetic validation": lambda: CLASSIFIER.fit(
            parts["train"], parts["val"].joined(parts["synthetic"]), seed=0, flaws=[flaw]
        ),
        "fit on validation in training": lambda: CLASSIFIER.fit(
            parts["train"], parts["val"].joined(first(parts["train"])), seed=0, flaws=[flaw]
        ),
        "score what is synthetic": lambda: handful.evaluate(classifier, parts["synthetic"], flaws=[flaw]),
        "score what is in training": lambda: handful.evaluate(classifier, parts["train"], flaws=[flaw]),
        "score what is in validation": lambda: handful.evaluate(classifier, parts["val"], flaws=[flaw]),
    }
    if flaw in LIFTED[what]:
        calls[what]()
    else:
        with pytest.raises(LeakError):
            calls[what]()


class Prepared:
    """A store with the pictures and the split of a study, and the jobs that read them."""

    def __init__(self, root: Path, study: Study) -> None:
        self.store = Store(root)
        self.plan = make_plan(study, self.store, budget=None, workers=1, device="cpu", timed=False, say=lambda _: None)
        put_inputs(self.plan, self.store)

    def run(self, job: Job) -> str:
        """Run a job; its error in one line, empty where it was finished."""
        assert (run_job(str(self.store.root), job.to_json(), "cpu") is None) == (not self.store.has(job.key))
        return "" if self.store.has(job.key) else self.store.failure(job.key)["error"]

    def job(self, stage: str) -> Job:
        return next(job for job in self.plan.jobs if job.stage == stage)

    def doctored(self, job: Job, change: Callable[[LabeledImages, Split], LabeledImages]) -> Job:
        """The same job on changed pictures."""
        images = get_images(self.store, job.inputs["images"])
        split = Split(**self.store.arrays(job.inputs["split"]))
        view = self.plan.study.view(CLASSIFIER.view)
        key = put_images(self.store, change(images, split), change.__name__, view)
        return Job(job.stage, job.spec, {**job.inputs, "images": key}, job.arm, job.repeat)


def copied(images: LabeledImages, split: Split) -> LabeledImages:
    """A test picture becomes a copy of one in training."""
    content = images.origin.content.copy()
    content[split.test[0]] = content[split.train[0]]
    return LabeledImages(images.pixels, images.labels, images.class_names, Origin.of_real(content))


def generated(images: LabeledImages, split: Split) -> LabeledImages:
    """A test picture becomes a synthetic one."""
    maker = images.origin.maker.astype("U9")
    maker[split.test[0]] = "generator"
    arrays = {**images.origin.to_arrays(), "maker": maker}
    return LabeledImages(images.pixels, images.labels, images.class_names, Origin(**arrays))


REBUILT = VAE_ARM.changed(name="rebuilt", add=None, judged_by="reconstruction")


@pytest.mark.parametrize(
    ("stage", "change", "error"),
    [
        ("generator", copied, "also in training"),
        ("predictions", copied, "also in training"),
        ("predictions", generated, "are synthetic"),
        ("reconstruction", copied, "also in training"),
        ("reconstruction", generated, "are synthetic"),
    ],
)
def test_a_stage_refuses_doctored_pictures(tmp_path: Path, stage: str, change: Any, error: str) -> None:
    prepared = Prepared(tmp_path / "store", tiny("baseline", REBUILT, repeats=1))
    for name in {"generator": (), "predictions": ("classifier",), "reconstruction": ("generator",)}[stage]:
        assert prepared.run(prepared.job(name)) == ""
    failed = prepared.run(prepared.doctored(prepared.job(stage), change))
    assert failed.startswith("LeakError: test: 1 of 12 pictures")
    assert error in failed
    assert prepared.run(prepared.job(stage)) == ""


@pytest.mark.parametrize("stage", ["predictions", "reconstruction"])
def test_a_stage_refuses_a_split_that_its_model_was_not_fitted_on(tmp_path: Path, stage: str) -> None:
    """Test rows of this split are training rows of the split that the model was fitted on."""
    prepared = Prepared(tmp_path / "store", tiny("baseline", REBUILT, repeats=1))
    job = prepared.job(stage)
    assert prepared.run(prepared.job("classifier" if stage == "predictions" else "generator")) == ""
    split = prepared.plan.split("", 0)
    swapped = Split(train=np.concatenate([split.train[12:], split.test]), val=split.val, test=split.train[:12])
    other = Job(stage, job.spec, {**job.inputs, "split": put_split(prepared.store, swapped, "swapped")}, job.arm, 0)
    assert prepared.run(other).startswith("LeakError: ")


def test_the_classifier_stage_refuses_validation_that_is_in_training(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path / "store", tiny("baseline", repeats=1))

    def change(images: LabeledImages, split: Split) -> LabeledImages:
        return copied(images, Split(split.train, [], split.val))

    failed = prepared.run(prepared.doctored(prepared.job("classifier"), change))
    assert failed.startswith(f"LeakError: validation: 1 of 9 {SEEN}")


def test_a_source_of_synthetic_pictures_is_refused(parts: dict[str, LabeledImages]) -> None:
    with pytest.raises(ValueError, match="a source holds real pictures only"):
        handful.open_source(parts["test"].joined(parts["synthetic"]))


def test_a_studied_flaw_of_copies_is_let_through_by_every_stage(tmp_path: Path) -> None:
    """With copies kept, the same doctored pictures pass; a synthetic one in the test part still does not."""
    prepared = Prepared(tmp_path / "store", tiny("baseline", REBUILT, repeats=1, copies="keep"))
    assert prepared.run(prepared.job("generator")) == ""
    assert prepared.run(prepared.job("classifier")) == ""
    for stage in ("generator", "predictions", "reconstruction"):
        assert prepared.run(prepared.doctored(prepared.job(stage), copied)) == ""
    for stage in ("predictions", "reconstruction"):
        assert "are synthetic" in prepared.run(prepared.doctored(prepared.job(stage), generated))
