"""Groups that stay whole: given ones or clusters of near copies, and how whole groups are dealt out to parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from handful.config import digest_of
from handful.data import decode as decoding
from handful.data.cache import cache_dir, keep, recall
from handful.data.files import shown
from handful.data.near import VIEW, clusters, correlations, hashes, luma, near_pairs
from handful.data.source import Source, capped
from handful.errors import DataError
from handful.rng import numpy_rng

GroupPolicy = Literal["given", "near-copies", "none"]
MAX_BITS = 12
MIN_CORRELATION = 0.9
ATTEMPTS = 20
_VERSION = 1


def groups_for(source: Source, policy: GroupPolicy) -> tuple[str, ...]:
    """Return the N group names that a policy gives a source's rows, '' where a row belongs to none.

    `given` are the source's own; `near-copies` are those of `near_copy_groups`, joined with the source's own where it
    has any; `none` are none.
    """
    if policy == "none":
        return ("",) * len(source)
    return source.groups if policy == "given" else near_copy_groups(source)


def near_copy_groups(
    source: Source, *, max_bits: int = MAX_BITS, min_correlation: float = MIN_CORRELATION
) -> tuple[str, ...]:
    """Return N group names so that near copies share one, '' for a picture that has no near copy and no group.

    Two pictures of one class are near copies where their DCT hashes differ in at most `max_bits` of 64 bits and, to
    confirm it, the luma of both at 32 x 32 px correlates by at least `min_correlation` over the picture (Pearson;
    brightness and contrast do not count). Near copies of near copies belong together (single linkage), and so do
    pictures of one given group. The hash search is complete; pictures of one colour are near nothing. Rows of one hash
    are confirmed against the first of them. Pictures of two classes are never near copies here: what looks alike
    across classes is a matter of labels, and chains of blurred pictures would join whole classes. A group is named
    after the first of its rows. The decoded originals are read once; the result is kept in the cache by the contents of
    the pictures.

    Args:
        max_bits: 0 to 64. 12 finds shots of one thing seconds apart where the cut of the picture stays nearly the same,
            not the same thing at another angle. Of the 344 different pictures of ten classes of Chinese road signs
            (TSRD) it groups 42, in 18 groups, most with numbers that follow each other or nearly do.
        min_correlation: -1 to 1.

    Raises:
        DataError: a picture cannot be read any more.
    """
    key = digest_of(
        {
            "near-copies": _VERSION,
            "decode": decoding.VERSION,
            "content": [content.decode() for content in source.content.tolist()],
            "labels": source.labels.tolist(),
            "groups": list(source.groups),
            "limits": [max_bits, min_correlation],
        }
    )
    place = cache_dir() / "groups" / f"{key}.npy"
    first = recall(place, (len(source),))
    if first is None:
        first = clusters(len(source), np.concatenate([_near(source, max_bits, min_correlation), _given(source)]))
        keep(place, first)
    members = np.bincount(first, minlength=len(source))
    return tuple(source.ids[row] if members[row] > 1 or source.groups[row] else "" for row in first.tolist())


def deal(
    labels: NDArray[np.int64],
    groups: Sequence[str],
    rows: NDArray[np.int64],
    targets: NDArray[np.float64],
    least: Sequence[int],
    class_names: Sequence[str],
    parts: Sequence[str],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Return the rows of each of P parts, whole groups each, the classes as near to their targets as groups allow.

    The rule is greedy. Groups are taken from large to small, those of one size in an order drawn from `seed`. Each
    goes to the part where it lowers most the sum over classes of (pictures there - target)^2 / pictures of the class;
    of equal parts to the one that lacks most. A part is closed to a group while the groups still to come of one of its
    classes are needed to give every part its `least` number of groups of that class. Where groups of several classes
    leave a part without a class in spite of that, other orders are tried, 20 in all. A row without a group is a group
    of its own.

    Args:
        labels: int64 [N]; groups: N names; rows: those to be dealt out.
        targets: float64 [P, K], pictures of each class wanted in each part.
        least: P numbers, the fewest groups of each class in each part.
        parts: P names, for messages.
        seed: of the order.

    Raises:
        DataError: a class in fewer groups than the parts need together, or that still misses in a part.
    """
    counts = _counts(labels, groups, rows, len(class_names))
    held = (counts > 0).sum(axis=0)
    present = targets.sum(axis=0) > 0
    needed = int(sum(least))
    faults = [
        f"class {name!r}: {int(counts[:, label].sum())} pictures in {held[label]} groups to draw {', '.join(parts)} "
        f"from, {needed} groups needed; add pictures of at least {needed - held[label]} more, leave the class out, "
        "or split without groups (groups = none)"
        for label, name in enumerate(class_names)
        if present[label] and held[label] < needed
    ]
    if faults:
        raise DataError(*capped(faults))
    missing: list[tuple[str, str]] = []
    for attempt in range(ATTEMPTS):
        where = _dealt(counts, targets, least, seed, attempt)
        reached = np.stack([(counts[where == part] > 0).sum(axis=0) for part in range(len(parts))])
        short = np.argwhere((reached < np.asarray(least)[:, None]) & present)
        if not len(short):
            place = where[_units(groups, rows)]
            return [rows[place == part] for part in range(len(parts))]
        if not missing or len(short) < len(missing):
            missing = [(class_names[label], parts[part]) for part, label in short.tolist()]
    raise DataError(
        *capped(
            [
                f"class {name!r}: no picture in {part} in {ATTEMPTS} ways of dealing whole groups out; its groups hold "
                "other classes too: add pictures of one more group, or split without groups (groups = none)"
                for name, part in missing
            ]
        )
    )


