"""The command line. Every command calls the same functions as Python does; torch is loaded only where it is needed."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful import __version__
from handful.errors import ConfigError, HandfulError, InputError

if TYPE_CHECKING:
    from handful.study.result import Result
    from handful.study.study import Study

app = typer.Typer(
    name="handful",
    help="Find the best image classifier that a small set of pictures allows, and prove what made it better.",
    no_args_is_help=True,
    rich_markup_mode=None,  # with it, a default in brackets is taken for a style and vanishes
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Pictures = Annotated[
    str, typer.Argument(help="Folder of class folders, .zip, .tar.gz, .npz, .csv, .parquet, torchvision:NAME, digits.")
]
StorePath = Annotated[Path, typer.Argument(help="Folder that `handful run -o` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
SkipUnreadable = Annotated[bool, typer.Option(help="Leave out files that cannot be read, and list them.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Run a network's own code that the model names.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def look(
    pictures: Pictures,
    as_json: AsJson = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="HTML page with pictures to write.")] = None,
    against: Annotated[str | None, typer.Option(help="Another set of pictures to compare this one with.")] = None,
    skip: Annotated[
        str | None, typer.Option(help="Checks to leave out, e.g. near-copies,files,embedding,doubts,flips.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples and the pictures shown.")] = 0,
) -> None:
    """Show what is in a set of pictures: classes, copies, faults, doubtful labels, which flips are safe."""
    from handful.data.drift import compare_sets
    from handful.data.look import look as look_at
    from handful.data.near import VIEW
    from handful.data.source import open_source
    from handful.measure.extractors import installed_extractor
    from handful.show import print_look

    source = open_source(pictures, skip_unreadable=True, view=VIEW)
    other = open_source(against, skip_unreadable=True, view=VIEW) if against is not None else None
    named = [name.strip() for name in skip.split(",")] if skip else []
    extractor = None if "embedding" in named else installed_extractor()
    by: dict[str, Any] = {} if extractor is None else {"embed": extractor.features, "embedding": extractor.label}
    found = look_at(source, seed=seed, skip=named, **by)
    drift = compare_sets(source, other, seed=seed) if other is not None else None
    told, compared = found.to_json(), drift.to_json() if drift else None
    if as_json:
        _print_json(told | ({"against": compared} if compared else {}))
    else:
        print_look(told, compared)
    if output is not None:
        from handful.report.look import write_look

        _say(str(write_look(output, source, found, other, drift)))


@app.command()
def run(
    pictures: Annotated[str, typer.Argument(help="Pictures, as for `look`, or a study file (.toml).")],
    store: Annotated[Path, typer.Option("-o", "--output", help="Store to write results into.")] = Path("store"),
    arms: Annotated[str | None, typer.Option(help="Treatments, e.g. baseline,augment,augment+vae.")] = None,
    reference: Annotated[str | None, typer.Option(help="Arm the others are compared with [baseline].")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of every arm [10, or 5 to fit the budget].")] = None,
    seed: Annotated[int | None, typer.Option(help="Root of every random number [0].")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels [from the pictures, at most 128].")] = None,
    resize: Annotated[str | None, typer.Option(help="stretch, crop or pad [stretch].")] = None,
    val_fraction: Annotated[float | None, typer.Option(help="Share drawn for validation, 0: none [0.15].")] = None,
    test_fraction: Annotated[float | None, typer.Option(help="Share drawn for test where none is given [0.2].")] = None,
    copies: Annotated[str | None, typer.Option(help="once: identical pictures are one; keep: a flaw [once].")] = None,
    long_tail: Annotated[str | None, typer.Option(help="Thin the training part, e.g. 78:8.")] = None,
    folds: Annotated[int | None, typer.Option(help="Stratified k-fold instead of a drawn test part.")] = None,
    train_per_class: Annotated[int | None, typer.Option(help="Training pictures kept of each class.")] = None,
    groups: Annotated[str | None, typer.Option(help="Kept in one part: given, near-copies or none [given].")] = None,
    regions: Annotated[Path | None, typer.Option(help="CSV of boxes to cut out: path,x0,y0,x1,y1.")] = None,
    splits_from: Annotated[Path | None, typer.Option(help="Use the splits saved in this file.")] = None,
    save_splits: Annotated[Path | None, typer.Option(help="Write the splits into this file.")] = None,
    measures: Annotated[
        str | None, typer.Option(help="Extractor to measure synthetic pictures with, or none [lite0].")
    ] = None,
    mistakes: Annotated[
        int | None, typer.Option(min=0, help="Mistakes of each arm that the report explains, 0: none [12].")
    ] = None,
    goal: Annotated[
        list[str] | None, typer.Option(help="What a class is to reach, e.g. 'stop:recall>=0.9'; repeatable.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Minutes; what the study leaves open is fitted in. 0: no limit [60].")
    ] = None,
    engine: Annotated[str, typer.Option(help="local (processes) or serial; the results are the same.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes [one per core].")] = None,
    device: Device = "auto",
    skip_unreadable: SkipUnreadable = False,
    dry_run: Annotated[
        bool, typer.Option(help="List the jobs, the cost and what can be told; compute nothing.")
    ] = False,
) -> None:
    """Run a study: try treatments on the same splits, and say what helps."""
    from handful.data.split_file import write_splits
    from handful.show import print_plan, print_result, progress_bar
    from handful.study.goals import read_goals
    from handful.study.plan import make_plan
    from handful.study.run import DEFAULT_BUDGET
    from handful.study.run import run as run_study
    from handful.study.store import Store

    protocol = {
        "reference": reference,
        "repeats": repeats,
        "seed": seed,
        "val_fraction": val_fraction,
        "test_fraction": test_fraction,
        "copies": copies,
        "long_tail": _long_tail(long_tail),
        "folds": folds,
        "train_per_class": train_per_class,
        "groups": groups,
    }
    study = _study(
        pictures,
        {name: value for name, value in protocol.items() if value is not None},
        {
            name: value
            for name, value in {
                "arms": arms,
                "image_size": image_size,
                "resize": resize,
                "regions": None if regions is None else str(regions),
                "splits_from": None if splits_from is None else str(splits_from),
                "measures": measures,
                "mistakes": mistakes,
                "goals": read_goals(goal) if goal else None,
            }.items()
            if value is not None
        }
        | ({"skip_unreadable": True} if skip_unreadable else {}),
    )
    minutes = DEFAULT_BUDGET if budget is None else budget or None
    how: dict[str, Any] = {"workers": workers, "device": device, "save_splits": save_splits}
    if dry_run:
        from handful.study.engines import check_engine, default_workers, pick_device

        check_engine(engine)
        where = pick_device(device)
        num = workers or default_workers(where)
        kept = Store(store)
        plan = make_plan(study, kept, budget=minutes, workers=num, device=where, timed=True, say=_say)
        if save_splits is not None:
            write_splits(save_splits, list(plan.splits.values()), plan.source)
        print_plan(plan, kept, num)
        return
    with progress_bar() as progress:
        result = run_study(study, store, budget=minutes, engine=engine, say=_say, progress=progress, **how)
    print_result(result)
    if result.failed:
        _say(f"{len(result.failed)} jobs failed; `handful status {store}` shows why, the same command tries them again")
        raise typer.Exit(1)


@app.command()
def generate(
    pictures: Annotated[str | None, typer.Argument(help="Pictures, as for `look`; none with --from.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("generated"),
    generator: Annotated[
        str | None, typer.Option(help="interpolate, autoencoder, vae, gan or diffusion [vae].")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Published settings of a family, e.g. s1.")] = None,
    fill_to: Annotated[str | None, typer.Option(help="Pictures of every class, or largest [largest].")] = None,
    add: Annotated[int | None, typer.Option(min=1, help="Pictures added to every class, instead of --fill-to.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels [from the pictures, at most 128].")] = None,
    resize: Annotated[str | None, typer.Option(help="stretch, crop or pad [stretch].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps of the whole fit.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes of each network over its pictures.")] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="One network for each class.")] = False,
    conditional: Annotated[bool, typer.Option("--conditional", help="One network told the class.")] = False,
    specialised: Annotated[
        bool, typer.Option("--specialised", help="One for all classes, then tuned for each.")
    ] = False,
    selection: Annotated[
        str | None, typer.Option(help="Which are kept, e.g. ssim or confidence+k-centre [none].")
    ] = None,
    gate: Annotated[str | None, typer.Option(help="copies: near copies are kept out; none [copies].")] = None,
    val_fraction: Annotated[float | None, typer.Option(help="Share held out for validation [0.15].")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share held out for test where none is given [0.2].")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Root of every random number.")] = 0,
    from_: Annotated[Path | None, typer.Option("--from", help="Sample a saved generator again.")] = None,
    labels: Annotated[str | None, typer.Option(help="With --from: how many of which class, e.g. a=50,b=20.")] = None,
    skip_unreadable: SkipUnreadable = False,
    device: Device = "auto",
) -> None:
    """Make pictures from the training part alone, and write the balanced set with the generator itself."""
    from handful.show import print_made, steps_bar
    from handful.study.protocol import Protocol
    from handful.study.study import Study
    from handful.synthesize import generate_pictures, generator_recipe, sample_pictures

    scopes = {"per-class": per_class, "conditional": conditional, "specialised": specialised}
    named = [name for name, wanted in scopes.items() if wanted]
    options = {
        "PICTURES": pictures,
        "--generator": generator,
        "--preset": preset,
        "--fill-to": fill_to,
        "--add": add,
        "--image-size": image_size,
        "--resize": resize,
        "--steps": steps,
        "--epochs": epochs,
        **{f"--{name}": True for name in named},
        "--selection": selection,
        "--gate": gate,
        "--val-fraction": val_fraction,
        "--test-fraction": test_fraction,
    }
    given = [name for name, value in options.items() if value is not None]
    if from_ is not None:
        if given or labels is None:
            raise ConfigError(
                *(f"{name} is not for --from: the generator is fitted already" for name in given),
                *(["--from needs --labels, such as a=50,b=20"] if labels is None else []),
            )
        print_made(sample_pictures(from_, output, _labels(labels), seed=seed, device=device))
        return
    faults = ["--labels needs --from"] if labels is not None else []
    if pictures is None:
        faults.append("PICTURES is missing: a folder of class folders, an archive, ...; or --from a saved generator")
    if len(named) > 1:
        faults.append(f"--{' and --'.join(named)} exclude each other; give one")
    if fill_to is not None and add is not None:
        faults.append("--fill-to and --add are two rules for one amount; give one")
    if faults:
        raise ConfigError(*faults)
    recipe = generator_recipe(
        generator or "vae", preset=preset, scope=named[0] if named else None, steps=steps, epochs=epochs
    )
    fractions: dict[str, Any] = {"val_fraction": val_fraction, "test_fraction": test_fraction}
    protocol = Protocol(seed=seed, **{name: value for name, value in fractions.items() if value is not None})
    seen = {"image_size": image_size, "resize": resize, "skip_unreadable": skip_unreadable or None}
    study = Study(pictures, protocol=protocol, **{name: value for name, value in seen.items() if value is not None})
    with steps_bar(f"training {recipe.kind}") as progress:
        made = generate_pictures(
            study,
            recipe,
            output,
            amount={"add": add} if add is not None else {"fill_to": _amount(fill_to or "largest")},
            selection=selection or "none",
            gate=gate or "copies",
            device=device,
            say=_say,
            progress=progress,
        )
    print_made(made)


@app.command()
def measure(
    real: Annotated[str, typer.Argument(help="What the generator was trained on, as for `look`; or a flat folder.")],
    synthetic: Annotated[str, typer.Argument(help="The generated pictures, the same kinds.")],
    held_out: Annotated[
        str | None, typer.Option(help="Real pictures it has not seen (else the test part of REAL, where it has one).")
    ] = None,
    extractor: Annotated[
        str, typer.Option(help="lite0, inception, dinov2, pixels or timm:NAME: what distances are taken on.")
    ] = "lite0",
    per_class: Annotated[bool, typer.Option("--per-class", help="Measure every class on its own, too.")] = False,
    as_json: AsJson = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="HTML page with pictures to write.")] = None,
    image_size: Annotated[
        int | None, typer.Option(min=4, max=1024, help="Side in pixels (that of the smaller pictures, 8 to 128).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of halves, samples and noise.")] = 0,
    device: Device = "auto",
) -> None:
    """Say how new, how real and how varied generated pictures are, every number between real pictures and noise."""
    from handful.data.aligned import align
    from handful.data.source import open_source
    from handful.measure.extractors import extractor_of
    from handful.measure.measure_sets import measure_sets
    from handful.report.measure_lines import told_of
    from handful.show import print_measures, steps_bar
    from handful.study.engines import pick_device

    chosen = extractor_of(extractor)
    first, made, *unseen = (
        open_source(one, skip_unreadable=True, unsorted=True) for one in (real, synthetic, held_out) if one is not None
    )
    aligned = align(first, made, *unseen, size=image_size)
    with steps_bar(f"features of {chosen.label}", "picture") as progress:
        found = measure_sets(
            aligned.real,
            aligned.synthetic,
            aligned.held_out,
            extractor=chosen,
            per_class=per_class,
            device=pick_device(device),
            seed=seed,
            progress=progress,
        )
    told = told_of(aligned, found)
    if as_json:
        _print_json(told)
    else:
        print_measures(told)
    if output is not None:
        from handful.report.measure import write_measured

        _say(str(write_measured(output, aligned, found)))


@app.command()
def status(store: StorePath, as_json: AsJson = False) -> None:
    """Show how far the last study of a store is, and what failed."""
    from handful.show import print_status

    result = _result(store)
    if as_json:
        _print_json(
            {"jobs": result.jobs, "digest": result.page["digest"], "arms": result.progress, "failed": result.failed}
        )
    else:
        print_status(result)


@app.command()
def report(
    store: StorePath,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")] = Path("report.html"),
    as_json: AsJson = False,
    tables: Annotated[
        Path | None, typer.Option("--csv", help="Folder to write the tables into as CSV instead.")
    ] = None,
) -> None:
    """Write the report of the last study: one HTML file that opens offline."""
    if as_json and tables is not None:
        raise ConfigError("--csv and --json are two forms of the same numbers; give one")
    result = _result(store)
    if as_json:
        _print_json(result.to_json())
        return
    if tables is not None:
        from handful.study.tables import write_tables

        for path in write_tables(result, tables):
            print(path)
        return
    from handful.report.html import write_report

    print(write_report(result, output))


@app.command()
def reproduce(
    name: Annotated[str | None, typer.Argument(help="A published study; without one, they are listed.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write [reproduce/NAME].")] = None,
    scale: Annotated[str, typer.Option(help="quick: minutes on two cores; paper: as published.")] = "quick",
    protocol: Annotated[str, typer.Option(help="published (its flaws included), honest, or both.")] = "both",
    arm: Annotated[list[str] | None, typer.Option(help="Run this arm alone; may be given again [all].")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Of each arm [those of the scale].")] = None,
    dry_run: Annotated[bool, typer.Option(help="List the full plan with time and disk; compute nothing.")] = False,
    docs: Annotated[Path | None, typer.Option(help="Also write the study's page as Markdown into this folder.")] = None,
    engine: Annotated[str, typer.Option(help="local (processes) or serial; the results are the same.")] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes [one per core].")] = None,
    device: Device = "auto",
) -> None:
    """Run one of five published studies again, as it was published and as it should have been done."""
    from handful.errors import unknown
    from handful.reproduce.run import plans, protocols_of
    from handful.reproduce.run import reproduce as run_again
    from handful.reproduce.scale import scale_of
    from handful.reproduce.table import STUDIES, reproduction
    from handful.show import print_plan, print_reproduced, print_studies, progress_bar
    from handful.study.engines import check_engine, default_workers, pick_device

    if protocol not in (allowed := ("published", "honest", "both")):
        raise ConfigError(unknown("protocol", protocol, allowed))
    check_engine(engine)
    size, where = scale_of(scale), pick_device(device)
    num = workers or default_workers(where)
    if name is None:
        print_studies(list(STUDIES.values()), num)
        return
    entry, wanted, only = reproduction(name), protocols_of(protocol), arm or []
    size = size if repeats is None else size.repeated(repeats)
    folder = output or Path("reproduce") / name
    if dry_run:
        missing: dict[str, str] = {}
        how: dict[str, Any] = {"only": only, "workers": num, "device": where, "say": _say}
        for label, plan, store in plans(entry, folder, size, wanted, missing, **how):
            print(label)
            print_plan(plan, store, num)
        for left, why in missing.items():
            print(f"{left}: {why}")
        return
    with progress_bar() as progress:
        finished = run_again(
            entry,
            folder,
            size,
            wanted,
            only=only,
            engine=engine,
            workers=num,
            device=device,
            docs=docs,
            say=_say,
            progress=progress,
        )
    print_reproduced(finished)
    print(folder / "index.html")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A store, or a folder that `handful export` wrote.")],
    pictures: Annotated[Path, typer.Argument(help="A picture, a folder or an archive of pictures.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write.")] = Path("predictions.csv"),
    arm: Annotated[str | None, typer.Option(help="Arm of a store [the best on validation].")] = None,
    submission: Annotated[
        str | None, typer.Option(help="Columns of a competition's file, e.g. id,label [those of --sample].")
    ] = None,
    sample: Annotated[Path | None, typer.Option(help="Its sample file: these ids, in this order.")] = None,
    labels: Annotated[str | None, typer.Option(help="Other texts for the classes in it, e.g. cat=0,dog=1.")] = None,
    skip_unreadable: SkipUnreadable = False,
    trust_code: TrustCode = False,
    device: Device = "auto",
) -> None:
    """Predict the classes of new pictures: file, class, and the probability of each class."""
    from handful.predict import predict_files

    made = predict_files(
        model,
        pictures,
        output,
        arm=arm,
        submission=submission,
        sample=sample,
        labels=labels,
        skip_unreadable=skip_unreadable,
        trust_code=trust_code,
        device=device,
    )
    for path, why in made.faults:
        _say(f"left out {path}: {why}")
    for path in made.unasked[:20]:
        _say(f"not in the sample: {path}")
    if len(made.unasked) > 20:
        _say(f"not in the sample: ... and {len(made.unasked) - 20} more")
    for line in made.expected:
        _say(line)
    _say(f"{made.num} pictures, arm {made.arm}" if made.arm else f"{made.num} pictures")
    print(output)


@app.command()
def export(
    store: StorePath,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write [model or pictures].")] = None,
    arm: Annotated[str | None, typer.Option(help="Arm [the best on validation].")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="The pictures it was trained on, not the model.")
    ] = False,
    repeat: Annotated[int | None, typer.Option(min=0, help="With --pictures: whose training part [0].")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Also as model.onnx, which runs without handful.")] = False,
    trust_code: TrustCode = False,
) -> None:
    """Write an arm's classifier into a folder, safetensors and a JSON card; or the pictures it was trained on."""
    if pictures:
        if onnx:
            raise ConfigError("--onnx writes a model, --pictures writes pictures; give one")
        from handful.export import export_pictures

        print(export_pictures(_result(store), output or Path("pictures"), arm, repeat=repeat or 0))
        return
    if repeat is not None:
        raise ConfigError("--repeat is for --pictures; a model is all repeats of its arm as one")
    from handful.predict import export_classifier

    print(export_classifier(_result(store), output or Path("model"), arm, onnx=onnx, trust_code=trust_code))


