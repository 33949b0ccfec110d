"""The stage `measures`: how good, varied and new the synthetic pictures of one arm are, before and after selection.

Every number is taken in the generator's view: per class, and pooled over classes with the same number of pictures of a
class in every set, so that another mix of classes is not taken for another look. The held-out pictures are the test
part; nothing reads these numbers but the report.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.data.split import Split
from handful.errors import DataError
from handful.measure.audit import closest_pairs
from handful.measure.extractors import extractor_of, installed_extractor
from handful.measure.metrics import METRICS
from handful.measure.scale import noise_pictures, on_scale
from handful.measure.strata import Stratum, combined, stratum
from handful.nn.train import How
from handful.rng import numpy_rng
from handful.study.store import Store, read_json
from handful.study.stored import get_candidates, get_images, get_ledger

MEASURES = (
    "kernel",
    "precision",
    "recall",
    "density",
    "coverage",
    "ssim",
    "vendi",
    "near_copies",
    "authenticity",
    "data_copying",
)
COPYING = ("near_copies", "authenticity", "data_copying")
MOMENTS = ("before", "after")
MOST = 100  # candidates of a class that are measured, the first drawn
MOST_HELD_OUT = 500  # pictures of a test part, the same number of every class as far as there are any
MOST_POOLED = 200  # pictures of each set in the pooled comparison
PAIRS = 8
FILE = "measures.json"


def default_extractor() -> str:
    """Return the extractor of a study that names none: `lite0` where its weights are at hand, else `pixels`."""
    return "lite0" if installed_extractor() else "pixels"


@dataclass(frozen=True)
class Sets:
    """Training, synthetic and held-out pictures and noise, each as uint8 [N, C, H, W] and as features [N, D]."""

    pictures: Mapping[str, NDArray[np.uint8]]
    features: Mapping[str, NDArray[np.float32]]

    def take(self, **rows: NDArray[np.int64]) -> Sets:
        """Return some rows of the sets named, and the others as they are."""
        return Sets(
            {name: pixels[rows[name]] if name in rows else pixels for name, pixels in self.pictures.items()},
            {name: matrix[rows[name]] if name in rows else matrix for name, matrix in self.features.items()},
        )

    @property
    def num(self) -> dict[str, int]:
        return {name: len(pixels) for name, pixels in self.pictures.items()}


def measure_synthetic(
    spec: dict[str, Any], inputs: Mapping[str, str], store: Store, how: How, folder: Path
) -> dict[str, Any]:
    """Measure the candidates of a result of the stage `synthetic` (`before`) and those kept of them (`after`).

    Writes `measures.json`: `rows` of numbers, `audits`, and the `pairs` of kept pictures most like a copy. A number
    that cannot be taken is null, with the reason in `fault`.
    """
    extractor = extractor_of(spec["extractor"])
    images, split = get_images(store, inputs["images"]), Split(**store.arrays(inputs["split"]))
    train, test = images.take(split.train), images.take(split.test)
    test = test.take(_some_of_each(test.labels, MOST_HELD_OUT // images.num_classes, spec["seed"]))
    candidates, kept = get_candidates(store, inputs["synthetic"]), get_ledger(store, inputs["synthetic"]).kept
    shown = {
        "before": _first_of_each(candidates.labels, np.arange(len(candidates))),
        "after": _first_of_each(candidates.labels, np.flatnonzero(kept)),
    }
    used = candidates.take(np.union1d(shown["before"], shown["after"]))
    place = {row: at for at, row in enumerate(np.union1d(shown["before"], shown["after"]).tolist())}
    noise = noise_pictures(MOST_POOLED, tuple(images.pixels.shape[1:]), spec["seed"])
    pictures = {"real": train.pixels, "synthetic": used.pixels, "held_out": test.pixels, "noise": noise}
    sets = Sets(
        {name: np.asarray(pixels) for name, pixels in pictures.items()},
        {name: extractor.features(np.asarray(pixels), how.device) for name, pixels in pictures.items()},
    )
    labels = {"real": train.labels, "synthetic": used.labels, "held_out": test.labels}
    rows: list[dict[str, Any]] = []
    audits: list[dict[str, Any]] = []
    for moment in MOMENTS:
        mine = np.array([place[row] for row in shown[moment].tolist()], dtype=np.int64)
        if moment == "after" and np.array_equal(shown["before"], shown["after"]):
            rows += [{**row, "moment": moment} for row in rows]
            audits += [{**row, "moment": moment} for row in audits]
            continue
        for label, part in [*_by_class(sets, labels, mine), *_pooled(sets, labels, mine, spec["seed"])]:
            head = {"class": label, "moment": moment}
            against = part if label is not None else _against_all(sets, part)
            rows += [{**head, **row} for row in numbers(part, against, spec["seed"])]
        audits += [{**row, "moment": moment} for row in _audits(_by_class(sets, labels, mine))]
    mine = np.array([place[row] for row in shown["after"].tolist()], dtype=np.int64)
    made = {"extractor": extractor.label, "rows": rows, "audits": audits, "pairs": []}
    made["pairs"] = _pairs(sets.take(synthetic=mine), shown["after"], split.train)
    (folder / FILE).write_text(json.dumps(_finite(made), allow_nan=False), encoding="utf-8")
    return {"extractor": extractor.label}


def get_measures(store: Store, key: str) -> dict[str, Any]:
    """Return what a result of the stage `measures` holds."""
    store.record(key)
    return read_json(store.folder(key) / FILE) or {}


def numbers(sets: Sets, against: Sets, seed: int) -> list[dict[str, Any]]:
    """Return a row per measure: its value on all pictures of the sets, and on the scale, at equal sizes.

    Args:
        sets: `real`, `synthetic`, `held_out` and `noise`.
        against: the same for measures of copying, which need every training picture that could have been copied.
        seed: of the draws that bring the sets to one size.
    """
    made = []
    for name in MEASURES:
        metric, used = METRICS[name], against if name in COPYING else sets
        given: Mapping[str, NDArray[Any]] = used.pictures if metric.needs == "pictures" else used.features
        dimensions = used.features["real"].shape[1] if metric.needs == "features" else 0
        value, scaled = None, None
        fault = metric.fault(dimensions, **{side: used.num[side] for side in ("real", "synthetic", "held_out")})
        try:
            if not fault:
                value = metric.function(**{side: given[side] for side in metric.sets})
            scaled = on_scale(name, **given, seed=seed) if all(used.num.values()) else None
        except DataError as error:
            fault = str(error)
        made.append(
            {
                "measure": name,
                "value": value,
                "num_real": used.num["real"],
                "num_synthetic": used.num["synthetic"],
                "fault": fault,
                "scaled": asdict(scaled) if scaled is not None and not scaled.fault else None,
            }
        )
    return made


def _some_of_each(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Rows of at most `most` pictures of a class, 10 or more where there are as many, drawn by `seed`, in order."""
    order = numpy_rng(seed, "held out").permutation(len(labels))
    drawn = [order[labels[order] == label][: max(10, most)] for label in np.unique(labels)]
    return np.sort(np.concatenate(drawn)) if drawn else order


