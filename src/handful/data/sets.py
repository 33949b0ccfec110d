"""Sets of pictures that Python objects hold: Hugging Face datasets, torchvision's data sets, columns of parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handful.data.arrays import channels_first
from handful.data.decode import decode, of_image
from handful.data.layout import PART_FOLDERS, PART_ORDER, ordered
from handful.data.originals import Originals, ResultT, Work, each_of
from handful.errors import DataError, nearest

IMAGE_NAMES = ("image", "img", "picture")
LABEL_NAMES = ("label", "labels")


@dataclass(frozen=True, eq=False)
class Sets:
    """N pictures in Python objects, in row order.

    Args:
        name: of the set.
        ids: str [N]; labels: int64 [N]; class_names: K names; parts: str [N], '' | 'train' | 'val' | 'test'.
        originals: of the rows.
        key: changes when the pictures do; '' where that is not known, and nothing is remembered between runs.
        ignored: columns that were not read.
    """

    name: str
    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    parts: tuple[str, ...]
    originals: Originals
    key: str
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SetOriginals:
    """Pictures of objects that give one by its place: an item, of which `field` is the picture.

    Args:
        blocks: objects with `__getitem__`.
        places: int64 [N, 2], the block of each row and its place there.
        field: key of the picture in an item; None where the item itself is the picture.
    """

    CAN_CHANGE: ClassVar[bool] = True

    blocks: tuple[Any, ...]
    places: NDArray[np.int64]
    field: str | int | None

    def decoded(self, places: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | DataError]]:
        wanted = self.places[np.asarray(places, dtype=np.int64)].reshape(-1, 2)
        for position in np.lexsort((wanted[:, 1], wanted[:, 0])).tolist():
            block, place = wanted[position].tolist()
            try:
                item = self.blocks[block][place]
                yield position, picture_of(item if self.field is None else item[self.field])
            except DataError as error:
                yield position, error
            except Exception as error:  # foreign readers raise nearly anything on spoilt files, which are untrusted
                yield position, DataError(f"cannot be read ({type(error).__name__}: {str(error).splitlines()[:1]})")

    def each(self, places: Sequence[int], work: Work[ResultT]) -> Iterator[tuple[int, ResultT | DataError]]:
        yield from each_of(self.decoded(places), work)

    def taken(self, places: Sequence[int]) -> SetOriginals:
        return SetOriginals(self.blocks, self.places[np.asarray(places, dtype=np.int64)], self.field)


def picture_of(value: Any) -> NDArray[np.uint8]:
    """Return the decoded original, uint8 [C, H, W], of what a set calls a picture.

    Args:
        value: a Pillow image, the bytes of a picture file, a table with `bytes`, or uint8 [H, W], [H, W, C], [C, H, W].

    Raises:
        DataError: none of these, or a picture that cannot be decoded.
    """
    if isinstance(value, Image.Image):
        return of_image(value)
    if isinstance(value, bytes):
        return decode(value)
    if isinstance(value, Mapping):
        if value.get("bytes") is not None:
            return decode(value["bytes"])
        raise DataError("names a file instead of holding the picture; store the pictures themselves in the set")
    if isinstance(value, np.ndarray) and value.ndim in (2, 3):
        picture: NDArray[np.uint8] = channels_first(value[None])[0]
        return picture
    raise DataError(f"{type(value).__name__} is no picture; must be a Pillow image, bytes, or a uint8 array")


def is_hugging_face(what: Any) -> bool:
    """Return whether an object looks like a Dataset or DatasetDict of the library `datasets`."""
    if isinstance(what, Mapping):
        return bool(what) and all(is_hugging_face(part) and not isinstance(part, Mapping) for part in what.values())
    return all(hasattr(what, name) for name in ("column_names", "features", "__getitem__", "__len__"))


def hugging_face_set(what: Any) -> Sets:
    """Return the pictures of a Hugging Face `Dataset`, or of a `DatasetDict` of train, validation, test.

    The picture column is the one whose feature is an Image, or that is called image, img or picture; the label column
    the one whose feature is a ClassLabel, or that is called label or labels. Other columns are ignored and listed. A
    column with class names keeps them, other labels are named by their values. Nothing is imported: any object with
    `column_names`, `features`, `len` and `[]` will do. Pictures are decoded one at a time.

    Raises:
        DataError: no such column, or more than one; a part of another name; a label that misses; per part.
    """
    given = dict(what) if isinstance(what, Mapping) else {"": what}
    faults = [
        f"{name!r} is no part of a split{nearest(name, PART_FOLDERS)} (allowed: {', '.join(PART_FOLDERS)}); rename it "
        "or leave it out"
        for name in given
        if name and name not in PART_FOLDERS
    ]
    parts = [PART_FOLDERS.get(name, "") for name in given]
    faults += [f"two parts are the {part} part; join them" for part in sorted(set(parts)) if parts.count(part) > 1]
    if faults:
        raise DataError(*faults)
    blocks = sorted(zip(parts, given.values(), strict=True), key=lambda block: PART_ORDER[block[0]])
    read, images, used = [], set(), set()
    for part, block in blocks:
        features = dict(block.features)
        image, label = columns_of(features, part)
        names = getattr(features[label], "names", None)
        read.append((part, list(block[label]), None if names is None else tuple(map(str, names))))
        images.add(image)
        used |= {image, label}
    if len(images) > 1:
        raise DataError(f"the parts call their pictures {', '.join(sorted(images))}; give them one name")
    prints = [getattr(block, "_fingerprint", None) for _, block in blocks]
    return joined_sets(
        "dataset",
        [(part, part, labels, names) for part, labels, names in read],
        tuple(block for _, block in blocks),
        field=images.pop(),
        key="+".join(map(str, prints)) if all(prints) else "",
        ignored=tuple(sorted({f"column {name!r}" for _, b in blocks for name in b.column_names if name not in used})),
    )


def columns_of(features: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Return the names of the picture and of the label column: told by their feature, else by their name."""
    faults, found = [], []
    for what, kind, names in (("picture", "Image", IMAGE_NAMES), ("label", "ClassLabel", LABEL_NAMES)):
        told = [name for name, feature in features.items() if type(feature).__name__ == kind or _kind(feature) == kind]
        called = [name for name in names if name in features]
        fitting = [name for name in told if name in called] if len(told) > 1 else told or called
        if len(fitting) == 1:
            found.append(fitting[0])
            continue
        lead = f"{where}: " if where else ""
        several = ", ".join(fitting or told)
        faults.append(
            f"{lead}{f'several {what} columns ({several})' if several else f'no {what} column'} among "
            f"{', '.join(features) or 'none'}; call the {what} column {names[0]!r} and no other so"
        )
    if faults:
        raise DataError(*faults)
    return found[0], found[1]


