"""Everything `handful look` finds in a source, as one plain record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.channels import Channels, channels_of
from handful.data.features import colour_features
from handful.data.load import load
from handful.data.near import VIEW, clusters, correlations, hashes, near_pairs
from handful.data.neighbours import Doubts, find_doubts
from handful.data.profile import Profile, plain, profile
from handful.data.source import Source
from handful.data.suspicious import Suspicion, find_suspicious
from handful.data.symmetry import Symmetry, find_symmetries
from handful.data.triage import ADVICE, SOURCE, Triage, triage
from handful.errors import ConfigError, unknown
from handful.rng import numpy_rng

SAMPLE = 5000
BITS = 4
CORRELATION = 0.95
CHECKS = ("near-copies", "files", "doubts", "flips")


@dataclass(frozen=True)
class NearCopies:
    """Different pictures that are nearly the same.

    Args:
        bits, correlation: hashes differ in at most so many of 64 bits, and luma at 32 x 32 px correlates by so much.
        groups: rows, each picture once (of exact copies the first); near copies of near copies are in one group.
        across_parts, across_classes: groups that lie in more than one part, or have more than one label.
    """

    bits: int
    correlation: float
    groups: tuple[tuple[int, ...], ...]
    across_parts: tuple[tuple[int, ...], ...]
    across_classes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Findings:
    """What is in a source. A check that was skipped is None.

    Args:
        profile: counts, sizes, exact copies and faults.
        ids: N names, for the rows below.
        labels: N class ids; class_names: K names.
        channels: colour statistics of the training part (a seeded sample of at most 5,000).
        near_copies, suspicious: searched completely.
        doubts: by neighbours in a seeded sample of at most 5,000 different pictures; rows are the source's.
        flips: on a seeded sample of at most 5,000 different training pictures.
        generation: for each class what its number of training pictures means.
        sampled: pictures looked at and pictures there are, for `channels`, `doubts` and `flips`.
        seed: of the samples.
    """

    profile: Profile
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    channels: Channels
    near_copies: NearCopies | None
    suspicious: tuple[Suspicion, ...]
    doubts: Doubts | None
    flips: tuple[Symmetry, ...] | None
    generation: tuple[Triage, ...]
    sampled: dict[str, tuple[int, int]]
    seed: int
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values: the profile's keys, and one for each check, null where it was skipped."""
        names = self.class_names
        found: dict[str, Any] = self.profile.to_json()
        found["channels"] = asdict(self.channels)
        found["near_copies"] = None if self.near_copies is None else self._near(self.near_copies)
        found["suspicious"] = [{"path": self.ids[one.row], "kind": one.kind, "why": one.why} for one in self.suspicious]
        found["doubts"] = self.doubts and {
            **{key: getattr(self.doubts, key) for key in ("k", "agreeing", "num_checked", "accuracy")},
            "pictures": [
                {
                    "path": self.ids[one.row],
                    "label": names[one.label],
                    "neighbours": names[one.suggested],
                    "votes": one.votes,
                }
                for one in self.doubts.found
            ],
        }
        found["flips"] = None if self.flips is None else [_flip(one, names) for one in self.flips]
        found["generation"] = {
            "classes": [asdict(one) for one in self.generation],
            "advice": ADVICE,
            "source": SOURCE,
        }
        found["sample"] = {"most": SAMPLE, "seed": self.seed, **self.sampled}
        found["skipped"] = list(self.skipped)
        plained: dict[str, Any] = plain(found)
        return plained

    def _near(self, near: NearCopies) -> dict[str, Any]:
        return {
            "bits": near.bits,
            "correlation": near.correlation,
            "pictures": sum(len(rows) for rows in near.groups),
            "across_parts": len(near.across_parts),
            "across_classes": len(near.across_classes),
            "groups": [[self.ids[row] for row in rows] for rows in near.groups],
        }


