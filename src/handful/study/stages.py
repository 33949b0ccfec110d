"""The stages of a study, and the one place that knows their order.

    images, split ──> generator ──> synthetic ──> classifier ──> predictions ──> explanations
                          │             ├────────────────────> measures
                          │             └────────────────────> embedding (of all arms)
                          └──────────────────────────────────> reconstruction

    images, split ──> generator or encoder ──> classifier, whose network starts from its weights

Where a selection asks for class probabilities, `synthetic` also reads a classifier: the study's own, fitted to the real
training part alone, which is that of the baseline.

Each stage is a function of (spec, inputs, store, how) that reads its inputs from the store and fills a folder. The key
of its job is the digest of the stage, its version, the spec and the keys of its inputs: arms that share a prefix share
its jobs. Images and splits are put into the store by the run itself; everything else is a job. Nothing reads the
measures, the explanations and the embedding: they may look at the test part because they influence nothing.
"""

from __future__ import annotations

import os
import platform
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import handful
from handful import rng
from handful.classify.cnn import CNNClassifier
from handful.classify.contract import ClassifierRecipe, evaluate
from handful.classify.pretrain import SimCLR, load_pretrained
from handful.classify.table import CLASSIFIERS, load_classifier
from handful.config import choose, digest_of, fields_of
from handful.data.balance import amounts, kept_of
from handful.data.decode import resized
from handful.data.images import LabeledImages, View, require_real, require_unseen
from handful.data.split import Split
from handful.generate.contract import Generator
from handful.generate.draw import draw
from handful.generate.select import GATES, SELECTORS
from handful.generate.selection import Selection
from handful.generate.table import GENERATORS, load_generator
from handful.nn.inherited import Inherited
from handful.nn.train import How, one_thread
from handful.study.arms import Arm
from handful.study.embedding import SYNTHETIC, embed_pictures
from handful.study.explained import explain
from handful.study.measured import measure_synthetic
from handful.study.parts import fitted_parts, of_real
from handful.study.store import Store
from handful.study.stored import get_images, images_key, save_arrays
from handful.study.study import ResolvedStudy


@dataclass(frozen=True)
class Job:
    """One stage on one split.

    Args:
        stage: name in STAGES.
        spec: what is computed, JSON values.
        inputs: keys of the results it reads, by role.
        arm, repeat: for whom it was first needed; no part of its key.
        role: what it is to the arm where its stage does not say so, as for `pretraining`; no part of its key.
    """

    stage: str
    spec: dict[str, Any]
    inputs: dict[str, str]
    arm: str
    repeat: int
    role: str = ""
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", job_key(self.stage, self.spec, self.inputs))

    def to_json(self) -> dict[str, Any]:
        names = ("stage", "spec", "inputs", "arm", "repeat", "role")
        return {name: getattr(self, name) for name in names}