def joined_sets(
    name: str,
    blocks: Sequence[tuple[str, str, Sequence[Any], tuple[str, ...] | None]],
    objects: tuple[Any, ...],
    *,
    field: str | int | None,
    key: str,
    ignored: tuple[str, ...] = (),
) -> Sets:
    """Return the pictures of several blocks as one set.

    Args:
        blocks: (what its ids start with, part, labels, class names or None) of each.
        objects: that give the pictures of each block.

    Raises:
        DataError: class names that differ, labels that miss, or numbers without a class name.
    """
    faults = []
    given = {names for _, _, _, names in blocks}
    if len(given) > 1:
        faults.append("the parts have different class names; give all of them the same")
    class_names = blocks[0][3] if len(given) == 1 else None
    for lead, part, labels, _ in blocks:
        where = f"{lead or part or name}: "
        without = sum(label is None or (not isinstance(label, str) and label < 0) for label in labels)
        if without:
            faults.append(f"{where}{without} pictures have no label; leave them or the whole part out")
        elif class_names is not None and any(not 0 <= int(label) < len(class_names) for label in labels):
            faults.append(f"{where}a label is not in [0, {len(class_names)}), the places of the class names")
    if faults:
        raise DataError(*faults)
    flat = [label for _, _, labels, _ in blocks for label in labels]
    if class_names is None:
        class_names = ordered(str(label) for label in flat)
        rank = {text: place for place, text in enumerate(class_names)}
        flat = [rank[str(label)] for label in flat]
    places = [(block, place) for block, (_, _, labels, _) in enumerate(blocks) for place in range(len(labels))]
    rows = np.array(places, dtype=np.int64).reshape(-1, 2)
    if not len(rows):
        raise DataError(f"{name}: no pictures")
    leads = [f"{lead}/" if lead else "" for lead, _, _, _ in blocks]
    return Sets(
        name=name,
        ids=tuple(f"{leads[block]}{place}" for block, place in places),
        labels=np.array([int(label) for label in flat], dtype=np.int64),
        class_names=class_names,
        parts=tuple(blocks[block][1] for block, _ in places),
        originals=SetOriginals(objects, rows, field),
        key=key,
        ignored=ignored,
    )


def _kind(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, Mapping) else str(getattr(feature, "_type", ""))
