"""`handful summary`: a network, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.commands.options import AsJson, TrustCode, print_json, say
from handful.errors import ConfigError


def summary(
    network: Annotated[
        str, typer.Argument(help="A network (v3, module:function, ...), an arm, a study file, a store or a model.")
    ],
    arm: Annotated[str | None, typer.Option(help="Arm of the study file or the store.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels [its own, else 64].")] = None,
    classes: Annotated[int | None, typer.Option(min=2, help="Number of classes [its own, else 10].")] = None,
    channels: Annotated[int | None, typer.Option(help="1 or 3 [its own, else 3].")] = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Page (.html) or drawing (.svg) to write.")
    ] = None,
) -> None:
    """Show a network: layers, shapes, parameters, multiply-adds, memory; as a table and as a drawing.

    Of an arm, the classifier and then the networks that its generator trains; these are in no drawing.
    """
    from handful.report.network import write_summary
    from handful.show import print_summary
    from handful.study.summarized import summary_json, summary_of

    if channels not in (None, 1, 3):
        raise ConfigError(f"--channels {channels}: pictures have 1 or 3")
    shown = summary_of(network, arm=arm, size=image_size, classes=classes, channels=channels, trust_code=trust_code)
    if as_json:
        print_json(summary_json(shown))
    else:
        print_summary(shown)
    if output is not None:
        say(str(write_summary(output, shown)))
