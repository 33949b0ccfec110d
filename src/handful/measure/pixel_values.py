"""The extractor that learns nothing: the values of the pixels."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from handful.config import Recipe
from handful.measure.extractor import CHUNK, Extractor, Pixels8, check_pixels, coloured
from handful.measure.feature_cache import Features, Progress
from handful.measure.resize import Resizer, resize


class Pixels(Recipe, Extractor):
    """The values themselves, in [0, 1], three channels: nothing is learnt, and nothing kept.

    Args:
        size: side that pictures are brought to before; None: as they are.
        resizer: how.
    """

    kind: Literal["pixels"] = "pixels"
    size: Annotated[int, Field(ge=1, le=1024)] | None = None
    resizer: Resizer = "bilinear"

    @property
    def label(self) -> str:
        return "pixels/rgb/as-given" if self.size is None else f"pixels/rgb/{self.resizer}{self.size}"

    def features(self, pixels: Pixels8, device: str = "cpu", *, progress: Progress | None = None) -> Features:
        import torch

        check_pixels(pixels)
        num, side = len(pixels), self.size
        height, width = (side, side) if side else pixels.shape[2:]
        made = np.empty((num, 3 * height * width), dtype=np.float32)
        for start in range(0, num, CHUNK):
            part = slice(start, start + CHUNK)
            images = coloured(torch.from_numpy(np.array(pixels[part])).to(device), 3)
            scaled = resize(images, side, self.resizer) if side else images.float()
            made[part] = (scaled / 255).flatten(1).cpu().numpy()
            if progress:
                progress(min(start + CHUNK, num), num)
        return made
