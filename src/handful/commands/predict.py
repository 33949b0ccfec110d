"""`handful predict`: classes of new pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from handful.commands.options import Device, SkipUnreadable, TrustCode, say


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
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Probabilities at the temperatures fitted on validation.")
    ] = False,
    skip_unreadable: SkipUnreadable = False,
    trust_code: TrustCode = False,
    device: Device = "auto",
) -> None:
    """Predict the classes of new pictures: file, class, and the probability of each class."""
    from handful.data.files import shown
    from handful.predict import predict_files

    made = predict_files(
        model,
        pictures,
        output,
        arm=arm,
        submission=submission,
        sample=sample,
        labels=labels,
        calibrated=calibrated,
        skip_unreadable=skip_unreadable,
        trust_code=trust_code,
        device=device,
    )
    for path, why in made.faults:
        say(f"left out {shown(path)}: {why}")
    _say_each("not a picture by its name", [shown(path) for path in made.ignored], 5)
    _say_each("not in the sample", [shown(path) for path in made.unasked], 20)
    for line in made.expected:
        say(line)
    say(f"{made.num} pictures, arm {made.arm}" if made.arm else f"{made.num} pictures")
    print(output)


def _say_each(what: str, paths: Sequence[str], most: int) -> None:
    for path in paths[:most]:
        say(f"{what}: {path}")
    if len(paths) > most:
        say(f"{what}: ... and {len(paths) - most} more")