def shared(groups: Sequence[str], rows: NDArray[np.int64]) -> bool:
    """Return whether any group holds two of these rows."""
    named = [groups[row] for row in rows.tolist() if groups[row]]
    return len(set(named)) < len(named)


def across(groups: Sequence[str], parts: Sequence[str]) -> list[str]:
    """Return a fault line for each group that lies in more than one given part ('' counts as train)."""
    found: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        if group:
            found.setdefault(group, set()).add(part or "train")
    return [
        f"group {shown(group)!r} lies in the given parts {', '.join(sorted(where))}; keep it in one of them, give the "
        "pictures without parts, or split without groups (groups = none)"
        for group, where in sorted(found.items())
        if len(where) > 1
    ]


def _near(source: Source, max_bits: int, min_correlation: float) -> NDArray[np.int64]:
    small = np.zeros((len(source), VIEW.size, VIEW.size), np.uint8)
    for row, picture in source.read_all():
        small[row] = luma(decoding.resized(picture, VIEW, len(picture))[None])[0]
    found = hashes(small[:, None])
    pairs = np.zeros((0, 2), dtype=np.int64)
    for label in range(source.num_classes):
        rows = np.flatnonzero((source.labels == label) & (found != 0))
        pairs = np.concatenate([pairs, rows[near_pairs(found[rows], max_bits)]])
    return pairs[correlations(small[:, None], pairs) >= min_correlation]


def _given(source: Source) -> NDArray[np.int64]:
    first: dict[str, int] = {}
    pairs = [(first.setdefault(group, row), row) for row, group in enumerate(source.groups) if group]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _units(groups: Sequence[str], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [len(rows)]: the number of each row's group, a row without one having its own."""
    number: dict[str | int, int] = {}
    return np.array([number.setdefault(groups[row] or row, len(number)) for row in rows.tolist()], dtype=np.int64)


def _counts(labels: NDArray[np.int64], groups: Sequence[str], rows: NDArray[np.int64], num: int) -> NDArray[np.int64]:
    """int64 [groups, K], pictures of each class in each group."""
    units = _units(groups, rows)
    counts = np.zeros((int(units.max(initial=-1)) + 1, num), dtype=np.int64)
    np.add.at(counts, (units, labels[rows]), 1)
    return counts


def _dealt(
    counts: NDArray[np.int64], targets: NDArray[np.float64], least: Sequence[int], seed: int, attempt: int
) -> NDArray[np.int64]:
    """int64 [groups], the part of each; in plain numbers, which is ten times as fast as arrays of a few."""
    order = numpy_rng(seed, "groups", attempt).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    held: list[list[tuple[int, int]]] = [[] for _ in range(len(counts))]
    for unit, label in np.argwhere(counts).tolist():
        held[unit].append((label, int(counts[unit, label])))
    weight = (1 / np.maximum(counts.sum(axis=0), 1)).tolist()
    to_come = (counts > 0).sum(axis=0).tolist()
    lacking, total = targets.tolist(), targets.sum(axis=1).tolist()
    owed = [[num] * counts.shape[1] for num in least]
    owed_in_all = [sum(least)] * counts.shape[1]
    where = np.zeros(len(counts), dtype=np.int64)
    for unit in order.tolist():
        best, part = (-len(weight) - 1, 0.0, 0.0), 0
        for label, _ in held[unit]:
            to_come[label] -= 1
        for place in range(len(least)):
            closed, gain = 0, 0.0
            for label, size in held[unit]:
                closed -= to_come[label] - owed_in_all[label] + (owed[place][label] > 0) < 0
                gain += (2 * lacking[place][label] - size) * size * weight[label]
            if (score := (closed, round(gain, 9), total[place])) > best:
                best, part = score, place
        where[unit] = part
        for label, size in held[unit]:
            lacking[part][label] -= size
            total[part] -= size
            if owed[part][label]:
                owed[part][label] -= 1
                owed_in_all[label] -= 1
    return where
