"""Where pictures come from, as rows: id, label, part, and the digest of the decoded original."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data import arrays as kinds
from handful.data.files import Files, FolderFiles, open_files, shown
from handful.data.held import Held
from handful.data.images import LabeledImages, View, content_of
from handful.data.layout import Layout, arrange, beside
from handful.data.manifest import read_manifest
from handful.data.originals import ArrayOriginals, FileOriginals, Originals, ResultT, Work
from handful.data.parquet import is_parquet, parquet_set
from handful.data.scan import Progress, facts_of, scan, scan_sets
from handful.data.sets import Sets, hugging_face_set, is_hugging_face
from handful.errors import DataError, nearest

MAX_FAULTS = 200
_KINDS = (
    "a folder, .zip, .tar.gz, .tgz, .tar, .npz, .csv, .parquet, the word digits, or torchvision: and the name of a set"
)


@dataclass(frozen=True, eq=False)
class Source:
    """N pictures with labels, as rows, and the way to their decoded originals.

    Args:
        name: of the folder, archive or set.
        ids: N different names: the path inside the folder or archive, or part/index.
        labels: int64 [N], in [0, K).
        class_names: the K names.
        parts: N of '' | 'train' | 'val' | 'test', as given; '' where none is.
        groups: N names of what must stay in one part; '' where nothing must.
        content: S32 [N], digest of the decoded original.
        sizes: int64 [N, 2], width and height of the decoded original.
        grey: bool [N], true where it has one channel, or equal ones.
        originals: reads the decoded originals; no part of comparison or digest.
        ignored: files that are no pictures of a class.
        unreadable: (path, why) of the pictures left out because they cannot be read.
        left_out: (id, id kept) of the pictures left out because they are copies.
        notes: what should be known about what was ignored, in sentences.
        held: pictures at a view that opening the source has made, for the first load; no part of comparison or digest.
    """

    name: str
    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    content: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    grey: NDArray[np.bool_]
    originals: Originals = field(repr=False, compare=False)
    ignored: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    held: Held | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        compared = [entry.name for entry in fields(self) if entry.compare]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in compared)

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over content, labels, class names, parts and groups; a moved folder is the same source."""
        return digest_of(
            {
                "content": [content.decode() for content in self.content.tolist()],
                "labels": self.labels.tolist(),
                "class_names": list(self.class_names),
                "parts": list(self.parts),
                "groups": list(self.groups),
            }
        )

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 [K], pictures per class."""
        return np.bincount(self.labels, minlength=self.num_classes).astype(np.int64)

    @property
    def channels(self) -> int:
        """1 where every picture is grey, else 3."""
        return 1 if bool(self.grey.all()) else 3

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Source:
        """Return the source of these rows, in this order; class names stay."""
        rows = np.asarray(rows, dtype=np.int64)
        places = rows.tolist()
        return replace(
            self,
            ids=tuple(self.ids[row] for row in places),
            labels=self.labels[rows],
            parts=tuple(self.parts[row] for row in places),
            groups=tuple(self.groups[row] for row in places),
            content=self.content[rows],
            sizes=self.sizes[rows],
            grey=self.grey[rows],
            originals=self.originals.taken(places),
        )

    def read(self, row: int) -> NDArray[np.uint8]:
        """Return one decoded original, uint8 [C, H, W].

        Raises:
            DataError: its file is gone or does not hold the picture any more that was there when the source was opened.
        """
        return next(picture for _, picture in self.read_all([row]))

    def read_all(self, rows: Sequence[int] | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield (row, decoded original) of these rows, or of all, in the order that is cheapest to read.

        Files are opened one after the other, an archive once. Raises DataError like `read`.
        """
        yield from self.each(lambda picture: picture, rows)

    def each(self, work: Work[ResultT], rows: Sequence[int] | None = None) -> Iterator[tuple[int, ResultT]]:
        """Yield (row, what `work` makes of its decoded original) as `read_all` does, worked on in several threads."""
        rows = range(len(self)) if rows is None else rows
        can_change = self.originals.CAN_CHANGE

        def checked(picture: NDArray[np.uint8]) -> tuple[bytes, ResultT]:
            return content_of([picture])[0] if can_change else b"", work(picture)

        for position, found in self.originals.each(rows, checked):
            row = int(rows[position])
            if isinstance(found, DataError):
                raise DataError(f"{shown(self.ids[row])}: {found}; it was readable when the source was opened")
            if can_change and found[0] != self.content[row]:
                raise DataError(f"{shown(self.ids[row])}: changed since the source was opened; open it again")
            yield row, found[1]


