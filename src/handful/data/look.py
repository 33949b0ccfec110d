"""Everything `handful look` finds in a source, as one plain record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.alike import BITS, CORRELATION, COSINE, Embed, NearCopies, embedded, embedded_copies, near_copies
from handful.data.channels import Channels, channels_of
from handful.data.features import colour_features
from handful.data.load import load
from handful.data.near import VIEW
from handful.data.neighbours import Doubts, find_doubts
from handful.data.originals import FileOriginals
from handful.data.profile import Profile, plain, profile
from handful.data.source import Source
from handful.data.stored import stored_of
from handful.data.suspicious import Suspicion, find_suspicious
from handful.data.symmetry import Symmetry, find_symmetries, surely_mirrored
from handful.data.triage import ADVICE, SOURCE, Triage, triage
from handful.errors import ConfigError, unknown
from handful.rng import numpy_rng

SAMPLE = 5000
EMBEDDED = 600  # pictures of an embedding: a network looks at some fifty a second on one core
CHECKS = ("near-copies", "files", "embedding", "doubts", "flips")


@dataclass(frozen=True)
class Findings:
    """What is in a source. A check that was skipped is None.

    Args:
        profile: counts, sizes, exact copies and faults.
        modes: N modes as the files hold them, before decoding; None where no file was looked into.
        ids: N names, for the rows below.
        labels: N class ids; class_names: K names.
        channels: colour statistics of the training part (a seeded sample of at most 5,000).
        near_copies, suspicious: searched completely.
        embedding: name of the embedding that `embedded_copies` and `doubts` go by; '' where there is none.
        embedded_copies: near copies that its distance finds and hashes do not, in the sample of `doubts`.
        doubts: by neighbours in a seeded sample of at most 5,000 different pictures, with an embedding 600; rows are
            the source's.
        flips: on a seeded sample of at most 5,000 different training pictures.
        generation: for each class what its number of training pictures means.
        sampled: pictures looked at and pictures there are, for `channels`, `embedded_copies`, `doubts` and `flips`.
        seed: of the samples.
    """

    profile: Profile
    modes: tuple[str, ...] | None
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    channels: Channels
    near_copies: NearCopies | None
    embedding: str
    embedded_copies: NearCopies | None
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
        found["modes"] = None if self.modes is None else self._modes(self.modes)
        found["channels"] = asdict(self.channels)
        near, more = self.near_copies, self.embedded_copies
        found["near_copies"] = near and {"bits": BITS, "correlation": CORRELATION, **self._near(near)}
        found["embedded_copies"] = more and {"embedding": self.embedding, "cosine": COSINE, **self._near(more)}
        found["suspicious"] = [{"path": self.ids[one.row], "kind": one.kind, "why": one.why} for one in self.suspicious]
        found["doubts"] = self.doubts and {
            **{key: getattr(self.doubts, key) for key in ("k", "agreeing", "num_checked", "accuracy")},
            "embedding": self.embedding,
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

    def _modes(self, modes: tuple[str, ...]) -> dict[str, Any]:
        """How many files are stored in each mode, the most frequent first, over all and by class."""
        by_class: list[Counter[str]] = [Counter() for _ in self.class_names]
        for label, mode in zip(self.labels, modes, strict=True):
            by_class[label][mode or "unknown"] += 1
        order = [mode for mode, _ in Counter(mode or "unknown" for mode in modes).most_common()]
        return {
            "stored": {mode: sum(counts[mode] for counts in by_class) for mode in order},
            "classes": [
                {"name": name, "stored": {mode: counts[mode] for mode in order if counts[mode]}}
                for name, counts in zip(self.class_names, by_class, strict=True)
            ],
            "shown": self.profile.colours,
        }

    def _near(self, near: NearCopies) -> dict[str, Any]:
        return {
            "pictures": sum(len(rows) for rows in near.groups),
            "across_parts": len(near.across_parts),
            "across_classes": len(near.across_classes),
            "groups": [[self.ids[row] for row in rows] for rows in near.groups],
        }


def look(
    source: Source,
    *,
    seed: int = 0,
    skip: Collection[str] = (),
    embed: Embed | None = None,
    embedding: str = "an embedding",
) -> Findings:
    """Return what is in a source.

    Exact and near copies and suspicious files are searched completely; the rest on samples that `seed` draws.

    Args:
        skip: names in CHECKS to leave out.
        embed: features of pictures, see `handful.data.alike.embedded`; unless `embedding` is left out, near copies are
            then also searched by their distance in a sample of at most 600 pictures, and labels doubted by it instead
            of by small pixels and colours.
        embedding: what `embed` is called in the findings.

    Raises:
        ConfigError: an unknown check.
        DataError: a file is gone or has changed since the source was opened.
    """
    strangers = [name for name in skip if name not in CHECKS]
    if strangers:
        raise ConfigError(*(unknown("check", name, CHECKS) for name in strangers))
    pixels = load(source, VIEW).pixels
    stored = None
    if "files" not in skip and isinstance(source.originals, FileOriginals):
        stored = stored_of(source.originals)
    suspicious = find_suspicious(source, pixels, stored)
    blank = {one.row for one in suspicious if one.kind == "blank"}
    once = first_rows(source)
    kept = np.array([row for row in once.tolist() if row not in blank], dtype=np.int64)
    train, part = training_rows(source)
    learnt = np.intersect1d(train, once)
    colour_rows = sample(train, seed, "colours")
    embed = None if "embedding" in skip else embed
    checked = sample(kept, seed, "neighbours", None if embed is None else EMBEDDED)
    flipped = sample(np.intersect1d(learnt, kept), seed, "flips")
    sampled = {"channels": (len(colour_rows), len(train))}
    doubts = flips = near = more = features = None
    if embed is not None and len(checked) and not {"near-copies", "doubts"} <= set(skip):
        features = embedded(source, checked, embed)
    if "near-copies" not in skip:
        near = near_copies(source, pixels, kept)
        if features is not None:
            more = embedded_copies(source, checked, features, near)
            sampled["embedded_copies"] = (len(checked), len(kept))
    if "doubts" not in skip and len(checked):
        seen = colour_features(pixels[checked]) if features is None else features
        doubts = _at(find_doubts(seen, source.labels[checked]), checked)
        sampled["doubts"] = (len(checked), len(kept))
    if "flips" not in skip:
        flips = find_symmetries(pixels[flipped], source.labels[flipped], source.num_classes)
        sampled["flips"] = (len(flipped), len(np.intersect1d(learnt, kept)))
    counts = np.bincount(source.labels[learnt], minlength=source.num_classes)
    return Findings(
        profile=profile(source),
        modes=None if stored is None else tuple(one.mode for one in stored),
        ids=source.ids,
        labels=tuple(source.labels.tolist()),
        class_names=source.class_names,
        channels=channels_of(source, colour_rows, part),
        near_copies=near,
        embedding="" if features is None else embedding,
        embedded_copies=more,
        suspicious=suspicious,
        doubts=doubts,
        flips=flips,
        generation=triage(source.class_names, counts.tolist()),
        sampled=sampled,
        seed=seed,
        skipped=tuple(sorted(skip)),
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


def sample(rows: NDArray[np.int64], seed: int, name: str, most: int | None = None) -> NDArray[np.int64]:
    """Return at most `most` (SAMPLE) of these rows, drawn without replacement, in their order."""
    num = SAMPLE if most is None else most
    return rows if len(rows) <= num else np.sort(numpy_rng(seed, "look", name).permutation(rows)[:num])


def _at(doubts: Doubts, rows: NDArray[np.int64]) -> Doubts:
    """The same doubts with the source's rows."""
    return replace(doubts, found=tuple(replace(one, row=int(rows[one.row])) for one in doubts.found))


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
                "farther": one.farther,
                "sure": surely_mirrored(found.operation, one),
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
