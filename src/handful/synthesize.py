"""`handful generate`: the balanced set of a generator, made from the training part alone, and more from a saved one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful import rng
from handful.config import choose
from handful.data.export import folder_names, require_export, write_pictures
from handful.data.images import LabeledImages, Origin, content_of
from handful.errors import ConfigError, HandfulError, unknown
from handful.generate.contract import Generator, GeneratorRecipe
from handful.generate.ledger import write_ledger
from handful.generate.select import SELECTORS, in_turn
from handful.generate.selection import Selection
from handful.generate.table import GENERATORS, load_generator
from handful.report.pictures import write_grids
from handful.study.arms import Arm
from handful.study.engines import pick_device
from handful.study.plan import make_plan
from handful.study.run import put_inputs
from handful.study.stages import Job, run_job
from handful.study.store import Store
from handful.study.stored import get_candidates, get_images, get_ledger, get_synthetic
from handful.study.study import Study

NAME = "generate"
SCOPES = ("conditional", "per-class", "specialised")
STAGES_RUN = ("classifier", "generator", "synthetic")


@dataclass(frozen=True)
class Made:
    """A written set: `wanted` and `kept` synthetic pictures and `real` ones by class name, and where it is."""

    output: Path
    real: dict[str, int]
    wanted: dict[str, int]
    kept: dict[str, int]


def generator_recipe(
    kind: str,
    *,
    preset: str | None = None,
    scope: str | None = None,
    steps: int | None = None,
    epochs: int | None = None,
) -> GeneratorRecipe:
    """Return a family's recipe, or a preset of it, with what the options change.

    Raises:
        ConfigError: an unknown family or preset, or an option that the family lacks.
    """
    recipe = choose(GENERATORS, kind, "generator")
    if preset is not None:
        recipe = type(recipe).preset(preset)
    options = {"scope": scope, "steps": steps, "epochs": epochs}
    given = {name: value for name, value in options.items() if value is not None}
    fields = type(recipe).model_fields
    faults = [
        f"--{value if name == 'scope' else name}: {kind} trains no network"
        for name, value in given.items()
        if ("scope" if name == "scope" else "training") not in fields
    ]
    if steps is not None and epochs is not None:
        faults.append("--steps and --epochs are two budgets; give one")
    if faults:
        raise ConfigError(*faults)
    changes: dict[str, Any] = {"scope": scope} if scope is not None else {}
    if steps is not None or epochs is not None:
        training = recipe.training  # type: ignore[attr-defined]  # just found among its fields
        changes["training"] = training.changed(steps=steps or training.steps, epochs=epochs)
        if "epochs_by_size" in fields:
            changes["epochs_by_size"] = ()
    return recipe.changed(**changes)


def generate_pictures(
    study: Study,
    generator: GeneratorRecipe,
    output: str | Path,
    *,
    amount: Mapping[str, int | str],
    selection: str = "none",
    gate: str = "copies",
    device: str = "auto",
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Fit a generator to the training part of a study's first repeat, sample, gate, select, and write the set.

        output/original, generated, balanced    by class, with manifest.csv, card.json, README.md
        output/grids/CLASS.png                  real pictures above, generated ones below
        output/candidates/                      every candidate, with ledger.csv: kept or not, and why
        output/generator/                       for `handful generate --from`

    An interrupted run leaves a hidden folder beside `output` and goes on from there.

    Args:
        study: source, split and size; its arms are not used.
        amount: `fill_to`, `add` or `fill_level`, as in an `Arm`.
        selection: names of SELECTORS joined by `+`.
        gate: a name of GATES.
        progress: called with (steps done, steps in all) of the generator's training.

    Raises:
        InputError: the source, the options or the place to write to cannot be used; nothing has been written.
        HandfulError: training or sampling failed.
    """
    say, output = say or (lambda line: None), Path(output)
    require_export(output)
    if study.image_size is not None and generator.view is not None:  # a preset has a size of its own
        generator = generator.changed(view=generator.view.changed(size=study.image_size))
    arm = Arm(NAME, generator=generator, selection=_selection(selection), gate=gate, **amount)
    study = study.changed(arms=("baseline", arm), protocol=study.protocol.changed(repeats=1))
    where = pick_device(device)
    work = output.absolute().with_name(f".{output.name}.work")
    store = Store(work)
    plan = make_plan(study, store, budget=None, workers=1, device=where, timed=False, say=say)
    put_inputs(plan, store)
    jobs = [job for job in plan.jobs_by_arm()[NAME, 0] if job.stage in STAGES_RUN]
    last = next(place for place, job in enumerate(jobs) if job.stage == "synthetic")
    keys = {job.stage: _done(store, job, where, progress) for job in jobs[: last + 1]}
    synthetic = get_synthetic(store, keys["synthetic"], plan.source.class_names)
    made = next(job for job in jobs if job.stage == "generator")
    train = get_images(store, made.inputs["images"]).take(plan.split(NAME, 0).train)
    record = store.record(keys["synthetic"])["result"]
    fitted = load_generator(store.folder(keys["generator"]))

    def extra(folder: Path) -> None:
        fitted.save(folder / "generator")
        write_ledger(
            folder / "candidates", get_ledger(store, keys["synthetic"]), get_candidates(store, keys["synthetic"])
        )
        write_grids(folder / "grids", train, synthetic, folder_names(train.class_names))

    card = _card(plan.study.generator_of(arm), arm, study, fitted)
    ids = [plan.source.ids[row] for row in plan.split(NAME, 0).train]
    write_pictures(train, synthetic, output, card=card, ids=ids, extra=extra)
    shutil.rmtree(work, ignore_errors=True)
    names = train.class_names
    return Made(
        output,
        dict(zip(names, train.counts.tolist(), strict=True)),
        dict(zip(names, record["wanted"], strict=True)),
        dict(zip(names, synthetic.counts.tolist(), strict=True)),
    )


