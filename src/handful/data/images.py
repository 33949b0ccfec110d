"""Pictures in memory: the view they are seen at, the one image currency, and the guards that keep a score honest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from handful.config import Recipe
from handful.errors import DataError, LeakError

ResizePolicy = Literal["stretch", "crop", "pad"]
CONTENT = np.dtype("S32")


class View(Recipe):
    """Size, resize policy and channels that a recipe sees its pictures at.

    Args:
        size: side of the square picture, in pixels.
        resize: `stretch` (both sides to `size`, deforms), `crop` (shorter side to `size`, then the centre square) or
            `pad` (longer side to `size`, the rest filled with the picture's mean colour).
        channels: 1 (grey), 3 (RGB), or None for what the source has: 1 where every picture is grey, else 3.
    """

    size: Annotated[int, Field(ge=4, le=1024)] = 32
    resize: ResizePolicy = "stretch"
    channels: Literal[1, 3] | None = None


@dataclass(frozen=True)
class Origin:
    """Where each of N pictures comes from.

    Args:
        content: S32 [N], the first half of the SHA-256 (hex) of the decoded original; of the pixels where synthetic.
        maker: str [N], digest of what made a synthetic picture; empty where the picture is real.
        seed: int64 [N], the seed a synthetic picture was made from; -1 where real.
        parent: int64 [N], source row of the picture itself, or of the one it was made from; -1 where there is none.
    """

    content: NDArray[np.bytes_]
    maker: NDArray[np.str_]
    seed: NDArray[np.int64]
    parent: NDArray[np.int64]

    @classmethod
    def of_real(cls, content: NDArray[np.bytes_], rows: NDArray[np.int64] | None = None) -> Origin:
        """Return the origin of real pictures from their content digests and source rows (0..N-1 by default)."""
        num = len(content)
        parent = np.arange(num, dtype=np.int64) if rows is None else np.asarray(rows, dtype=np.int64)
        return cls(content.astype(CONTENT), np.full(num, ""), np.full(num, -1, dtype=np.int64), parent)

    @classmethod
    def of_synthetic(
        cls, pixels: NDArray[np.uint8], maker: str, seeds: Sequence[int], parents: Sequence[int] | None = None
    ) -> Origin:
        """Return the origin of pictures that `maker` (a digest) made from `seeds`."""
        num = len(pixels)
        parent = np.full(num, -1, dtype=np.int64) if parents is None else np.asarray(parents, dtype=np.int64)
        return cls(content_of(pixels), np.full(num, maker), np.asarray(seeds, dtype=np.int64), parent)

    def __post_init__(self) -> None:
        lengths = {name: len(array) for name, array in self.to_arrays().items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the arrays of an origin must be of one length, got {lengths}")

    def __len__(self) -> int:
        return len(self.content)

    @property
    def real(self) -> NDArray[np.bool_]:
        """bool [N], true where the picture is real."""
        return np.asarray(self.maker == "")

    def take(self, rows: NDArray[np.int64]) -> Origin:
        return Origin(self.content[rows], self.maker[rows], self.seed[rows], self.parent[rows])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"content": self.content, "maker": self.maker, "seed": self.seed, "parent": self.parent}


@dataclass(frozen=True)
class LabeledImages:
    """Pictures with labels and origins: the only image currency.

    Args:
        pixels: uint8 [N, C, H, W], C is 1 or 3; memory-mapped where large.
        labels: int64 [N], class ids in [0, K).
        class_names: the K names, in the order of their ids.
        origin: where each picture comes from.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    origin: Origin

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8 or self.pixels.shape[1] not in (1, 3):
            raise DataError(
                f"pixels must be uint8 [N, C, H, W] with C 1 or 3, got {self.pixels.dtype} {list(self.pixels.shape)}"
            )
        if not len(self.pixels) == len(self.labels) == len(self.origin):
            raise DataError(
                f"{len(self.pixels)} pictures, {len(self.labels)} labels and {len(self.origin)} origins: must be equal"
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.num_classes:
            raise DataError(f"labels must be in [0, {self.num_classes}), got {self.labels.min()}..{self.labels.max()}")

    @classmethod
    def of_arrays(
        cls, pixels: NDArray[np.uint8], labels: NDArray[np.int64], class_names: Sequence[str] | None = None
    ) -> LabeledImages:
        """Return real pictures from arrays: pixels uint8 [N, C, H, W], labels int [N]."""
        if np.size(labels) and not np.issubdtype(np.asarray(labels).dtype, np.integer):
            raise DataError(f"labels must be class ids (whole numbers), got {np.asarray(labels).dtype}")
        labels = np.asarray(labels, dtype=np.int64)
        names = class_names or [str(label) for label in range(int(labels.max()) + 1 if len(labels) else 0)]
        return cls(pixels, labels, tuple(names), Origin.of_real(content_of(pixels)))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 [K], pictures per class."""
        return np.bincount(self.labels, minlength=self.num_classes).astype(np.int64)

    def take(self, rows: NDArray[np.int64]) -> LabeledImages:
        """Return the pictures at these rows, in this order."""
        rows = np.asarray(rows, dtype=np.int64)
        return LabeledImages(self.pixels[rows], self.labels[rows], self.class_names, self.origin.take(rows))

    def of_class(self, label: int) -> LabeledImages:
        """Return the pictures of one class."""
        return self.take(np.flatnonzero(self.labels == label))

    def joined(self, other: LabeledImages) -> LabeledImages:
        """Return these pictures followed by the other ones, which must have the same classes and shape."""
        if self.class_names != other.class_names or self.pixels.shape[1:] != other.pixels.shape[1:]:
            raise DataError(
                f"cannot join pictures of shape {list(self.pixels.shape[1:])} with {list(other.pixels.shape[1:])}, "
                f"classes {list(self.class_names)} with {list(other.class_names)}"
            )
        mine, others = self.origin.to_arrays(), other.origin.to_arrays()
        return LabeledImages(
            np.concatenate([self.pixels, other.pixels]),
            np.concatenate([self.labels, other.labels]),
            self.class_names,
            Origin(**{name: np.concatenate([mine[name], others[name]]) for name in mine}),
        )


def content_of(pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return S32 [N]: a digest of each picture's pixels and shape, uint8 [C, H, W] each.

    A grey picture and the same one stored as RGB with three equal channels have the same digest.
    """
    return np.array([_content(picture) for picture in pictures], dtype=CONTENT)


def _content(picture: NDArray[np.uint8]) -> bytes:
    return content_of_planes([plane.tobytes() for plane in picture], picture.shape[1:])[0]


def content_of_planes(planes: Sequence[bytes], shape: tuple[int, ...]) -> tuple[bytes, bool]:
    """Return the digest of a picture, as `content_of` has it, and whether it is grey: one channel, or equal ones.

    Args:
        planes: the pixels of each of C channels, row by row.
        shape: H, W of each.
    """
    grey = all(plane == planes[0] for plane in planes[1:])
    digest = hashlib.sha256("x".join(map(str, (1 if grey else len(planes), *shape))).encode())
    for plane in planes[:1] if grey else planes:
        digest.update(plane)
    return digest.hexdigest()[:32].encode(), grey


def require_real(images: LabeledImages, what: str) -> None:
    """Raise LeakError where any of these pictures is synthetic."""
    num = int((~images.origin.real).sum())
    if num:
        raise LeakError(
            f"{what}: {num} of {len(images)} pictures are synthetic; scores are taken on real pictures only"
        )


def require_unseen(images: LabeledImages, seen: Collection[bytes], what: str) -> None:
    """Raise LeakError where any of these pictures has the content of one that was used to train (`seen`)."""
    known = seen if isinstance(seen, set | frozenset) else frozenset(seen)
    again = [row for row, content in enumerate(images.origin.content.tolist()) if content in known]
    if again:
        shown = ", ".join(str(row) for row in again[:5])
        raise LeakError(
            f"{what}: {len(again)} of {len(images)} pictures are also in training (positions {shown}"
            f"{', ...' if len(again) > 5 else ''}); take them out, or read the source with copies='once'"
        )
