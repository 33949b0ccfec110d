"""The table that a competition wants: an id and a class for every row of its sample, in its order."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from handful.classify.predictions import Predictions
from handful.data.decode import is_picture
from handful.data.files import shown
from handful.data.source import capped
from handful.errors import ConfigError, DataError, unknown

Rows = list[list[str]]


@dataclass(frozen=True)
class Submission:
    """What is written.

    Args:
        columns: of the id, then of the class; or of the id, then every class by name for its probability.
        ids: in the order of the sample; None: there is no sample, so every picture, named as in `predict`.
        texts: class name => what stands for it.
    """

    columns: tuple[str, ...]
    ids: tuple[str, ...] | None
    texts: Mapping[str, str]

    def rows(self, made: Predictions) -> tuple[Rows, tuple[str, ...]]:
        """Return the rows to write, and the pictures that no id of the sample asks for.

        An id is a picture's path below its folder, with or without its suffix, or the end of that path; the whole path
        wins.

        Raises:
            DataError: every id without a picture, with several, or with one that was left out, and why it was; a sample
                without a header.
        """
        if self.ids is not None and self.columns[0] in _names_of(made.ids):
            raise DataError(
                f"the first row of the sample names the picture {self.columns[0]!r}, so it has no header; put one "
                "above it, such as id,label"
            )
        places = list(range(len(made))) if self.ids is None else _matched(self.ids, made)
        ids = made.ids if self.ids is None else self.ids
        rows = [[name, *self._answer(made, place)] for name, place in zip(ids, places, strict=True)]
        used = set(places)
        return rows, tuple(name for place, name in enumerate(made.ids) if place not in used)

    def _answer(self, made: Predictions, place: int) -> list[str]:
        if len(self.columns) == 2:
            return [self.texts[made.class_names[int(made.probs[place].argmax())]]]
        return [f"{made.probs[place, made.class_names.index(name)]:.6f}" for name in self.columns[1:]]


def submission_of(
    columns: str | None, sample: Path | None, labels: str | None, class_names: Sequence[str]
) -> Submission:
    """Return what `--submission`, `--sample` and `--labels` ask for, checked against each other.

    Args:
        columns: 'id,label'; None: the header of the sample.
        sample: CSV with a header and a row for every picture; what its other columns hold is not read.
        labels: 'cat=0,dog=1': other texts for all of the classes.

    Raises:
        ConfigError: columns that are not two names, differ from the sample's or name no class; labels that leave a
            class out.
        DataError: the sample cannot be read, has no row, or an id twice.
    """
    texts = _texts(labels, class_names)
    header, ids = (None, None) if sample is None else _read_sample(sample)
    asked = tuple(part.strip() for part in columns.split(",")) if columns is not None else None
    if asked is not None and header is not None and asked != header:
        raise ConfigError(f"--submission {','.join(asked)}: the columns of {sample} are {','.join(header)}")
    found = asked or header
    if found is None:
        raise ConfigError("--labels is for a submission; give --submission id,label, or --sample sample.csv")
    if len(set(found)) < len(found) or "" in found or len(found) < 2:
        raise ConfigError(f"--submission {','.join(found)}: expected the column of the id and that of the class")
    if len(found) > 2:
        _check_probabilities(found, class_names, labels)
    return Submission(found, ids, texts)


def _check_probabilities(columns: tuple[str, ...], class_names: Sequence[str], labels: str | None) -> None:
    faults = [unknown("class", name, class_names) for name in columns[1:] if name not in class_names]
    faults += [f"class {name!r} has no column" for name in class_names if name not in columns[1:]]
    if labels is not None:
        faults.append("--labels are texts for one column of classes; here every class has a column of its own")
    if faults:
        raise ConfigError(
            f"columns {','.join(columns)}: more than two are an id and the probability of every class by name", *faults
        )


def _texts(labels: str | None, class_names: Sequence[str]) -> dict[str, str]:
    if labels is None:
        return {name: name for name in class_names}
    texts: dict[str, str] = {}
    faults = []
    for part in labels.split(","):
        name, mark, text = (piece.strip() for piece in part.rpartition("="))
        if not mark or not text or name in texts:
            raise ConfigError(
                f"--labels {labels!r}: expected CLASS=TEXT,... with every class once, such as cat=0,dog=1"
            )
        if name not in class_names:
            faults.append(f"--labels: {unknown('class', name, class_names)}")
        texts[name] = text
    faults += [f"--labels: class {name!r} is left out" for name in class_names if name not in texts]
    if faults:
        raise ConfigError(*faults)
    return texts


def _read_sample(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The header and the ids of a sample file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from None
    faults = [] if rows else [f"{path}: has no row below its header"]
    faults += [
        f"{path}: row {place + 2} has {len(row)} cells, the header {len(header)}"
        for place, row in enumerate(rows)
        if len(row) != len(header)
    ]
    ids = [row[0].strip() for row in rows]
    seen: set[str] = set()
    faults += [f"{path}: id {name!r} is there twice" for name in ids if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    if faults:
        raise DataError(*capped(faults))
    return tuple(name.strip() for name in header), tuple(ids)


def _matched(ids: Sequence[str], made: Predictions) -> list[int]:
    """The place of each id's picture among those that were read."""
    left_out = [(path, why) for path, why in made.faults if is_picture(path)]
    files = [*made.ids, *(path for path, _ in left_out)]
    known, others = _names_of(files), _names_of(made.ignored)
    faults, places = [], []
    for name in ids:
        found, beside = known.get(name, []), others.get(name, [])
        if not found:
            seen = f"; {shown(made.ignored[beside[0]])} is not a picture by its name" if beside else ""
            faults.append(f"id {name!r} of the sample has no picture{seen}")
        elif len(found) > 1:
            faults.append(f"id {name!r} of the sample fits {', '.join(shown(files[place]) for place in found[:3])}")
        elif found[0] >= len(made):
            path, why = left_out[found[0] - len(made)]
            faults.append(f"id {name!r} of the sample: its picture was left out: {shown(path)}: {why}")
        else:
            places.append(found[0])
    if faults:
        raise DataError(*capped(faults))
    return places


def _names_of(files: Sequence[str]) -> dict[str, list[int]]:
    """Every text that may name a file => the places it fits.

    A whole path wins over a whole path without its suffix, and either over the end of another path.
    """
    whole: dict[str, list[int]] = defaultdict(list)
    bare: dict[str, list[int]] = defaultdict(list)
    ends: dict[str, list[int]] = defaultdict(list)
    for place, file in enumerate(files):
        path = PurePosixPath(file)
        whole[file].append(place)
        bare[str(path.with_suffix(""))].append(place)
        for start in range(len(path.parts)):
            end = PurePosixPath(*path.parts[start:])
            for text in {str(end), str(end.with_suffix(""))}:
                ends[text].append(place)
    return {**ends, **bare, **whole}