def job_key(stage: str, spec: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the key of a result: what it depends on, and nothing else."""
    return digest_of({"stage": stage, "version": STAGES[stage].version, "spec": spec, "inputs": inputs})


def jobs_of(study: ResolvedStudy, arm: Arm, repeat: int, split: str) -> list[Job]:
    """Return the jobs of one arm in one repeat, in their order; it is scored by `predictions` or `reconstruction`.

    Args:
        split: key of the repeat's split.
    """
    protocol = study.protocol
    flaws = list(protocol.all_flaws)

    def seed(stream: str) -> int:
        return rng.derive(protocol.seed, stream, repeat if stream in protocol.vary else 0)

    def job(stage: str, spec: dict[str, Any], role: str = "", **inputs: str) -> Job:
        made = Job(stage, spec, {"split": split, **inputs}, arm.name, repeat, role)
        jobs.append(made)
        return made

    def fitted(recipe: ClassifierRecipe, **changes: Any) -> dict[str, Any]:
        return {
            "recipe": recipe.describe(),
            "seed": seed("initialisation"),
            "order_seed": seed("order"),
            "real": True,
            "val_fraction": protocol.val_fraction if "synthetic-in-val" in flaws else None,
            "flaws": flaws,
            **changes,
        }

    jobs: list[Job] = []
    recipe = study.classifier_of(arm)
    inputs = {"images": images_key(study.data, recipe.view)}
    if arm.pretrain is not None:
        first = study.pretraining_of(arm)
        stage = "encoder" if isinstance(first, SimCLR) else "generator"
        spec = {"recipe": first.describe(), "seed": seed("generator"), "flaws": flaws}
        inputs["encoder"] = job(stage, spec, "pretraining", images=inputs["images"]).key
    if arm.generator is not None:
        made_by = study.generator_of(arm)
        assert made_by.view is not None
        seen = images_key(study.data, made_by.view)
        generator = job(
            "generator", {"recipe": made_by.describe(), "seed": seed("generator"), "flaws": flaws}, images=seen
        )
        if arm.judged_by == "reconstruction":
            job("reconstruction", {}, images=seen, generator=generator.key)
            return jobs
        gate = study.gate_of(arm)
        spec = {
            "gate": gate.describe(),
            "selection": arm.selection.describe(),
            "amount": arm.amount if arm.cap is None else {**arm.amount, "cap": arm.cap},
            "view": recipe.view.describe(),
            "seed": seed("generator"),
        }
        needed = {}
        if "probabilities" in gate.needs | arm.selection.needs:
            judge = study.judge
            needed["judge"] = job("classifier", fitted(judge), images=images_key(study.data, judge.view)).key
        inputs["synthetic"] = job("synthetic", spec, images=seen, generator=generator.key, **needed).key
        if study.measures != "none":
            measured = {"extractor": study.measures, "seed": seed("generator")}
            job("measures", measured, images=seen, synthetic=inputs["synthetic"])
    spec = fitted(recipe, real=arm.real)
    if made := composed(arm):
        spec["composition"] = {**made, "seed": seed("order")}
    classifier = job("classifier", spec, **inputs)
    predictions = job("predictions", {"flaws": flaws}, images=inputs["images"], classifier=classifier.key)
    if study.mistakes and repeat == 0:
        asked = {"most": study.mistakes, "seed": protocol.seed}
        job("explanations", asked, images=inputs["images"], classifier=classifier.key, predictions=predictions.key)
    return jobs


def embedding_of(study: ResolvedStudy, first: Sequence[Job], split: str) -> Job | None:
    """Return the job that draws the pictures of all arms in one plane; None where the study measures nothing.

    Args:
        first: the jobs of all arms in the first repeat.
        split: key of the reference arm's split there.
    """
    if study.measures == "none":
        return None
    reference = study.arm(study.protocol.reference)
    view = study.classifier_of(reference).view
    keys = dict.fromkeys(job.key for job in first if job.stage == "synthetic")
    made = {f"{SYNTHETIC}{place}": key for place, key in enumerate(keys)}
    spec = {"extractor": study.measures, "view": view.describe(), "seed": study.protocol.seed}
    inputs = {"split": split, "images": images_key(study.data, view), **made}
    return Job("embedding", spec, inputs, reference.name, 0)


def composed(arm: Arm) -> dict[str, Any]:
    """Return what an arm changes in the training part beside adding a generator's pictures, JSON values; often {}."""
    made: dict[str, Any] = {}
    if arm.cap is not None:
        made["cap"] = arm.cap
    if arm.augments_once:
        assert arm.augment is not None
        made["augment"] = arm.augment.describe()
        made["enlarge"], made["enlarge_synthetic"] = arm.enlarge or 0, arm.enlarge_synthetic
    if arm.copies:
        made["amount"] = arm.amount
    return made


def read_recipe(table: Mapping[str, Any], described: dict[str, Any], what: str) -> Any:
    """Return the recipe that `Recipe.describe` described."""
    return choose(table, fields_of(described), what)


Inputs = Mapping[str, str]


def fit_generator(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Fit a generator to the training part; validation, where there is one, may choose its weights."""
    recipe = read_recipe(GENERATORS, spec["recipe"], "generator")
    images, split = get_images(store, inputs["images"]), Split(**store.arrays(inputs["split"]))
    train, val = images.take(split.train), images.take(split.val)
    if not {"copies-across-parts", "test-as-val"} & set(spec["flaws"]):
        require_unseen(images.take(split.test), frozenset(train.joined(val).origin.content.tolist()), "test")
    generator = recipe.fit(train, val if len(val) else None, seed=spec["seed"], how=how)
    generator.save(folder)
    return {"steps": sum(part["steps_done"] for part in generator.history.values())}


def fit_encoder(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Fit a network's body to the training part without its labels."""
    recipe: SimCLR = read_recipe({"simclr": SimCLR}, spec["recipe"], "pretraining")
    images, split = get_images(store, inputs["images"]), Split(**store.arrays(inputs["split"]))
    train = images.take(split.train)
    if not {"copies-across-parts", "test-as-val"} & set(spec["flaws"]):
        require_unseen(images.take(split.test), frozenset(train.origin.content.tolist()), "test")
    made = recipe.fit(train, seed=spec["seed"], how=how)
    made.save(folder)
    return {"steps": made.history["steps_done"]}


def inherited(store: Store, key: str) -> Inherited:
    """Return the encoder of a result of the stage `generator` or `encoder`, with what it has seen."""
    record, folder = store.record(key), store.folder(key)
    content = get_images(store, record["inputs"]["images"]).origin.content
    split = Split(**store.arrays(record["inputs"]["split"]))
    trained = frozenset(content[split.train].tolist())
    if record["stage"] == "encoder":
        made = load_pretrained(folder)
        return Inherited(
            made.weights, made.fitted, trained, trained, made.mean, made.std, made.history, source=made.source
        )
    generator = load_generator(folder)
    seen, channels = trained | frozenset(content[split.val].tolist()), generator.shape[0]
    as_it_is = ((0.0,) * channels, (1.0,) * channels)  # generators see pictures in [0, 1]
    return Inherited(generator.encoder_weights(), generator.fitted, trained, seen, *as_it_is, history=generator.history)


def make_synthetic(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Sample candidates for every class, gate and select them, and bring those kept to the classifier's view."""
    generator = load_generator(store.folder(inputs["generator"]))
    gate: Selection = read_recipe(GATES, spec["gate"], "gate")
    selection: Selection = read_recipe(SELECTORS, spec["selection"], "selection")
    images, split = get_images(store, inputs["images"]), Split(**store.arrays(inputs["split"]))
    train = images.take(split.train)
    wanted = amounts(kept_of(train.counts, spec["amount"].get("cap")), spec["amount"])
    candidates, ledger = draw(
        generator,
        train,
        wanted,
        gate=gate,
        selection=selection,
        seed=spec["seed"],
        probabilities=_probabilities(store, inputs["judge"], how) if "judge" in inputs else None,
        device=how.device,
    )
    chosen = candidates.take(np.flatnonzero(ledger.kept))
    view = View(**fields_of(spec["view"]))
    pixels = _seen_at(chosen.pixels, view)
    save_arrays(folder / "arrays.npz", pixels=pixels, labels=chosen.labels, **chosen.origin.to_arrays())
    save_arrays(
        folder / "candidates.npz", pixels=candidates.pixels, labels=candidates.labels, **candidates.origin.to_arrays()
    )
    save_arrays(folder / "ledger.npz", **ledger.to_arrays())
    return {"real": train.counts.tolist(), "wanted": wanted.tolist(), **ledger.counts(train.num_classes)}


def _seen_at(pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Pictures uint8 [N, C, H, W] in a view."""
    shape = (len(pixels), view.channels or 3, view.size, view.size)
    return np.array([resized(picture, view, shape[1]) for picture in pixels], dtype=np.uint8).reshape(shape)


def _probabilities(store: Store, key: str, how: How) -> Callable[[LabeledImages], NDArray[np.floating]]:
    """What tells class probabilities of synthetic pictures: a classifier of the store."""
    classifier = load_classifier(store.folder(key), trust_code=True)
    view = View(**fields_of(store.record(key)["spec"]["recipe"]["view"]))
    return lambda pictures: classifier.predict_proba(_seen_at(pictures.pixels, view), device=how.device)


def fit_classifier(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Fit a classifier to the training part and the synthetic pictures; validation, if any, may choose its weights."""
    recipe = read_recipe(CLASSIFIERS, spec["recipe"], "classifier")
    train, val = fitted_parts(spec, inputs, store)
    seeds = {"seed": spec["seed"], "order_seed": spec["order_seed"]}
    encoder = inherited(store, inputs["encoder"]) if "encoder" in inputs else None
    classifier = recipe.fit(train, val if len(val) else None, **seeds, flaws=spec["flaws"], encoder=encoder, how=how)
    classifier.save(folder)
    validated = classifier.predict_proba(val, device=how.device) if len(val) else np.empty((0, val.num_classes))
    save_arrays(folder / "val.npz", labels=val.labels, probs=validated)
    history = classifier.history
    return {
        "steps": history["steps_done"],
        "pictures_seen": history["pictures_seen"],
        "train": train.counts.tolist(),
        "val": val.counts.tolist(),
        **({"start": classifier.start} if isinstance(classifier, CNNClassifier) else {}),
        **({"train_real": of_real(train).counts.tolist()} if "composition" in spec else {}),
    }


def predict_test(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Predict the test part: real pictures that nothing was fitted to."""
    classifier = load_classifier(store.folder(inputs["classifier"]), trust_code=True)
    split = Split(**store.arrays(inputs["split"]))
    images = get_images(store, inputs["images"])
    test = images.take(split.test)
    if "copies-across-parts" not in spec["flaws"]:
        require_unseen(test, frozenset(images.origin.take(split.train).content.tolist()), "test")
    probs = evaluate(classifier, test, flaws=spec["flaws"], device=how.device)
    save_arrays(folder / "arrays.npz", rows=split.test, labels=test.labels, probs=probs)
    return {}


def rebuild_test(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Rebuild the test part, and take the mean squared error of each picture, pixels in [0, 1]; validation beside it.

    The result has the generator's own loss at its last look at validation, a mean over its networks, as `val_loss`.
    """
    generator = load_generator(store.folder(inputs["generator"]))
    split = Split(**store.arrays(inputs["split"]))
    test = get_images(store, inputs["images"]).take(split.test)
    require_real(test, "test")
    made = store.record(inputs["generator"])
    seen, fitted = get_images(store, made["inputs"]["images"]), Split(**store.arrays(made["inputs"]["split"]))
    if not {"copies-across-parts", "test-as-val"} & set(made["spec"]["flaws"]):
        require_unseen(test, frozenset(seen.take(np.append(fitted.train, fitted.val)).origin.content.tolist()), "test")
    val = seen.take(fitted.val)
    save_arrays(folder / "arrays.npz", rows=split.test, labels=test.labels, mse=_rebuilt_error(generator, test))
    save_arrays(folder / "val.npz", labels=val.labels, mse=_rebuilt_error(generator, val))
    looks = [history["values"][-1] for history in generator.history.values()]
    losses = [look["loss"] for look in looks if "loss" in look]
    return {"val_loss": float(np.mean(losses)) if losses else None}


def _rebuilt_error(generator: Generator, images: LabeledImages) -> NDArray[np.float64]:
    """float64 [N]: the mean squared error of each rebuilt picture, pixels in [0, 1]."""
    if not len(images):
        return np.empty(0)
    difference = (generator.rebuild(images).astype(np.float64) - images.pixels) / 255
    return np.asarray((difference**2).mean(axis=(1, 2, 3)))


def explain_mistakes(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Keep the most confident mistakes on test, where the network looked, and the training pictures most like them."""
    made = store.record(inputs["classifier"])
    train, _ = fitted_parts(made["spec"], made["inputs"], store)
    test = get_images(store, inputs["images"]).take(Split(**store.arrays(inputs["split"])).test)
    require_real(test, "test")
    return explain(
        load_classifier(store.folder(inputs["classifier"]), trust_code=True),
        train,
        test,
        store.arrays(inputs["predictions"])["probs"],
        most=spec["most"],
        seed=spec["seed"],
        device=how.device,
        folder=folder,
    )


def embed(spec: dict[str, Any], inputs: Inputs, store: Store, how: How, folder: Path) -> dict[str, Any]:
    """Lay pictures of the first repeat out in one plane, real ones and those of every arm's generator together."""
    view = View(**fields_of(spec["view"]))
    return embed_pictures(spec, inputs, store, how.device, folder, lambda pixels: _seen_at(pixels, view))


@dataclass(frozen=True)
class Stage:
    """A stage's function and the version that goes into every key."""

    run: Callable[[dict[str, Any], Inputs, Store, How, Path], dict[str, Any]]
    version: int = 1


STAGES: dict[str, Stage] = {
    "generator": Stage(fit_generator),
    "synthetic": Stage(make_synthetic, version=3),
    "encoder": Stage(fit_encoder),
    "classifier": Stage(fit_classifier),
    "predictions": Stage(predict_test),
    "reconstruction": Stage(rebuild_test, version=2),
    "measures": Stage(measure_synthetic),
    "explanations": Stage(explain_mistakes),
    "embedding": Stage(embed),
}


def run_job(
    store_path: str, job: dict[str, Any], device: str, progress: Callable[[int, int], None] | None = None
) -> str | None:
    """Run one job and return its key, or None where it failed; the failure is in the store with its traceback.

    It runs with one torch thread in every engine, so that all of them give the same bits.
    """
    store, made = Store(store_path), Job(**job)
    if store.has(made.key):
        return made.key
    checkpoint = store.checkpoint(made.key)
    started = time.perf_counter()
    record = {"stage": made.stage, "spec": made.spec, "inputs": made.inputs, "versions": versions(), "device": device}

    def write(folder: Path) -> None:
        how = How(device=device, checkpoint=checkpoint, progress=progress)
        record["result"] = STAGES[made.stage].run(made.spec, made.inputs, store, how, folder)

    try:
        with one_thread():
            store.put(made.key, record, write)
    except Exception as error:
        store.fail(made.key, {**job, "error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})
        return None
    store.set_time(made.key, time.perf_counter() - started, device)
    return made.key


def versions() -> dict[str, str]:
    """Return what bit equality is promised for: one machine type and one set of versions."""
    return {
        "handful": handful.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
    }