def look(source: Source, *, seed: int = 0, skip: Collection[str] = ()) -> Findings:
    """Return what is in a source.

    Exact and near copies and suspicious files are searched completely; the rest on samples that `seed` draws.

    Args:
        skip: names in CHECKS to leave out.

    Raises:
        ConfigError: an unknown check.
        DataError: a file is gone or has changed since the source was opened.
    """
    strangers = [name for name in skip if name not in CHECKS]
    if strangers:
        raise ConfigError(*(unknown("check", name, CHECKS) for name in strangers))
    pixels = load(source, VIEW).pixels
    suspicious = find_suspicious(source, pixels, files="files" not in skip)
    blank = {one.row for one in suspicious if one.kind == "blank"}
    once = first_rows(source)
    kept = np.array([row for row in once.tolist() if row not in blank], dtype=np.int64)
    train, part = training_rows(source)
    learnt = np.intersect1d(train, once)
    colour_rows = sample(train, seed, "colours")
    checked, flipped = sample(kept, seed, "neighbours"), sample(np.intersect1d(learnt, kept), seed, "flips")
    sampled = {"channels": (len(colour_rows), len(train))}
    doubts = flips = near = None
    if "near-copies" not in skip:
        near = near_copies(source, pixels, kept)
    if "doubts" not in skip and len(checked):
        found = find_doubts(colour_features(pixels[checked]), source.labels[checked])
        doubts = _at(found, checked)
        sampled["doubts"] = (len(checked), len(kept))
    if "flips" not in skip:
        flips = find_symmetries(pixels[flipped], source.labels[flipped], source.num_classes)
        sampled["flips"] = (len(flipped), len(np.intersect1d(learnt, kept)))
    counts = np.bincount(source.labels[learnt], minlength=source.num_classes)
    return Findings(
        profile=profile(source),
        ids=source.ids,
        labels=tuple(source.labels.tolist()),
        class_names=source.class_names,
        channels=channels_of(source, colour_rows, part),
        near_copies=near,
        suspicious=suspicious,
        doubts=doubts,
        flips=flips,
        generation=triage(source.class_names, counts.tolist()),
        sampled=sampled,
        seed=seed,
        skipped=tuple(sorted(skip)),
    )


def near_copies(source: Source, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NearCopies:
    """Return the groups of near copies among these rows of a source.

    Args:
        pixels: uint8 [N, C, 32, 32], the whole source at `near.VIEW`.
        rows: int64 [M], different pictures, none of one colour.
    """
    small = pixels[rows]
    pairs = near_pairs(hashes(small), BITS)
    pairs = pairs[correlations(small, pairs) >= CORRELATION]
    members: dict[int, list[int]] = defaultdict(list)
    for place, first in enumerate(clusters(len(rows), pairs).tolist()):
        members[first].append(int(rows[place]))
    groups = tuple(tuple(found) for found in members.values() if len(found) > 1)
    parts, labels = source.parts, source.labels
    return NearCopies(
        bits=BITS,
        correlation=CORRELATION,
        groups=groups,
        across_parts=tuple(rows for rows in groups if len({parts[row] for row in rows}) > 1),
        across_classes=tuple(rows for rows in groups if len({int(labels[row]) for row in rows}) > 1),
    )


def first_rows(source: Source) -> NDArray[np.int64]:
    """Return int64 [M], sorted: the first row of each different content, a training one before one of val or test."""
    ranks = np.array([{"train": 0, "": 0, "val": 1}.get(part, 2) for part in source.parts])
    order = np.argsort(ranks, kind="stable")
    _, first = np.unique(source.content[order], return_index=True)
    return np.sort(order[first]).astype(np.int64)


def training_rows(source: Source) -> tuple[NDArray[np.int64], str]:
    """Return the rows outside a given val and test part, and `train`, or `all` where no part is given."""
    rows = np.array([row for row, part in enumerate(source.parts) if part in ("", "train")], dtype=np.int64)
    return rows, "train" if any(source.parts) else "all"


def sample(rows: NDArray[np.int64], seed: int, name: str) -> NDArray[np.int64]:
    """Return at most SAMPLE of these rows, drawn without replacement, in their order."""
    if len(rows) <= SAMPLE:
        return rows
    return np.sort(numpy_rng(seed, "look", name).permutation(rows)[:SAMPLE])


def _at(doubts: Doubts, rows: NDArray[np.int64]) -> Doubts:
    """The same doubts with the source's rows."""
    found = tuple(type(one)(int(rows[one.row]), one.label, one.suggested, one.votes) for one in doubts.found)
    return Doubts(doubts.k, doubts.agreeing, doubts.num_checked, doubts.accuracy, found)


def _flip(found: Symmetry, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "operation": found.operation,
        "verdict": found.verdict,
        "pictures": found.num,
        "recognised": found.own,
        "recognised_changed": found.own_changed,
        "turns": [
            {
                "classes": [names[one.first], names[one.second]],
                "rates": [
                    {"from": names[a], "to": names[b], "changed": way[0], "unchanged": way[1], "of": way[2]}
                    for a, b, way in ((one.first, one.second, one.to_second), (one.second, one.first, one.to_first))
                ],
                "p": one.p,
            }
            for one in found.turns
        ],
        "classes": [
            {
                "name": names[one.label],
                "pictures": one.num,
                "recognised": one.own,
                "recognised_changed": one.own_changed,
                "verdict": one.verdict,
            }
            for one in found.classes
        ],
    }
