"""`handful look`: what a set of pictures is like before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from handful.commands.options import AsJson, Pictures, print_json, say


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
        print_json(told | ({"against": compared} if compared else {}))
    else:
        print_look(told, compared)
    if output is not None:
        from handful.report.look import write_look

        say(str(write_look(output, source, found, other, drift)))
