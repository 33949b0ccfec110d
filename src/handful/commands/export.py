"""`handful export`: a classifier, or the pictures it was trained on, to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from handful.commands.options import StorePath, TrustCode, result_of, say
from handful.errors import ConfigError


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

        print(export_pictures(result_of(store), output or Path("pictures"), arm, repeat=repeat or 0))
        return
    if repeat is not None:
        raise ConfigError("--repeat is for --pictures; a model is all repeats of its arm as one")
    from handful.predict import export_classifier

    result = result_of(store)
    name = arm or result.best
    print(export_classifier(result, output or Path("model"), name, onnx=onnx, trust_code=trust_code))
    if arm is None:
        say(f"{name}: the best arm on validation")
