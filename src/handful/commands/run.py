"""`handful run`: treatments compared on the same splits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handful.commands.options import Device, Engine, SkipUnreadable, Workers, say
from handful.errors import ConfigError

if TYPE_CHECKING:
    from handful.study.study import Study


def run(
    pictures: Annotated[str, typer.Argument(help="Pictures, as for `look`, or a study file (.toml).")],
    store: Annotated[Path, typer.Option("-o", "--output", help="Store to write results into.")] = Path("store"),
    arms: Annotated[str | None, typer.Option(help="Treatments, e.g. baseline,augment,augment+vae.")] = None,
    reference: Annotated[str | None, typer.Option(help="Arm the others are compared with [baseline].")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of every arm [10, or 5 to fit the budget].")] = None,
    seed: Annotated[int | None, typer.Option(help="Root of every random number [0].")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels [that of the recommended networks].")] = None,
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
    engine: Engine = "local",
    workers: Workers = None,
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
        plan = make_plan(study, kept, budget=minutes, workers=num, device=where, timed=True, say=say)
        if save_splits is not None:
            write_splits(save_splits, list(plan.splits.values()), plan.source)
        print_plan(plan, kept, num, where)
        return
    with progress_bar() as progress:
        result = run_study(study, store, budget=minutes, engine=engine, say=say, progress=progress, **how)
    print_result(result)
    if result.failed:
        say(f"{len(result.failed)} jobs failed; `handful status {store}` shows why, the same command tries them again")
        raise typer.Exit(1)


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
