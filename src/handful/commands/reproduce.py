"""`handful reproduce`: published studies run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from handful.commands.options import Device, Engine, Workers, say
from handful.errors import ConfigError


def reproduce(
    name: Annotated[str | None, typer.Argument(help="A published study; without one, they are listed.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write [reproduce/NAME].")] = None,
    scale: Annotated[str, typer.Option(help="quick: minutes on two cores; paper: as published.")] = "quick",
    protocol: Annotated[
        str, typer.Option(help="published (its flaws included), honest, or both; staircase and grid run with each.")
    ] = "both",
    arm: Annotated[list[str] | None, typer.Option(help="Run this arm alone; may be given again [all].")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="Of each arm [those of the scale].")] = None,
    dry_run: Annotated[bool, typer.Option(help="List the full plan with time and disk; compute nothing.")] = False,
    docs: Annotated[Path | None, typer.Option(help="Also write the study's page as Markdown into this folder.")] = None,
    engine: Engine = "local",
    workers: Workers = None,
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
        how: dict[str, Any] = {"only": only, "workers": num, "device": where, "say": say}
        for label, plan, store in plans(entry, folder, size, wanted, missing, **how):
            print(label)
            print_plan(plan, store, num, where)
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
            say=say,
            progress=progress,
        )
    print_reproduced(finished)
    print(folder / "index.html")
