"""What a resize policy does to pictures that are not square: deformed, cut off, or filled up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handful.data.decode import padded_sides
from handful.data.images import ResizePolicy, View

MEASURES: dict[ResizePolicy, str] = {
    "stretch": "aspect ratio changed by a factor of",
    "crop": "share of the area cut off",
    "pad": "share of the area filled with the mean colour",
}


@dataclass(frozen=True, eq=False)
class Distortion:
    """What a view does to N pictures.

    Args:
        resize: the policy.
        measure: what the numbers are, in words.
        per_picture: float64 [N]; stretch: a factor of at least 1, longer side over shorter side; crop: in [0, 1), the
            share of the picture's area outside the centre square; pad: in [0, 1), the share of the view's area that is
            not picture. Square pictures have 1, 0, 0.
        enlarged: bool [N], pictures of fewer pixels than the view shows them with along their longer side (pad) or
            their shorter side (stretch, crop), which adds pixels but no detail.
    """

    resize: ResizePolicy
    measure: str
    per_picture: NDArray[np.float64]
    enlarged: NDArray[np.bool_]

    def summary(self) -> dict[str, float]:
        """Return median, 90th percentile and max over the pictures, and the fractions undistorted and enlarged."""
        none = 1.0 if self.resize == "stretch" else 0.0
        return {
            "median": float(np.median(self.per_picture)),
            "p90": float(np.percentile(self.per_picture, 90)),
            "max": float(self.per_picture.max()),
            "undistorted_fraction": float((self.per_picture == none).mean()),
            "enlarged_fraction": float(self.enlarged.mean()),
        }


def distortion(sizes: NDArray[np.int64], view: View) -> Distortion:
    """Return what a view does to pictures of these sizes; nothing is decoded.

    Args:
        sizes: int64 [N, 2], width and height, each at least 1; N at least 1.
        view: size and policy.
    """
    shorter, longer = sizes.min(axis=1), sizes.max(axis=1)
    if view.resize == "stretch":
        found = longer / shorter
    elif view.resize == "crop":
        found = 1 - shorter / longer
    else:
        sides = [padded_sides(width, height, view.size) for width, height in sizes.tolist()]
        found = 1 - np.array(sides, dtype=np.float64).prod(axis=1) / view.size**2
    side = longer if view.resize == "pad" else shorter
    return Distortion(view.resize, MEASURES[view.resize], found.astype(np.float64), side < view.size)
