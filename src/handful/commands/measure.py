"""`handful measure`: how two sets of pictures compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.commands.options import AsJson, Device, print_json, say


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
        print_json(told)
    else:
        print_measures(told)
    if output is not None:
        from handful.report.measure import write_measured

        say(str(write_measured(output, aligned, found)))