def _first_of_each(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows without those beyond the first MOST of a class, in order."""
    parts = [rows[labels[rows] == label][:MOST] for label in np.unique(labels[rows])]
    return np.sort(np.concatenate(parts)) if parts else rows


def _by_class(sets: Sets, labels: Mapping[str, NDArray[np.int64]], mine: NDArray[np.int64]) -> list[tuple[int, Sets]]:
    """The sets of every class that has synthetic pictures among `mine`."""
    made = []
    for label in np.unique(labels["synthetic"][mine]).tolist():
        rows = {name: np.flatnonzero(labels[name] == label) for name in ("real", "held_out")}
        made.append((label, sets.take(**rows, synthetic=mine[labels["synthetic"][mine] == label])))
    return made


def _pooled(
    sets: Sets, labels: Mapping[str, NDArray[np.int64]], mine: NDArray[np.int64], seed: int
) -> list[tuple[None, Sets]]:
    """All classes together, each with as many pictures in every set as its smallest has; nothing where none is left."""
    members: dict[str, list[NDArray[np.int64]]] = {name: [] for name in labels}
    for label in np.unique(labels["synthetic"][mine]).tolist():
        found = {name: np.flatnonzero(labels[name] == label) for name in ("real", "held_out")}
        found["synthetic"] = mine[labels["synthetic"][mine] == label]
        num = min(len(rows) for rows in found.values())
        for name, rows in found.items():
            order = numpy_rng(seed, "pooled", name, label).permutation(len(rows))
            members[name].append(rows[order[:num]])
    together = {name: np.concatenate(parts) for name, parts in members.items() if parts}
    if not together or not len(together["real"]):
        return []
    order = numpy_rng(seed, "pooled").permutation(len(together["real"]))[:MOST_POOLED]
    chosen = {name: part[order] for name, part in together.items()}
    return [(None, sets.take(**chosen, noise=np.arange(len(order))))]


def _against_all(whole: Sets, part: Sets) -> Sets:
    """A part whose pictures are compared with the whole training part."""
    return Sets({**part.pictures, "real": whole.pictures["real"]}, {**part.features, "real": whole.features["real"]})


def _audits(classes: list[tuple[int, Sets]]) -> list[dict[str, Any]]:
    """The copying audit of every class as JSON values, and of all together (class None), each with one p-value.

    All together, pictures are still compared within their class; the p-value is the smallest of three times three.
    """
    made: list[dict[str, Any]] = []
    strata: list[Stratum] = []
    for label, part in classes:
        one = stratum(**{name: part.features[name] for name in ("real", "synthetic", "held_out")})
        if one is None:
            made.append({"class": label, "p": None, "fault": "fewer than two different training pictures"})
            continue
        strata.append(one)
        made.append({"class": label, **asdict(one.audit), "num": list(one.audit.num), "p": one.audit.p})
    if not strata:
        return made
    nums = np.array([one.audit.num for one in strata])
    ps, _ = combined(strata)
    whole = {
        "near_copies": float(np.average([one.audit.near_copies for one in strata], weights=nums[:, 1])),
        "authenticity": float(np.average([one.audit.authenticity for one in strata], weights=nums[:, 1])),
        "held_out_copies": sum(one.audit.held_out_copies for one in strata),
        "num": nums.sum(axis=0).tolist(),
        "p": min(1.0, len(ps) * min(ps.values())) if ps else None,
        "fault": "" if ps else strata[0].audit.fault,
    }
    return [{"class": None, **whole}, *made]


def _pairs(sets: Sets, rows: NDArray[np.int64], train: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The kept pictures most like a copy: row among the candidates, row of the training picture in the source."""
    try:
        found = closest_pairs(real=sets.features["real"], synthetic=sets.features["synthetic"], number=PAIRS)
    except DataError:
        return []
    return [
        {
            "candidate": int(rows[one.synthetic]),
            "real": int(train[one.real]),
            "distance": one.distance,
            "ratio": one.ratio,
        }
        for one in found
    ]


def _finite(value: Any) -> Any:
    """JSON values with null for what is no finite number."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
