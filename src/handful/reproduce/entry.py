"""What a reproduced study is: its studies under a protocol, its published numbers, and what else its page shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from handful.report.pictures import Sheet
from handful.reproduce.inputs import Pictures
from handful.reproduce.scale import ProtocolName, Scale
from handful.study.result import Result
from handful.study.study import Study

Studies = Mapping[str, Study]


@dataclass(frozen=True)
class Row:
    """One published number and where ours comes from.

    Args:
        what: the treatment, in words.
        study: key of the studies.
        arm: whose number it is.
        published: as a fraction or an error; None: the study has no such row.
        number: a score of a result, or `reconstruction_mse`.
        on: the part that the study scored; ours as published is read from the same one. Honest numbers are always of
            the test part.
    """

    what: str
    study: str
    arm: str
    published: float | None
    number: str
    on: Literal["validation", "test"] = "test"


@dataclass(frozen=True)
class Table:
    """A table of the page, written as CSV as well; `name` is the file's, `ours` whether numbers of ours stand in it."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ours: bool = True


@dataclass(frozen=True)
class Section:
    """A part of the page: words, tables, drawings (inline SVG) and sheets of pictures.

    `legend` says what the drawings show; a page without drawings leaves it out.
    """

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    legend: str = ""


@dataclass(frozen=True)
class Inputs:
    """What the function of a study is given: the pictures as found, and a folder that it may write pictures into."""

    found: str
    folder: Path


@dataclass(frozen=True)
class Finished:
    """What was run.

    Args:
        command: that runs it.
        results: by protocol and key of the study.
        missing: why an arm was not run, by its name.
        extra: results that belong to neither protocol, by name (the steps of the staircase).
    """

    entry: Reproduction
    scale: Scale
    command: str
    inputs: Inputs
    device: str
    results: Mapping[tuple[ProtocolName, str], Result]
    missing: Mapping[str, str]
    extra: Mapping[str, Result] = field(default_factory=dict)

    @property
    def stands_in(self) -> tuple[str, ...]:
        """Every stand-in, that of the pictures first; the set itself, as torchvision has it, is none."""
        pictures = self.entry.pictures.stand_in
        own = self.inputs.found.startswith("torchvision:")
        return (*((pictures,) if pictures and not own else ()), *self.entry.stand_ins)

    def result(self, study: str, protocol: ProtocolName = "honest") -> Result | None:
        """Return a result, that of the other protocol where only that was run."""
        other: ProtocolName = "published" if protocol == "honest" else "honest"
        return self.results.get((protocol, study)) or self.results.get((other, study))


def no_extra(scale: Scale, inputs: Inputs) -> Studies:
    return {}


def no_sections(finished: Finished) -> tuple[Section, ...]:
    return ()


@dataclass(frozen=True)
class Reproduction:
    """A published study that `handful reproduce` runs again.

    Args:
        name: of the command.
        code: S0 to S4.
        what: in a line.
        pictures: the set it needs.
        headline: its published headline.
        minutes: what `--scale quick` took on two cores of the machine whose step took `speed.REFERENCE` seconds.
        did, traps: what it did and claimed, and the traps it fell into, for the page; a paragraph each.
        rows: published numbers.
        studies: the treatments under one protocol.
        extra: further studies that belong to neither protocol.
        sections: what the page shows beside the table.
        stand_ins: what stands in for what, in words.
    """

    name: str
    code: str
    what: str
    pictures: Pictures
    headline: str
    minutes: float
    did: tuple[str, ...]
    traps: tuple[str, ...]
    rows: tuple[Row, ...]
    studies: Callable[[Scale, ProtocolName, Inputs], Studies]
    extra: Callable[[Scale, Inputs], Studies] = no_extra
    sections: Callable[[Finished], tuple[Section, ...]] = no_sections
    stand_ins: tuple[str, ...] = ()
