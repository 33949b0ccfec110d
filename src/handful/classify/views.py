"""Augmented views of a picture that is to be told, the same ones whoever asks and whatever comes with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from handful import rng
from handful.data.augment import Augmentation
from handful.data.draws import NUM_DRAWS
from handful.data.symmetry import OPERATIONS, Operation
from handful.rng import MAX_SEED

STRAIGHT: tuple[Operation, ...] = ("horizontal flip", "vertical flip")
Change = Callable[[torch.Tensor], torch.Tensor]
# by operation: the field of Augmentation, and what it does
FLIPS: dict[Operation, tuple[str, Change]] = {
    "horizontal flip": ("flip_horizontal", lambda images: images.flip(-1)),
    "vertical flip": ("flip_vertical", lambda images: images.flip(-2)),
    "diagonal flip": ("flip_diagonal", lambda images: images.transpose(-1, -2)),
}


def flips_of(images: torch.Tensor, augment: Augmentation) -> Iterator[torch.Tensor]:
    """Yield the pictures, then changed by each flip that `augment` allows and by what these make together.

    All three flips give the eight of the dihedral group D4.
    """
    changes = _changes(augment)
    for chosen in range(num_flips(augment)):
        view = images
        for place, change in enumerate(changes):
            view = change(view) if chosen >> place & 1 else view
        yield view


def num_flips(augment: Augmentation) -> int:
    """Return how many pictures `flips_of` yields for each."""
    return int(2 ** len(_changes(augment)))


def flips_allowed(augment: Augmentation) -> set[Operation]:
    """Return the operations that `augment` lets keep their labels, with those that they make together.

    Both straight flips make a half turn; the diagonal one and a straight one make everything.
    """
    found: set[Operation] = {name for name, (field, _) in FLIPS.items() if getattr(augment, field)}
    if "diagonal flip" in found and len(found) > 1:
        return set(OPERATIONS)
    return found | {"half turn"} if found.issuperset(STRAIGHT) else found


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


def _changes(augment: Augmentation) -> list[Change]:
    return [change for field, change in FLIPS.values() if getattr(augment, field)]


def _draws(content: bytes, num: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 [num, NUM_DRAWS] of a picture's own streams."""
    seed = int.from_bytes(hashlib.sha256(content).digest()[:8], "big") & MAX_SEED
    return np.stack([rng.numpy_rng(seed, "view", view).random(NUM_DRAWS, dtype=np.float32) for view in range(num)])
