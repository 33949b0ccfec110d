"""Pictures that a flip or a half turn makes pictures of another class: training pictures for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handful.data.images import LabeledImages, Origin
from handful.data.symmetry import OPERATIONS, Operation
from handful.errors import ConfigError, unknown

MirrorPair = tuple[str, str, Operation]  # two class names, and what turns each into the other


def with_mirrored(images: LabeledImages, pairs: Sequence[MirrorPair]) -> LabeledImages:
    """Return the pictures, then for each pair those of either class, changed, as pictures of the other.

    The changed ones are synthetic: their maker is the operation, their parent the row of the picture they came from.
    A half turn or a flip undone is the picture again, so what holds one way holds the other way.

    Args:
        images: N pictures.
        pairs: see `handful.data.symmetry`, which finds them; a class may be in several.

    Raises:
        ConfigError: a name is no class of these pictures, or both are one.
    """
    check_pairs(pairs, images.class_names)
    found = images
    for first, second, operation in pairs:
        places = images.class_names.index(first), images.class_names.index(second)
        for label, other in (places, places[::-1]):
            rows = np.flatnonzero(images.labels == label)
            pixels = np.ascontiguousarray(OPERATIONS[operation](images.pixels[rows]))
            parents = images.origin.parent[rows].tolist()
            origin = Origin.of_synthetic(pixels, operation, [0] * len(rows), parents)
            labels = np.full(len(rows), other, dtype=np.int64)
            found = found.joined(LabeledImages(pixels, labels, images.class_names, origin))
    return found


def check_pairs(pairs: Sequence[MirrorPair], class_names: Sequence[str]) -> None:
    """Raise where a pair names no class, or one class twice; a line per fault.

    Raises:
        ConfigError: as said.
    """
    faults = []
    for first, second, operation in pairs:
        absent = [name for name in (first, second) if name not in class_names]
        faults += [unknown("class in mirror_pairs", name, class_names) for name in absent]
        if first == second:
            faults.append(
                f"mirror_pairs: {first!r} is paired with itself; where a {operation} leaves a class what it is, let "
                "the augmentation flip"
            )
    if faults:
        raise ConfigError(*faults)
