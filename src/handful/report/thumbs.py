"""Small pictures with a caption, each inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 96
PLAIN = 40


@dataclass(frozen=True)
class Thumb:
    """A small picture: its file's name, `data:image/...`, and what stands below it."""

    name: str
    data: str
    note: str = ""


def thumb_data(picture: NDArray[np.uint8]) -> str:
    """Return `data:image/...` of a picture uint8 [C, H, W]: at most 96 px, PNG to 40 px, else JPEG."""
    colours = picture[0] if len(picture) == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0))
    image = Image.fromarray(colours)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    plain = max(image.size) <= PLAIN
    buffer = io.BytesIO()
    if plain:
        image.save(buffer, format="PNG", optimize=True)
    else:
        image.save(buffer, format="JPEG", quality=85)
    kind = "png" if plain else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def overlaid(picture: NDArray[np.uint8], heat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 [3, H, W]: a picture in grey, and over it its heat uint8 [H, W], yellow where it is highest."""
    from matplotlib import colormaps

    grey = picture.mean(axis=0) if len(picture) > 1 else picture[0].astype(np.float64)
    warm = colormaps["inferno"](heat)[..., :3].transpose(2, 0, 1) * 255
    share = 0.15 + 0.6 * heat / 255
    mixed = (1 - share) * (0.25 * 128 + 0.75 * grey) + share * warm
    return np.asarray(mixed.round().clip(0, 255), dtype=np.uint8)
