"""Near copies inside one source: by hashes among all pictures, by the distance of an embedding among a sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from handful.data.decode import resized
from handful.data.features import Features
from handful.data.images import View
from handful.data.near import clusters, correlations, hashes, near_pairs
from handful.data.source import Source

BITS = 4
CORRELATION = 0.95
COSINE = 0.95
EMBED_VIEW = View(size=224, resize="stretch", channels=3)
_PICTURES = 64  # shown to an embedding at once, 10 MB of pixels
_BLOCK = 512

Embed = Callable[[NDArray[np.uint8]], Features]


@dataclass(frozen=True)
class NearCopies:
    """Different pictures that are nearly the same.

    Args:
        groups: rows, each picture once (of exact copies the first); near copies of near copies are in one group.
        across_parts, across_classes: groups that lie in more than one part, or have more than one label.
    """

    groups: tuple[tuple[int, ...], ...]
    across_parts: tuple[tuple[int, ...], ...]
    across_classes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, source: Source, groups: Sequence[tuple[int, ...]]) -> NearCopies:
        """Return these groups of rows, told apart by the source's parts and labels."""
        parts, labels = source.parts, source.labels
        return cls(
            groups=tuple(groups),
            across_parts=tuple(rows for rows in groups if len({parts[row] for row in rows}) > 1),
            across_classes=tuple(rows for rows in groups if len({int(labels[row]) for row in rows}) > 1),
        )


def near_copies(source: Source, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NearCopies:
    """Return the groups of near copies among these rows: hashes within BITS, luma correlated by at least CORRELATION.

    Args:
        pixels: uint8 [N, C, 32, 32], the whole source at `near.VIEW`.
        rows: int64 [M], different pictures, none of one colour.
    """
    small = pixels[rows]
    pairs = near_pairs(hashes(small), BITS)
    pairs = pairs[correlations(small, pairs) >= CORRELATION]
    return NearCopies.of(source, _groups(rows, pairs))


def embedded(source: Source, rows: NDArray[np.int64], embed: Embed) -> Features:
    """Return float32 [M, D], the embeddings of these rows, centred on their mean and of length one.

    A picture whose embedding is the mean stays at zero, far from every other.

    Args:
        rows: int64 [M], at least one.
        embed: called with uint8 [B, 3, 224, 224] (the originals stretched, grey repeated), B at most 64; returns
            float32 [B, D] that depend on each picture alone.

    Raises:
        ValueError: `embed` returns another number of rows, or values that are not finite.
        DataError: a file is gone or has changed since the source was opened.
    """
    place = {row: number for number, row in enumerate(rows.tolist())}
    blocks: list[Features] = []
    order: list[int] = []
    for found in _blocks(source.read_all(rows.tolist())):
        shown = np.stack([resized(picture, EMBED_VIEW, 3) for _, picture in found])
        made = np.asarray(embed(shown), dtype=np.float32)
        if made.ndim != 2 or len(made) != len(found) or not np.isfinite(made).all():
            raise ValueError(
                f"an embedding of {len(found)} pictures must be finite [{len(found)}, D]; got {made.shape}"
            )
        blocks.append(made)
        order += [place[row] for row, _ in found]
    features = np.empty((len(rows), blocks[0].shape[1]), dtype=np.float32)
    features[order] = np.concatenate(blocks)
    features -= features.mean(axis=0)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    whole: Features = np.where(length > 1e-6, features / np.maximum(length, 1e-6), 0).astype(np.float32)
    return whole


def embedded_copies(
    source: Source, rows: NDArray[np.int64], features: Features, known: NearCopies | None
) -> NearCopies:
    """Return the groups of pictures whose embeddings have a cosine of at least COSINE, and hashes did not find.

    Args:
        rows: int64 [M], different pictures.
        features: float32 [M, D], what `embedded` returned for them.
        known: near copies by hash; a group that lies inside one of these is left out.
    """
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(rows), _BLOCK):
        first, other = np.nonzero(features[start : start + _BLOCK] @ features.T >= COSINE)
        pairs.append(np.column_stack([first + start, other])[first + start < other])
    group = {row: number for number, members in enumerate(known.groups if known else ()) for row in members}
    found = [
        members
        for members in _groups(rows, np.concatenate(pairs))
        if len({group.get(row, -1 - row) for row in members}) > 1
    ]
    return NearCopies.of(source, found)


def _groups(rows: NDArray[np.int64], pairs: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """The rows that pairs of places connect, those connected with none left out."""
    members: dict[int, list[int]] = defaultdict(list)
    for place, first in enumerate(clusters(len(rows), pairs).tolist()):
        members[first].append(int(rows[place]))
    return [tuple(found) for found in members.values() if len(found) > 1]


def _blocks(read: Iterator[tuple[int, NDArray[np.uint8]]]) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
    while block := list(islice(read, _PICTURES)):
        yield block
