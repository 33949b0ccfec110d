"""Everything `handful measure` says about synthetic pictures beside real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.images import LabeledImages, content_of
from handful.errors import DataError
from handful.measure.audit import Audit, closest_pairs
from handful.measure.extractor import Extractor
from handful.measure.extractors import extractor_of
from handful.measure.feature_cache import Features, Progress
from handful.measure.kernel import kernel_estimate
from handful.measure.measured import GROUPS, LEVEL, Group, Measured, Row
from handful.measure.metrics import METRICS
from handful.measure.pretrained import Inception
from handful.measure.scale import Scaled, noise_pictures, on_scale
from handful.measure.strata import Stratum, combined, stratum
from handful.rng import numpy_rng

MOST, MOST_REAL = 1000, 5000
MOST_SSIM, SOME_SSIM = 200, 64
MOST_NOISE = 500
PAIRS = 24
CHUNK = 64
FID = Inception()


@dataclass(frozen=True)
class _Set:
    """Pictures of one role: where they were given, pixels, labels, features, class probabilities or an empty matrix."""

    places: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    features: Features
    probabilities: NDArray[np.float64]

    def take(self, rows: NDArray[Any]) -> _Set:
        chosen = self.probabilities[rows] if len(self.probabilities) else self.probabilities
        return _Set(self.places[rows], self.pixels[rows], self.labels[rows], self.features[rows], chosen)

    def of(self, label: int) -> _Set:
        return self.take(np.flatnonzero(self.labels == label))

    def __len__(self) -> int:
        return len(self.places)


def measure_sets(
    real: LabeledImages,
    synthetic: LabeledImages,
    held_out: LabeledImages | None = None,
    *,
    extractor: str | Extractor = "lite0",
    per_class: bool = False,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> Measured:
    """Return how lifelike, how varied and how new synthetic pictures are, every number on its scale.

    Exact copies are searched among all pictures, near ones of at most 1,000 synthetic among at most 5,000 real ones;
    other distances are taken on at most 1,000 pictures of each set, SSIM on at most 200, drawn by `seed`. Real and
    held-out pictures that are there more than once count once, and held-out ones that are in `real` are left out.

    Args:
        real: what the generator was trained on: at least two different pictures.
        synthetic: at least one, of the same shape and class names.
        held_out: real pictures that the generator never saw, or None.
        extractor: a name in EXTRACTORS, 'inception/LAYER', 'timm:NAME', or an extractor.
        per_class: measure every class on its own, too.
        device: torch device.
        progress: called with (pictures done, pictures in all) while features are computed.

    Raises:
        DataError: shapes or class names that differ, or too few pictures.
        ConfigError: an unknown extractor.
        WeightsError: its weights are not to be had.
    """
    given = {"real": real, "synthetic": synthetic} | ({} if held_out is None else {"held_out": held_out})
    _check(given)
    chosen = extractor_of(extractor)
    once = {role: np.arange(len(images)) if role == "synthetic" else _once(images) for role, images in given.items()}
    if len(once["real"]) < 2:
        raise DataError(f"measuring needs two different real pictures, got {len(real)} pictures, all alike")
    exact = _shared(synthetic, real)
    known = _shared(held_out, real) if held_out is not None else ()
    if held_out is not None:
        first = {place for place, _ in known}
        once["held_out"] = np.array([place for place in once["held_out"] if place not in first], dtype=np.int64)
    drawn = {role: _drawn(rows, MOST_REAL if role == "real" else MOST, seed, role) for role, rows in once.items()}
    fewest = min(len(rows) for rows in drawn.values() if len(rows))
    noise = noise_pictures(min(MOST_NOISE, fewest), real.pixels.shape[1:], seed)
    seen = _seen(chosen, {role: given[role].pixels[rows] for role, rows in drawn.items()}, noise, device, progress)
    sets = {
        role: _Set(rows, given[role].pixels[rows], given[role].labels[rows], *seen[role])
        for role, rows in drawn.items()
    }
    sets["noise"] = _Set(np.arange(len(noise)), noise, np.full(len(noise), -1), *seen["noise"])
    marks = "held-out" if held_out is not None and len(sets["held_out"]) else "halves"
    num = {role: len(rows) for role, rows in once.items()}
    whole = _group("", sets, num, marks, chosen.label, PAIRS, seed)
    labels = np.unique(sets["synthetic"].labels).tolist() if real.num_classes > 1 else []
    groups: list[Group] = []
    strata = [_stratum(sets)] if not labels else []
    for label in labels:
        own = {role: one if role == "noise" else one.of(label) for role, one in sets.items()}
        strata.append(_stratum(own))
        if per_class and len(own["real"]):
            counts = {role: int((given[role].labels[rows] == label).sum()) for role, rows in once.items()}
            groups.append(_group(real.class_names[label], own, counts, marks, chosen.label, 6, seed))
    tests, least = combined([one for one in strata if one])
    p, smallest = (min(1.0, 3 * min(tests.values())), min(1.0, 3 * least)) if tests else (None, None)
    return Measured(
        whole=whole,
        classes=tuple(groups),
        extractor=chosen.label,
        verdict=_verdict(tests, smallest, len(exact)),
        p=p,
        smallest_p=smallest,
        tests=tests,
        exact=exact,
        known=known,
        marks=marks,
        repeats={role: len(images) - len(_once(images)) for role, images in given.items()},
        drawn={role: len(rows) for role, rows in drawn.items()},
        given={role: len(images) for role, images in given.items()},
        size=real.pixels.shape[-1],
        seed=seed,
    )


def _check(given: dict[str, LabeledImages]) -> None:
    shapes = {role: list(images.pixels.shape[1:]) for role, images in given.items()}
    faults = []
    if len(set(map(tuple, shapes.values()))) > 1:
        faults.append(f"measuring needs pictures of one shape, got {', '.join(f'{k} {v}' for k, v in shapes.items())}")
    if len({images.class_names for images in given.values()}) > 1:
        faults.append("measuring needs sets with the same class names in the same order")
    faults += [f"measuring: the {role} set is empty" for role in ("real", "synthetic") if not len(given[role])]
    if faults:
        raise DataError(*faults)


def _once(images: LabeledImages) -> NDArray[np.int64]:
    """The first place of every different picture, in order."""
    return np.sort(np.unique(images.origin.content, return_index=True)[1]).astype(np.int64)


def _shared(images: LabeledImages, real: LabeledImages) -> tuple[tuple[int, int], ...]:
    """(place, place in `real`) of pictures that are the same as an original, or at the size they are compared at."""
    known: dict[bytes, int] = {}
    for contents in (real.origin.content, content_of(real.pixels)):
        for place, content in enumerate(contents.tolist()):
            known.setdefault(content, place)
    pairs = zip(images.origin.content.tolist(), content_of(images.pixels).tolist(), strict=True)
    found = ((place, known.get(original, known.get(shown))) for place, (original, shown) in enumerate(pairs))
    return tuple((place, other) for place, other in found if other is not None)


def _drawn(rows: NDArray[np.int64], most: int, seed: int, role: str) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(numpy_rng(seed, "measure", role).choice(rows, most, replace=False))


def _seen(
    extractor: Extractor,
    pixels: dict[str, NDArray[np.uint8]],
    noise: NDArray[np.uint8],
    device: str,
    progress: Progress | None,
) -> dict[str, tuple[Features, NDArray[np.float64]]]:
    """Features of every set, and class probabilities where the extractor is the network of the Inception Score."""
    pixels = pixels | {"noise": noise}
    extractors = [extractor]
    if isinstance(extractor, Inception):
        extractors.append(Inception(layer="logits_unbiased"))
    total, done = len(extractors) * sum(map(len, pixels.values())), 0
    made: dict[str, list[Features]] = {role: [] for role in pixels}
    for one in extractors:
        for role, pictures in pixels.items():
            parts = []
            for start in range(0, max(1, len(pictures)), CHUNK):
                parts.append(one.features(pictures[start : start + CHUNK], device))
                done += len(parts[-1])
                if progress:
                    progress(done, total)
            made[role].append(np.concatenate(parts))
    return {role: (given[0], _softmax(given[1]) if given[1:] else np.zeros((0, 0))) for role, given in made.items()}


def _softmax(logits: Features) -> NDArray[np.float64]:
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _stratum(sets: dict[str, _Set]) -> Stratum | None:
    held_out = sets["held_out"].features if "held_out" in sets else None
    return stratum(real=sets["real"].features, synthetic=sets["synthetic"].features, held_out=held_out)


@dataclass(frozen=True)
class _Scene:
    """What a row needs: the sets, those that play on the scale (see `marks`), their audit, and what all rows share."""

    sets: dict[str, _Set]
    played: dict[str, _Set]
    audit: Audit | None
    label: str
    marks: str
    seed: int


def _group(
    name: str, sets: dict[str, _Set], num: dict[str, int], marks: str, label: str, most: int, seed: int
) -> Group:
    looked = _stratum(sets)
    found = looked.audit if looked else None
    played, real, made = dict(sets), sets["real"], sets["synthetic"]
    if marks == "halves":
        order = numpy_rng(seed, "measure", "halves").permutation(len(real))
        cut = (len(order) + 1) // 2
        played["real"], played["held_out"] = (real.take(np.sort(part)) for part in (order[:cut], order[cut:]))
    played["real"] = played["real"].take(_drawn(np.arange(len(played["real"])), MOST, seed, "scale"))
    scene = _Scene(sets, played, found, label, marks, seed)
    rows = [
        _row(group, measure, scene)
        for group, measures in GROUPS.items()
        for measure in measures
        if not (name and measure in ("fid", "inception_score"))
    ]
    pairs = closest_pairs(real=real.features, synthetic=made.features, number=most) if found else []
    placed = [
        replace(pair, synthetic=int(made.places[pair.synthetic]), real=int(real.places[pair.real])) for pair in pairs
    ]
    return Group(name, num, found, tuple(rows), tuple(placed))


def _row(group: str, name: str, scene: _Scene) -> Row:
    """One measure on its scale; a measure that refuses its pictures is a row that says why."""
    if name == "fid" and scene.label == FID.label:
        made = _row(group, "frechet", scene)
        return replace(made, scaled=replace(made.scaled, name=name))
    if name == "fid":
        return _without(group, name, FID.label, scene, _where_weights())
    if name == "inception_score" and not scene.label.startswith("inception/"):
        return _without(group, name, Inception(layer="logits_unbiased").label, scene, _where_weights())
    metric = METRICS[name]
    on = {"features": scene.label, "probabilities": Inception(layer="logits_unbiased").label}
    where = on.get(metric.needs, f"pictures, {scene.sets['real'].pixels.shape[-1]} px")
    if "held_out" in metric.sets and scene.marks == "halves":
        return _without(group, name, where, scene, "needs held-out real pictures, which the generator never saw")
    fewest = min(map(len, scene.played.values()))
    given = {role: _values(one, metric.needs, fewest, scene.seed, role) for role, one in scene.played.items()}
    try:
        scaled = on_scale(name, seed=scene.seed, **given)
    except DataError as error:
        return _without(group, name, where, scene, str(error))
    if scaled.fault and not scaled.fault.startswith("rank") and scaled.num_synthetic < len(given["synthetic"]):
        smallest = ", ".join(f"{len(one)} {role.replace('_', '-')}" for role, one in given.items())
        scaled = replace(scaled, fault=f"{scaled.fault}; all sets are cut to the smallest of {smallest}")
    if name in ("near_copies", "authenticity") and scene.audit is not None:
        value, (num_real, num_made, _) = getattr(scene.audit, name), scene.audit.num
        return Row(group, where, replace(scaled, value=value, num_real=num_real, num_synthetic=num_made, fault=""))
    if name != "kernel" or scaled.value is None:
        return Row(group, where, scaled)
    sure = kernel_estimate(real=given["real"], synthetic=given["synthetic"])
    scaled = replace(scaled, value=sure.value, num_synthetic=len(given["synthetic"]))
    known = isfinite(sure.standard_error)
    return Row(group, where, scaled, sure.low if known else None, sure.high if known else None)


def _without(group: str, name: str, on: str, scene: _Scene, why: str) -> Row:
    nums = len(scene.played["real"]), len(scene.played["synthetic"])
    return Row(group, on, Scaled(name, None, None, None, None, *nums, 0, why))


def _values(one: _Set, needs: str, fewest: int, seed: int, role: str) -> NDArray[Any]:
    """What a measure takes of a set: for SSIM, which is slow, at most MOST_SSIM pictures, and of the sets that change
    places no more than the smallest has, though not below SOME_SSIM."""
    if needs == "features":
        return one.features
    if needs == "probabilities":
        return one.probabilities
    most = MOST_SSIM if role == "real" else max(SOME_SSIM, min(MOST_SSIM, fewest))
    return one.pixels[_drawn(np.arange(len(one)), most, seed, f"ssim {role}")]


def _where_weights() -> str:
    from handful.nn.inception import ORIGIN
    from handful.nn.weight_files import weights_dir

    folder = weights_dir()
    if any((folder / file).is_file() for file in ORIGIN.files):
        return "its weights are here: measure with the extractor inception"
    return f"no weights: put {ORIGIN.url} into {folder} as {ORIGIN.files[0]}, then measure with the extractor inception"


def _verdict(tests: dict[str, float], smallest: float | None, exact: int) -> str:
    """Smooth pictures are near to all others, so only a ratio, near to one and not to the next, makes a copy."""
    if exact or 3 * tests.get("near_copies", 1) <= LEVEL:
        return "copies"
    if tests and 3 * min(tests.values()) <= LEVEL:
        return "nearer"
    return "none shown" if smallest is not None and smallest <= LEVEL else "cannot tell"
