"""Pictures as points in a plane, by the likeness of their features."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from handful.data.files import shown
from handful.study.result import Result

TRAIN, TEST, MADE = 0, 1, 2  # as in `handful.study.explained.PARTS`


@dataclass(frozen=True)
class Plane:
    """N points: float [N, 2], classes int64 [N], and TRAIN, TEST or MADE for each."""

    points: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    parts: NDArray[np.uint8] = field(repr=False)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many points are training pictures, test pictures and made ones."""
        train, test, made = (int((self.parts == part).sum()) for part in (TRAIN, TEST, MADE))
        return train, test, made


@dataclass(frozen=True)
class ArmPlane:
    """The plane of one arm."""

    name: str
    slug: str
    plane: Plane


@dataclass(frozen=True)
class Planes:
    """One layout of all pictures, and a layout of each classifier's own.

    Args:
        extractor: label of the features of the shared layout.
        shared: real pictures and the synthetic ones of all arms; None where the study measures nothing.
        arms: for each arm with a generator the same layout with its synthetic pictures only.
        own: by the features of the arm's own classifier, which no other shares.
    """

    extractor: str
    shared: Plane | None
    arms: tuple[ArmPlane, ...]
    own: tuple[ArmPlane, ...]


def planes_of(result: Result) -> Planes | None:
    """Return the planes of a study, None where it has none."""
    own = []
    for place, arm in enumerate(result.arms):
        for _, found in sorted(result.explained(arm).items())[:1]:
            if len(found.map_points):
                plane = Plane(found.map_points, found.map_labels, found.map_parts)
                own.append(ArmPlane(shown(arm), f"arm{place}", plane))
    made = result.embedding
    if made is None:
        return Planes("", None, (), tuple(own)) if own else None
    parts = np.select([made.origins == "train", made.origins == "test"], [TRAIN, TEST], MADE).astype(np.uint8)
    arms = []
    for place, arm in enumerate(result.arms):
        mine = made.origins == result.keys(arm, "synthetic").get(0, "")
        if mine.any():
            rows = mine | (parts != MADE)
            plane = Plane(made.points[rows], made.labels[rows], parts[rows])
            arms.append(ArmPlane(shown(arm), f"arm{place}", plane))
    return Planes(made.extractor, Plane(made.points, made.labels, parts), tuple(arms), tuple(own))
