"""Running a published study again, under its own protocol and under ours."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from handful.errors import ConfigError, unknown
from handful.reproduce.entry import Finished, Inputs, Reproduction
from handful.reproduce.page import write_pages
from handful.reproduce.scale import ProtocolName, Scale, scale_of
from handful.reproduce.weights import UNASKED, missing_weights, without
from handful.study.engines import pick_device
from handful.study.plan import Plan, make_plan
from handful.study.result import Result
from handful.study.run import Progress, run
from handful.study.store import Store
from handful.study.study import Study

Say = Callable[[str], None]
EXTRA = "extra"


def protocols_of(name: str) -> tuple[ProtocolName, ...]:
    return ("published", "honest") if name == "both" else (name,)  # type: ignore[return-value]  # checked by the command


def planned(
    entry: Reproduction,
    scale: Scale,
    protocols: tuple[ProtocolName, ...],
    inputs: Inputs,
    missing: dict[str, str],
    only: Sequence[str] = (),
) -> Iterator[tuple[str, str, Study]]:
    """Yield (protocol or EXTRA, key, study) of everything that is run; `missing` is filled with arms that are not.

    Args:
        only: names of the arms to run; empty: all.

    Raises:
        ConfigError: no study of this entry has an arm of such a name.
    """
    known: dict[str, str] = {}
    parts: list[tuple[str, str, Study]] = []
    for protocol in protocols:
        parts += [(protocol, key, study) for key, study in entry.studies(scale, protocol, inputs).items()]
    parts += [(EXTRA, key, study) for key, study in entry.extra(scale, inputs).items()]
    names = list(dict.fromkeys(arm.name for *_, study in parts for arm in study.arms or ()))
    if faults := [unknown("arm", name, names) for name in only if name not in names]:
        raise ConfigError(*faults)
    for kind, key, study in parts:
        unasked = {arm.name: UNASKED for arm in study.arms or () if only and arm.name not in only}
        asked = without(study, unasked)
        absent = missing_weights(asked, known) if asked is not None else {}
        missing |= {**unasked, **absent}
        if asked is not None and (left := without(asked, absent)) is not None:
            yield kind, key, left


def command_of(entry: Reproduction, scale: Scale, protocols: tuple[ProtocolName, ...], only: Sequence[str] = ()) -> str:
    """Return the command that runs this."""
    words = ["handful", "reproduce", entry.name, "--scale", scale.name]
    words += ["--protocol", protocols[0]] if len(protocols) == 1 else []
    words += ["--repeats", str(scale.repeats)] if scale.repeats != scale_of(scale.name).repeats else []
    return shlex.join([*words, *(word for name in only for word in ("--arm", name))])


def reproduce(
    entry: Reproduction,
    folder: Path,
    scale: Scale,
    protocols: tuple[ProtocolName, ...] = ("published", "honest"),
    *,
    only: Sequence[str] = (),
    engine: str = "local",
    workers: int | None = None,
    device: str = "auto",
    docs: Path | None = None,
    say: Say = print,
    progress: Callable[[Progress], None] | None = None,
) -> Finished:
    """Run a published study again and write its pages; what the folder has already is not computed again.

    Args:
        folder: for the store, the pictures as published, pages, tables and reports.
        protocols: `published` follows the study with its flaws, `honest` is the same treatments through our rules.
        only: names of the arms to run; empty: all.
        docs: folder for the page of the documentation as Markdown; None: none.

    Raises:
        DataError: its pictures are not there; says what to put where.
    """
    inputs = Inputs(entry.pictures.find(), folder)
    missing: dict[str, str] = {}
    found: dict[str, dict[str, Result]] = {}
    for kind, key, study in planned(entry, scale, protocols, inputs, missing, only):
        say(f"{kind}: {key}")
        found.setdefault(kind, {})[key] = run(
            study,
            folder / "store",
            budget=None,
            engine=engine,
            workers=workers,
            device=device,
            say=say,
            progress=progress,
        )
    for arm, why in missing.items():
        say(f"{arm}: {why}")
    finished = Finished(
        entry,
        scale,
        command_of(entry, scale, protocols, only),
        inputs,
        pick_device(device),
        {(kind, key): one for kind, made in found.items() if kind != EXTRA for key, one in made.items()},  # type: ignore[misc]
        missing,
        found.get(EXTRA, {}),
    )
    write_pages(finished, folder, docs)
    return finished


def plans(
    entry: Reproduction,
    folder: Path,
    scale: Scale,
    protocols: tuple[ProtocolName, ...],
    missing: dict[str, str],
    *,
    only: Sequence[str] = (),
    workers: int,
    device: str,
    say: Say,
) -> Iterator[tuple[str, Plan, Store]]:
    """Yield (label, plan, store) of every study that would be run, with times and disk; nothing is computed."""
    inputs = Inputs(entry.pictures.find(), folder)
    store = Store(folder / "store")
    for kind, key, study in planned(entry, scale, protocols, inputs, missing, only):
        plan = make_plan(study, store, budget=None, workers=workers, device=device, timed=True, say=say)
        yield f"{kind}: {key}", plan, store
