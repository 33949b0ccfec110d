"""Pictures that are there more than once: pixel-identical after decoding, at the size they came in."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from handful.data.files import shown
from handful.data.layout import PART_ORDER
from handful.data.source import Source, capped
from handful.errors import DataError


@dataclass(frozen=True)
class Copies:
    """Pictures of a source that have identical content.

    Args:
        groups: rows of each picture that is there more than once, the one to keep first (by train, val, test, no part;
            then by row); the groups in the order of their first rows.
        num_repeats: files that repeat an earlier one.
        num_across_parts: groups that lie in more than one part.
        conflicts: the groups with more than one label.
    """

    groups: tuple[tuple[int, ...], ...]
    num_repeats: int
    num_across_parts: int
    conflicts: tuple[tuple[int, ...], ...]


def find_copies(source: Source) -> Copies:
    """Return the groups of rows with identical content."""
    by_content: dict[bytes, list[int]] = defaultdict(list)
    for row in sorted(range(len(source)), key=lambda row: PART_ORDER[source.parts[row]]):
        by_content[source.content[row]].append(row)
    groups = tuple(tuple(rows) for rows in by_content.values() if len(rows) > 1)
    return Copies(
        groups=groups,
        num_repeats=sum(len(rows) - 1 for rows in groups),
        num_across_parts=sum(len({source.parts[row] for row in rows}) > 1 for rows in groups),
        conflicts=tuple(rows for rows in groups if len({int(source.labels[row]) for row in rows}) > 1),
    )


def once(source: Source) -> Source:
    """Return the source with each picture once, in the first of train, val, test that has it, rows in their order.

    `left_out` of the result names every copy left out and the picture kept for it.

    Raises:
        DataError: identical pictures with different labels, each group on a line.
    """
    copies = find_copies(source)
    if copies.conflicts:
        raise DataError(*capped([_conflict(source, rows) for rows in copies.conflicts]))
    left_out = {row: rows[0] for rows in copies.groups for row in rows[1:]}
    kept = source.take(np.array([row for row in range(len(source)) if row not in left_out], dtype=np.int64))
    named = tuple((source.ids[row], source.ids[left_out[row]]) for row in sorted(left_out))
    return replace(kept, left_out=source.left_out + named)


def _conflict(source: Source, rows: tuple[int, ...]) -> str:
    listed = ", ".join(f"{shown(source.ids[row])} ({source.class_names[source.labels[row]]})" for row in rows)
    return f"the same picture with different labels: {listed}; keep it in one class"
