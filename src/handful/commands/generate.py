"""`handful generate`: a balanced set with generated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from handful.commands.options import Device, SkipUnreadable, say
from handful.errors import ConfigError


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
            say=say,
            progress=progress,
        )
    print_made(made)


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