def _selection(names: str) -> Selection:
    return in_turn([choose(SELECTORS, name.strip(), "selection") for name in names.split("+")])


def _done(store: Store, job: Job, device: str, progress: Callable[[int, int], None] | None) -> str:
    key = run_job(str(store.root), job.to_json(), device, progress=progress if job.stage == "generator" else None)
    if key is None:
        raise HandfulError(f"{job.stage}: {(store.failure(job.key) or {}).get('error', 'failed')}")
    return key


def _card(recipe: GeneratorRecipe, arm: Arm, study: Study, fitted: Generator) -> dict[str, Any]:
    return {
        "generator": recipe.to_json(),
        "fitted": fitted.fitted,
        "amount": arm.amount,
        "gate": None if arm.gate is None else arm.gate.to_json(),
        "selection": arm.selection.to_json(),
        "seed": study.protocol.seed,
        "alarms": {name: part["alarms"] for name, part in fitted.history.items() if part.get("alarms")},
        "notes": ["Only pictures of the training part of one split are here, none of validation or test."],
    }


def sample_pictures(
    folder: str | Path, output: str | Path, wanted: Mapping[str, int], *, seed: int = 0, device: str = "auto"
) -> Made:
    """Sample a saved generator again and write the pictures; the same pictures for the same labels and seed.

    Args:
        folder: what `Generator.save` or `handful generate` wrote.
        wanted: pictures by class name.

    Raises:
        InputError: no generator there, or a class it has not.
    """
    folder, output = Path(folder), Path(output)
    require_export(output)
    inner = folder / "generator"
    fitted = load_generator(inner if (inner / "generator.json").exists() else folder)
    names = fitted.class_names
    faults = [unknown("class", name, names) for name in wanted if name not in names]
    faults += [f"{name}={num}: expected 1 or more" for name, num in wanted.items() if num < 1]
    if faults or not wanted:
        raise ConfigError(*(faults or ["--labels: name classes and how many of each, such as a=50,b=20"]))
    labels = np.repeat([names.index(name) for name in wanted], list(wanted.values()))
    seeds = [
        rng.derive(seed, "sample", names.index(name), place) for name, num in wanted.items() for place in range(num)
    ]
    synthetic = fitted.sample(labels, seeds=seeds, device=pick_device(device))
    none = synthetic.pixels[:0]
    real = LabeledImages(none, synthetic.labels[:0], names, Origin.of_real(content_of(none)))
    card = {
        "generator": fitted.recipe.to_json(),
        "fitted": fitted.fitted,
        "seed": seed,
        "notes": ["Sampled from a saved generator: neither gate nor selection has looked at these pictures."],
    }
    write_pictures(
        real,
        synthetic,
        output,
        card=card,
        extra=lambda place: write_grids(place / "grids", real, synthetic, folder_names(names)),
    )
    return Made(output, {}, dict(wanted), dict(wanted))
