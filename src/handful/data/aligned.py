"""Sets of pictures that are to be measured against each other: at one size, with one list of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handful.data.files import shown
from handful.data.images import LabeledImages, Origin, View
from handful.data.load import load
from handful.data.source import Source
from handful.errors import DataError

SMALLEST, LARGEST = 8, 128
ONE = "all pictures"
MOST_NAMED = 5


@dataclass(frozen=True)
class Aligned:
    """Real, synthetic and held-out pictures, uint8 [N, C, size, size], with the same class names.

    Args:
        held_out: real pictures that the generator has not seen; None where none are given.
        ids: of every set's pictures, in their order, by 'real', 'synthetic' and 'held_out'.
        names: of the sets.
        notes: what was left out or put together, in sentences.
    """

    real: LabeledImages
    synthetic: LabeledImages
    held_out: LabeledImages | None
    ids: dict[str, tuple[str, ...]]
    names: dict[str, str]
    notes: tuple[str, ...]


def align(real: Source, synthetic: Source, held_out: Source | None = None, *, size: int | None = None) -> Aligned:
    """Return the sets at one view, stretched to squares, with the classes that both sides have.

    Of `real` only the training part counts where it has parts; its test part is the held-out set where no other is
    given, its validation part is left out. Of `held_out` the test part counts where it has one. A class without
    synthetic or without real pictures is left out and named. Where a set has one class only, or no name is in both,
    all pictures count as one class.

    Args:
        size: side in pixels; None: the smallest of the sets' median sides, 8 to 128.

    Raises:
        DataError: a set without pictures, or a picture that is gone or has changed.
    """
    notes: list[str] = []
    parts = np.array(real.parts, dtype=np.str_)
    if held_out is None and (parts == "test").any():
        held_out = real.take(np.flatnonzero(parts == "test"))
        notes.append(f"{shown(real.name)}: its test part is the held-out set")
    elif (parts == "test").any():
        notes.append(f"{shown(real.name)}: its test part is not used, another held-out set is given")
    elif held_out is not None and "test" in held_out.parts:
        held_out = held_out.take([row for row, part in enumerate(held_out.parts) if part == "test"])
        notes.append(f"{shown(held_out.name)}: of the held-out set its test part is used")
    if (parts == "val").any():
        notes.append(f"{shown(real.name)}: its validation part is not used; it may have chosen the generator's weights")
    sets = {"real": real.take(np.flatnonzero((parts == "") | (parts == "train"))), "synthetic": synthetic}
    if held_out is not None:
        sets["held_out"] = held_out
    for role, source in sets.items():
        why = [f"{shown(path)} ({reason})" for path, reason in source.unreadable]
        if why and not (role == "held_out" and held_out is real):
            notes.append(f"{shown(source.name)}: {len(why)} that cannot be read left out: {listed(why)}")
    classes = _classes(sets, notes)
    if classes is not None:
        chosen = set(classes)
        sets = {
            role: source.take([row for row, at in enumerate(source.labels) if source.class_names[at] in chosen])
            for role, source in sets.items()
        }
    empty = [role.replace("_", "-") for role, source in sets.items() if not len(source)]
    if empty:
        raise DataError(*(f"the {role} set has no picture left of the classes that are compared" for role in empty))
    side = size or _side(sets)
    channels = max(source.channels for source in sets.values())
    view = View(size=side, channels=1 if channels == 1 else 3)
    made = {role: _loaded(source, view, classes) for role, source in sets.items()}
    return Aligned(
        real=made["real"],
        synthetic=made["synthetic"],
        held_out=made.get("held_out"),
        ids={role: source.ids for role, source in sets.items()},
        names={role: source.name for role, source in sets.items()},
        notes=tuple(notes),
    )


def listed(names: list[str] | tuple[str, ...]) -> str:
    """Return the first names and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(shown(name) for name in names[:MOST_NAMED]) + more


def _classes(sets: dict[str, Source], notes: list[str]) -> tuple[str, ...] | None:
    """The classes compared, in the order of the real set, or None where all pictures count as one class."""
    used = {role: {source.class_names[at] for at in set(source.labels.tolist())} for role, source in sets.items()}
    both = used["real"] & used["synthetic"]
    lone = [shown(sets[role].name) for role, names in used.items() if len(names) == 1 and names != both]
    if lone or not both:
        why = f"{' and '.join(lone)} without classes" if lone else "no class name is in both sets"
        notes.append(f"{why}: all pictures count as one class")
        return None
    for role, names in used.items():
        if names - both:
            notes.append(f"left out, only in {shown(sets[role].name)}: class {listed(sorted(names - both))}")
    unheld = sorted(both - used.get("held_out", both))
    if unheld:
        notes.append(f"{shown(sets['held_out'].name)}: no held-out picture of class {listed(unheld)}")
    return tuple(name for name in sets["real"].class_names if name in both)


def _side(sets: dict[str, Source]) -> int:
    medians = [float(np.median(source.sizes.min(axis=1))) for source in sets.values()]
    return int(np.clip(round(min(medians)), SMALLEST, LARGEST))


def _loaded(source: Source, view: View, classes: tuple[str, ...] | None) -> LabeledImages:
    images = load(source, view)
    origin = Origin.of_real(source.content)
    if classes is None:
        return LabeledImages(images.pixels, np.zeros(len(images), dtype=np.int64), (ONE,), origin)
    place = {name: at for at, name in enumerate(classes)}
    labels = np.array([place[source.class_names[at]] for at in source.labels], dtype=np.int64)
    return LabeledImages(images.pixels, labels, classes, origin)