def open_source(
    what: Any,
    *,
    skip_unreadable: bool = False,
    regions: str | Path | None = None,
    progress: Progress | None = None,
    view: View | None = None,
    unsorted: bool = False,
) -> Source:
    """Return the source that `what` names.

    Args:
        what: a folder, .zip, .tar.gz, .tgz or .tar of class folders, or of train/, val/, test/ above class folders; a
            .csv that names pictures (see `read_manifest`); an .npz (see `from_npz`); a folder of IDX files; a .parquet
            file or a folder of them (see `parquet_set`); the word 'digits'; 'torchvision:NAME' (see `torchvision_set`);
            a Source; a LabeledImages; a Hugging Face Dataset or DatasetDict (see `hugging_face_set`); or arrays
            (pixels, labels) or (pixels, labels, class_names) (see `from_arrays`).
        skip_unreadable: leave pictures out that cannot be read and list them, instead of stopping.
        regions: a CSV of boxes; of each picture with one, only its box is seen (see `handful.data.regions`).
        progress: called with (pictures done, pictures in all) while pictures are decoded for the first time.
        view: what `load` will be asked for: pictures that are decoded now are brought to it at once, and the first
            load at it does not decode them again. It changes nothing else.
        unsorted: take pictures that lie beside each other for one class, and a set of one class for a set: they can be
            measured, though no classifier can be trained on them.

    Raises:
        DataError: every fault of the source, one line each.
    """
    from handful.data.regions import cut, read_boxes

    try:
        source = _opened(what, skip_unreadable, progress, view if regions is None else None, unsorted)
        missing = [name for name, count in zip(source.class_names, source.counts, strict=True) if not count]
        if missing:
            raise DataError(*(f"class {name!r} has no picture; add some or leave the class out" for name in missing))
        if source.num_classes < 2 and not unsorted:
            raise DataError(f"{source.name}: one class only ({source.class_names[0]!r}); add pictures of another class")
    except DataError as error:
        raise DataError(*capped(error.faults)) from None
    return source if regions is None else cut(source, read_boxes(regions, source), progress)


def _opened(what: Any, skip_unreadable: bool, progress: Progress | None, view: View | None, unsorted: bool) -> Source:
    if isinstance(what, Source):
        return what
    if isinstance(what, LabeledImages):
        if not what.origin.real.all():
            raise DataError("a source holds real pictures only; some of these are synthetic")
        rows = tuple(str(row) for row in range(len(what)))
        found = kinds.Arrays(what.pixels, what.labels, what.class_names, ("",) * len(what), rows)
        return _of_arrays("pictures", found, content=what.origin.content)
    if isinstance(what, tuple) and len(what) in (2, 3):
        return _of_arrays("arrays", kinds.from_arrays(*what))
    if isinstance(what, str) and what == "digits":
        return _of_arrays("digits", kinds.from_digits())
    if isinstance(what, str) and what.partition(":")[0] == "torchvision" and not os.path.exists(what):
        from handful.data.torchvision_sets import torchvision_set

        return _of_sets(torchvision_set(what.partition(":")[2]), skip_unreadable, progress, view)
    if is_hugging_face(what):
        return _of_sets(hugging_face_set(what), skip_unreadable, progress, view)
    if not isinstance(what, str | Path):
        raise DataError(f"cannot open {type(what).__name__} as pictures; give {_KINDS}, or (pixels, labels)")
    path = Path(what)
    if not os.path.exists(path):
        raise DataError(f"{shown(str(what))}: no such file or folder{nearest(str(what), ['digits'])}; give {_KINDS}")
    if path.is_dir() and kinds.is_idx(path):
        return _of_arrays(_name(path), kinds.from_idx(path))
    if path.suffix.lower() == ".npz" and path.is_file():
        return _of_arrays(_name(path), kinds.from_npz(path))
    if path.suffix.lower() == ".csv" and path.is_file():
        return _of_files(path, FolderFiles(path.parent), skip_unreadable, progress, view, read_manifest(path))
    if is_parquet(path):
        return _of_sets(parquet_set(path), skip_unreadable, progress, view)
    files = open_files(path)
    if files is None:
        raise DataError(f"{shown(str(what))}: not a kind of file that holds a set of pictures; give {_KINDS}")
    return _of_files(path, files, skip_unreadable, progress, view, beside(files.listing()) if unsorted else None)