@app.command()
def summary(
    network: Annotated[str, typer.Argument(help="A network (v3, ...), an arm, a study file (.toml) or a store.")],
    arm: Annotated[str | None, typer.Option(help="Arm of the study file or the store.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels [its own, else 64].")] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Number of classes [its own, else 10].")] = None,
    channels: Annotated[int | None, typer.Option(help="1 or 3 [its own, else 3].")] = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Page (.html) or drawing (.svg) to write.")
    ] = None,
) -> None:
    """Show a network: layers, shapes, parameters, multiply-adds, memory; as a table and as a drawing."""
    from handful.report.network import write_summary
    from handful.show import print_summary
    from handful.study.summarized import summary_of

    if channels not in (None, 1, 3):
        raise ConfigError(f"--channels {channels}: pictures have 1 or 3")
    title, found = summary_of(network, arm=arm, size=image_size, classes=classes, channels=channels)
    if as_json:
        _print_json(found.to_json())
    else:
        print_summary(title, found)
    if output is not None:
        _say(str(write_summary(output, title, found)))


def main() -> None:
    """Run the command line; what the user gave wrong is printed, a line each, with exit code 2."""
    with _errors_printed():
        app()


@contextmanager
def _errors_printed() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        for fault in error.faults:
            print(f"handful: {fault}", file=sys.stderr)
        raise SystemExit(2) from None
    except HandfulError as error:
        print(f"handful: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC):
            raise
        print(f"handful: {error.filename}: {error.strerror}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("handful: interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None


def _study(pictures: str, protocol: dict[str, Any], fields: dict[str, Any]) -> Study:
    """The study that the options describe, from pictures or on top of a study file."""
    from handful.study.protocol import Protocol
    from handful.study.study import Study, read_study

    if not pictures.endswith(".toml"):
        return Study(pictures, protocol=Protocol(**protocol), **fields)
    study = read_study(Path(pictures))
    own = {name: getattr(study.protocol, name) for name in study.protocol.model_fields_set}
    return study.changed(protocol=Protocol(**{**own, **protocol}), **fields)


def _long_tail(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        largest, smallest = (int(part) for part in text.split(":"))
    except ValueError:
        raise ConfigError(f"--long-tail {text!r}: expected LARGEST:SMALLEST, two whole numbers such as 78:8") from None
    return largest, smallest


def _amount(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _labels(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        name, mark, num = part.rpartition("=")
        if not mark or not num.strip().isdecimal() or name.strip() in found:
            raise ConfigError(f"--labels {text!r}: expected CLASS=NUMBER,... with every class once, such as a=50,b=20")
        found[name.strip()] = int(num)
    return found


def _result(store: Path) -> Result:
    from handful.study.result import Result
    from handful.study.store import Store

    return Result.of(Store.existing(store))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))


def _say(line: str) -> None:
    print(line, file=sys.stderr)
