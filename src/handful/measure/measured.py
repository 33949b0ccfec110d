"""What `handful measure` finds, as plain records: numbers on their scale, of all pictures and of each class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from handful.measure.audit import Audit, Pair
from handful.measure.metrics import METRICS
from handful.measure.scale import Scaled

LEVEL = 0.05
TITLES = {
    "near_copies": "near copies",
    "authenticity": "authenticity",
    "data_copying": "data copying C_T",
    "novelty": "novelty",
    "kernel": "kernel distance",
    "frechet": "Fréchet distance",
    "precision": "precision",
    "density": "density",
    "fid": "FID",
    "recall": "recall",
    "coverage": "coverage",
    "vendi": "Vendi score",
    "ssim_within": "SSIM within the set",
    "inception_score": "Inception Score",
    "ssim": "SSIM, all pairs",
    "ssim_best": "SSIM, best match",
}
GROUPS = {
    "copying": ("near_copies", "authenticity", "data_copying", "novelty"),
    "fidelity": ("kernel", "frechet", "precision", "density", "fid"),
    "diversity": ("recall", "coverage", "vendi", "ssim_within", "inception_score"),
    "likeness": ("ssim", "ssim_best"),
}


@dataclass(frozen=True)
class Row:
    """One number on its scale.

    Args:
        group: copying, fidelity, diversity or likeness.
        on: what it is taken on: the extractor's label, or the pictures.
        scaled: the number and its marks.
        low, high: its 95 % interval; None where the measure has none.
    """

    group: str
    on: str
    scaled: Scaled
    low: float | None = None
    high: float | None = None

    @property
    def to_noise(self) -> float | None:
        """How far the number is on the way from the floor (0) to noise (1); below 0 it is better than the floor.

        None where there is no number, where neither direction is better, or where noise is no worse than the floor.
        """
        name, value, floor, noise = self.scaled.name, self.scaled.value, self.scaled.floor, self.scaled.noise
        if value is None or floor is None or noise is None or _better(name) == "neither":
            return None
        away = noise - floor if _better(name) == "lower" else floor - noise
        return (value - floor) / (noise - floor) if away > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values: the fields of `Scaled`, title, interval, which way is better, what it means."""
        name = self.scaled.name
        facts = METRICS["frechet" if name == "fid" else name]
        found = asdict(self.scaled) | {"title": TITLES[name], "group": self.group, "on": self.on}
        found |= {"interval": None if self.low is None else [self.low, self.high], "to_noise": self.to_noise}
        found |= {"better": facts.better, "means": facts.means, "source": facts.source}
        return found | {"beyond_copies": name != "fid" and self.scaled.beyond_copies}


@dataclass(frozen=True)
class Group:
    """The measures of some pictures: of all, or of one class.

    Args:
        name: of the class.
        num: different pictures by 'real' and 'held_out', all by 'synthetic'.
        audit: None where there are fewer than two different training pictures.
        pairs: the synthetic pictures most like a copy, each with its nearest training picture.
    """

    name: str
    num: dict[str, int]
    audit: Audit | None
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "name": self.name,
            "num": self.num,
            "audit": self.audit and {**asdict(self.audit), "p": self.audit.p},
            "rows": [row.to_json() for row in self.rows],
        }


@dataclass(frozen=True)
class Measured:
    """What was measured. Places are those in the sets as they were given.

    Args:
        whole: all pictures.
        classes: one each, for classes with real and synthetic pictures; empty unless asked for.
        verdict: 'copies' (exact ones, or more near copies than among held-out pictures), 'nearer' (to the training
            pictures than held-out ones are, and no more than that: changed copies are, and smooth pictures), 'none
            shown', or 'cannot tell' where there are no or too few held-out pictures.
        p: times three, the smallest of the p-values of `tests`; None without held-out pictures.
        smallest_p: the smallest `p` that so many pictures allow.
        tests: the p-values of near copies, authenticity and distance, compared within classes, see `strata`.
        exact: (synthetic, real) places of pixel-identical pictures.
        known: (held-out, real) places of pixel-identical pictures; they are left out of the held-out set.
        marks: 'held-out', or 'halves' where no held-out pictures are given: then the marks, and every number but those
            of copying, are taken with one half of the real pictures, and the other half sets the floor.
        repeats: pictures of a set that repeat another of the set; real and held-out ones are left out.
        drawn: pictures that distances are taken on, by set; `given`: pictures there are.
    """

    whole: Group
    classes: tuple[Group, ...]
    extractor: str
    verdict: str
    p: float | None
    smallest_p: float | None
    tests: dict[str, float]
    exact: tuple[tuple[int, int], ...]
    known: tuple[tuple[int, int], ...]
    marks: str
    repeats: dict[str, int]
    drawn: dict[str, int]
    given: dict[str, int]
    size: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        plain = (
            "extractor",
            "verdict",
            "p",
            "smallest_p",
            "tests",
            "marks",
            "repeats",
            "drawn",
            "given",
            "size",
            "seed",
        )
        return {
            **{name: getattr(self, name) for name in plain},
            "exact": [list(pair) for pair in self.exact],
            "known": [list(pair) for pair in self.known],
            "whole": self.whole.to_json(),
            "pairs": [asdict(pair) for pair in self.whole.pairs],
            "classes": [group.to_json() for group in self.classes],
        }


def _better(name: str) -> str:
    return METRICS["frechet" if name == "fid" else name].better
