"""Augmented views of a picture that is to be told, the same ones whoever asks and whatever comes with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch

from handful import rng
from handful.data.augment import Augmentation
from handful.data.draws import NUM_DRAWS
from handful.data.symmetry import Operation
from handful.rng import MAX_SEED

# by operation: the field of Augmentation, and the axes that it mirrors
FLIPS: dict[Operation, tuple[str, tuple[int, ...]]] = {
    "horizontal flip": ("flip_horizontal", (-1,)),
    "vertical flip": ("flip_vertical", (-2,)),
}


def flips_of(images: torch.Tensor, augment: Augmentation) -> Iterator[torch.Tensor]:
    """Yield the pictures, then mirrored by each flip that `augment` allows, and by both where it has both."""
    yield images
    for axes in mirrors_of(augment).values():
        yield images.flip(axes)


def mirrors_of(augment: Augmentation) -> dict[Operation, tuple[int, ...]]:
    """Return the operations that `augment` lets keep their labels, with the axes that each mirrors; both flips turn."""
    found = {name: axes for name, (field, axes) in FLIPS.items() if getattr(augment, field)}
    return {**found, "half turn": (-1, -2)} if len(found) > 1 else found


def views_of(images: torch.Tensor, augment: Augmentation, num: int) -> Iterator[torch.Tensor]:
    """Yield the pictures themselves, then `num` augmented views of each, float [B, C, H, W] in [0, 1] each time.

    What view v of a picture is depends on the picture's content and v alone.

    Args:
        images: float [B, C, H, W], uint8 values over 255.
    """
    yield images
    pixels = (images * 255).round().to(torch.uint8).cpu().numpy()
    draws = torch.from_numpy(np.stack([_draws(picture.tobytes(), num) for picture in pixels])).to(images.device)
    for view in range(num):
        yield augment.apply(images, draws[:, view])


def _draws(content: bytes, num: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 [num, NUM_DRAWS] of a picture's own streams."""
    seed = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") & MAX_SEED
    return np.stack([rng.numpy_rng(seed, "view", view).random(NUM_DRAWS, dtype=np.float32) for view in range(num)])
