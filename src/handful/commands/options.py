"""What several commands share: their options, and how a command prints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from handful.study.result import Result

Pictures = Annotated[
    str, typer.Argument(help="Folder of class folders, .zip, .tar.gz, .npz, .csv, .parquet, torchvision:NAME, digits.")
]
StorePath = Annotated[Path, typer.Argument(help="Folder that `handful run -o` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]
SkipUnreadable = Annotated[bool, typer.Option(help="Leave out files that cannot be read, and list them.")]
Engine = Annotated[str, typer.Option(help="local (processes) or serial; the results are the same.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes [one per core, at most 8; on a GPU, which several can share, one].")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
TrustCode = Annotated[bool, typer.Option("--trust-code", help="Run a network's own code that the model names.")]


def result_of(store: Path) -> Result:
    """Return the result in a store."""
    from handful.study.result import Result
    from handful.study.store import Store

    return Result.of(Store.existing(store))


def print_json(value: Any) -> None:
    """Print JSON that every reader accepts."""
    print(json.dumps(value, indent=1, allow_nan=False))


def say(line: str) -> None:
    """Print a line beside what a command answers."""
    print(line, file=sys.stderr)
