"""Two sets of pictures side by side: what they share, and whether one can tell them apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.alike import BITS, CORRELATION
from handful.data.channels import Channels, channels_of
from handful.data.features import Features, colour_features
from handful.data.images import View
from handful.data.load import load
from handful.data.look import SAMPLE, first_rows, sample
from handful.data.near import VIEW, correlations, hashes, near_pairs
from handful.data.profile import plain, profile
from handful.data.source import Source
from handful.rng import numpy_rng

FEWEST = 40
_COMPONENTS = 50


@dataclass(frozen=True)
class TwoSamples:
    """Whether a classifier tells two sets apart.

    Args:
        num: pictures taken from each set, half of them to fit and half to test.
        accuracy: on the test halves; 0.5 where the sets are alike, 1 where every picture gives its set away.
        p: one-sided exact binomial p-value of that accuracy against 0.5.
    """

    num: int
    accuracy: float
    p: float


@dataclass(frozen=True)
class Drift:
    """Two sets, the first and the other.

    Args:
        names: of both.
        classes: per class name its pictures in both; 0 where a set has no such class.
        sizes, colours: of both, as in a profile.
        channels: of both, at most 5,000 pictures each, drawn by `seed`.
        copies: (id, id in the other set) of identical pictures, each different content once.
        near_copies: the same for near copies; of a picture's near copies in the other set the first.
        conflicts: of both kinds those with different class names.
        test: None where a set has fewer than 40 different pictures.
    """

    names: tuple[str, str]
    num_pictures: tuple[int, int]
    classes: tuple[dict[str, Any], ...]
    sizes: tuple[dict[str, Any], dict[str, Any]]
    colours: tuple[dict[str, int], dict[str, int]]
    channels: tuple[Channels, Channels]
    copies: tuple[tuple[str, str], ...]
    near_copies: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    test: TwoSamples | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return every field as JSON values."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def compare_sets(source: Source, other: Source, *, seed: int = 0) -> Drift:
    """Return what two sets share and how they differ.

    Copies and near copies between them are searched completely; the drift number and the colour statistics are on
    seeded samples of at most 5,000 pictures a set.

    Raises:
        DataError: a file is gone or has changed since a source was opened.
    """
    both = (source, other)
    channels = max(one.channels for one in both)
    view = View(size=VIEW.size, resize=VIEW.resize, channels=1 if channels == 1 else 3)
    pixels = [load(one, view).pixels for one in both]
    rows = [first_rows(one) for one in both]
    profiles = [profile(one) for one in both]
    copies = _copies(source, other)
    known = {mine for mine, _ in copies}
    left = np.array([row for row in rows[0].tolist() if row not in known], dtype=np.int64)
    near = _near(pixels[0][left], pixels[1][rows[1]])
    near_rows = [(int(left[mine]), int(rows[1][others])) for mine, others in near]
    conflicts = [
        (mine, others)
        for mine, others in copies + near_rows
        if source.class_names[source.labels[mine]] != other.class_names[other.labels[others]]
    ]
    drawn = [sample(found, seed, f"drift {place}") for place, found in enumerate(rows)]

    def named(pairs: list[tuple[int, int]]) -> tuple[tuple[str, str], ...]:
        return tuple((source.ids[mine], other.ids[others]) for mine, others in pairs)

    def stats(place: int) -> Channels:
        return channels_of(both[place], drawn[place], "all", channels=channels)

    return Drift(
        names=(source.name, other.name),
        num_pictures=(len(source), len(other)),
        classes=tuple(_classes(source, other)),
        sizes=(profiles[0].sizes, profiles[1].sizes),
        colours=(profiles[0].colours, profiles[1].colours),
        channels=(stats(0), stats(1)),
        copies=named(copies),
        near_copies=named(near_rows),
        conflicts=named(conflicts),
        test=two_sample_test(pixels[0][drawn[0]], pixels[1][drawn[1]], seed),
        seed=seed,
    )


def two_sample_test(pixels: NDArray[np.uint8], others: NDArray[np.uint8], seed: int) -> TwoSamples | None:
    """Return how well a logistic regression tells two sets apart on pictures it has not seen.

    The same number is drawn from each set, at most half of SAMPLE; half of each is fitted on: `colour_features`, their
    first 50 principal components, standardised. The test half gives the accuracy. None below 40 pictures in a set.

    Args:
        pixels, others: uint8 [N, C, 32, 32] and [M, C, 32, 32], without copies inside a set.

    Source: Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests (2017), with the exact binomial instead of the
    normal approximation, and a linear classifier.
    """
    num = min(len(pixels), len(others), SAMPLE // 2) // 2 * 2
    if num < FEWEST:
        return None
    drawn = [
        given[numpy_rng(seed, "two samples", place).permutation(len(given))[:num]]
        for place, given in enumerate((pixels, others))
    ]
    features = colour_features(np.concatenate(drawn))
    fitted = np.tile(np.arange(num) < num // 2, 2)
    answers = np.repeat([0, 1], num)
    right = int((_predicted(features, answers, fitted) == answers[~fitted]).sum())
    from scipy.stats import binom

    return TwoSamples(num, right / num, float(binom.sf(right - 1, num, 0.5)))


def _predicted(features: Features, answers: NDArray[np.int64], fitted: NDArray[np.bool_]) -> NDArray[np.int64]:
    from sklearn.linear_model import LogisticRegression

    mean = features[fitted].mean(axis=0)
    _, _, axes = np.linalg.svd(features[fitted] - mean, full_matrices=False)
    scores = (features - mean) @ axes[:_COMPONENTS].T
    scores = scores / np.maximum(scores[fitted].std(axis=0), 1e-6)
    model = LogisticRegression(max_iter=500).fit(scores[fitted], answers[fitted])
    found: NDArray[np.int64] = model.predict(scores[~fitted])
    return found


def _copies(source: Source, other: Source) -> list[tuple[int, int]]:
    theirs = {other.content[row]: row for row in first_rows(other).tolist()}
    mine = first_rows(source).tolist()
    return [(row, theirs[source.content[row]]) for row in mine if source.content[row] in theirs]


def _near(pixels: NDArray[np.uint8], others: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """(row, row of the other) of near copies between two sets, the first found for each row."""
    found = hashes(pixels), hashes(others)
    values, place = np.unique(np.concatenate(found), return_inverse=True)
    mine, theirs = place[: len(pixels)], place[len(pixels) :]
    same = np.column_stack([np.arange(len(values))] * 2)
    between = np.concatenate([same, near_pairs(values, BITS)])
    reach: dict[int, list[int]] = {}
    holders: dict[int, list[int]] = {}
    for row, value in enumerate(theirs.tolist()):
        holders.setdefault(value, []).append(row)
    for one, two in np.concatenate([between, between[len(values) :, ::-1]]).tolist():
        reach.setdefault(one, []).extend(holders.get(two, []))
    pairs = np.array(
        [(row, len(pixels) + found) for row, value in enumerate(mine.tolist()) for found in reach.get(value, [])],
        dtype=np.int64,
    ).reshape(-1, 2)
    together = np.concatenate([pixels, others])
    first: dict[int, int] = {}
    for row, theirs_row in pairs[correlations(together, pairs) >= CORRELATION].tolist():
        first.setdefault(row, theirs_row - len(pixels))
    return sorted(first.items())


def _classes(source: Source, other: Source) -> list[dict[str, Any]]:
    counts = [dict(zip(one.class_names, one.counts.tolist(), strict=True)) for one in (source, other)]
    return [
        {"name": name, "first": counts[0].get(name, 0), "other": counts[1].get(name, 0)}
        for name in dict.fromkeys((*source.class_names, *other.class_names))
    ]