def _of_arrays(name: str, given: kinds.Arrays, content: NDArray[np.bytes_] | None = None) -> Source:
    facts = facts_of(given.pixels)
    return Source(
        name=name,
        ids=given.ids,
        labels=given.labels,
        class_names=given.class_names,
        parts=given.parts,
        groups=("",) * len(given.ids),
        content=facts.content if content is None else content,
        sizes=facts.sizes,
        grey=facts.grey,
        originals=ArrayOriginals(given.pixels, np.arange(len(given.ids), dtype=np.int64)),
    )


def _of_files(
    path: Path,
    files: Files,
    skip_unreadable: bool,
    progress: Progress | None,
    view: View | None,
    layout: Layout | None = None,
) -> Source:
    layout = layout or arrange(files.listing())
    facts, held = scan(files, layout.paths, progress, view)
    unreadable = tuple((place, why) for place, why in zip(layout.paths, facts.why, strict=True) if why)
    faults = [f"{shown(str(path))}: {fault}" for fault in layout.faults]
    if not skip_unreadable:
        faults += [f"{shown(p)}: {why}; replace or remove it, or use --skip-unreadable" for p, why in unreadable]
    if faults:
        raise DataError(*faults)
    rank = {name: number for number, name in enumerate(layout.class_names)}
    source = Source(
        name=_name(path),
        ids=layout.paths,
        labels=np.array([rank[name] for name in layout.classes], dtype=np.int64),
        class_names=layout.class_names,
        parts=layout.parts,
        groups=layout.groups or ("",) * len(layout.paths),
        content=facts.content,
        sizes=facts.sizes,
        grey=facts.grey,
        originals=FileOriginals(files, layout.paths),
        ignored=layout.ignored,
        unreadable=unreadable,
        notes=layout.notes,
        held=held,
    )
    return source.take([row for row, why in enumerate(facts.why) if not why]) if unreadable else source


def _of_sets(found: Sets, skip_unreadable: bool, progress: Progress | None, view: View | None) -> Source:
    facts, held = scan_sets(found, progress, view)
    unreadable = tuple((place, why) for place, why in zip(found.ids, facts.why, strict=True) if why)
    if unreadable and not skip_unreadable:
        raise DataError(
            *(f"{shown(p)}: {why}; replace or remove it, or use --skip-unreadable" for p, why in unreadable)
        )
    source = Source(
        name=found.name,
        ids=found.ids,
        labels=found.labels,
        class_names=found.class_names,
        parts=found.parts,
        groups=("",) * len(found.ids),
        content=facts.content,
        sizes=facts.sizes,
        grey=facts.grey,
        originals=found.originals,
        ignored=found.ignored,
        unreadable=unreadable,
        held=held,
    )
    return source.take([row for row, why in enumerate(facts.why) if not why]) if unreadable else source


def _name(path: Path) -> str:
    name = path.resolve().name
    for suffix in (".tar.gz", ".tgz", ".tar", ".zip", ".npz", ".csv", ".parquet"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def capped(faults: Sequence[str]) -> list[str]:
    """Return at most 200 fault lines and how many more there are."""
    more = len(faults) - MAX_FAULTS
    return [*faults[:MAX_FAULTS], *([f"... and {more} more"] if more > 0 else [])]
