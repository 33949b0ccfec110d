"""Classical augmentation of whole batches on the device: one readable recipe, one warp, one pass of colour.

The random numbers of a picture are named by (seed, epoch, slot), see `handful.data.draws`: the same picture in the same
epoch is augmented the same way for any batch size and on any engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful import rng
from handful.config import Recipe
from handful.data.colour import jitter
from handful.data.degrade import blur, erase, erasing_boxes
from handful.data.draws import Draws, drawn
from handful.data.images import LabeledImages, Origin
from handful.data.policies import AnyPolicy, TrivialAugment
from handful.data.warp import affine, homography, rotations, translations, warp
from handful.errors import ConfigError, unknown

if TYPE_CHECKING:
    import torch

Fraction = Annotated[float, Field(ge=0, le=1)]
Span = tuple[Fraction, Fraction]
Degrees = Annotated[float, Field(ge=0, le=60)]
Factor = Annotated[float, Field(gt=0, le=10)]
CACHED = 32  # pictures of a batch that a CPU's cache holds through all the passes over them


class Augmentation(Recipe):
    """Random rotation, perspective and colour jitter, and more where asked for; flips only where asked for.

    `Augmentation.preset("strong")` is a row of PRESETS; in a study file `augment = "strong"`, or a table of fields
    that may start from one: `augment = { from = "strong", flip_horizontal = true }`.

    Args:
        rotation: largest angle in degrees, either way; what comes in from outside is the reflected picture.
        perspective: smallest and largest shift of the corners, as a fraction of the side (0, 0: none).
        brightness, contrast, saturation: factors are drawn from [1 - x, 1 + x].
        hue: shift drawn from [-x, x], in turns of the colour circle (0.5 is the whole circle).
        flip_horizontal, flip_vertical: flip half of the pictures; unsafe where a class is another one's mirror image.
        flip_diagonal: mirror half of the pictures, which must be square, at the diagonal from the upper left (their
            transpose); with both other flips each of the eight turned and mirrored pictures (D4) is as likely.
        shift: largest shift right, left, up or down, as a fraction of the side.
        zoom: smallest and largest factor of the size; above 1 the picture grows.
        shear: largest angle in degrees along each axis.
        crop: a random crop of the picture padded by this fraction of its side, in whole pixels (0.125: 4 of 32).
        policy: `randaugment` or `trivialaugment`, after colour.
        blur: smallest and largest sigma of a Gaussian, in pixels (0, 0: none).
        erase: smallest and largest share of the picture that a box covers with the mean colour (0, 0: none).
        erase_ratio: smallest and largest height / width of that box; (1, 1) is cutout.
        probability: chance of each of rotation, perspective, colour and affine (shift, zoom, shear), per picture.
        blur_probability, erase_probability: chance of these, per picture.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    perspective: Span = (0.0, 0.1)
    brightness: Fraction = 0.2
    contrast: Fraction = 0.2
    saturation: Fraction = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    flip_horizontal: bool = False
    flip_vertical: bool = False
    flip_diagonal: bool = False
    shift: Fraction = 0.0
    zoom: tuple[Factor, Factor] = (1.0, 1.0)
    shear: Degrees = 0.0
    crop: Fraction = 0.0
    policy: AnyPolicy | None = None
    blur: tuple[Annotated[float, Field(ge=0, le=10)], Annotated[float, Field(ge=0, le=10)]] = (0.0, 0.0)
    erase: Span = (0.0, 0.0)
    erase_ratio: tuple[Factor, Factor] = (0.3, 3.3)
    probability: Fraction = 1.0
    blur_probability: Fraction = 0.5
    erase_probability: Fraction = 0.5

    @classmethod
    def preset(cls, name: str, /, **fields: Any) -> Augmentation:
        """Return a row of PRESETS with some fields changed.

        Raises:
            ConfigError: no such row, or an impossible field.
        """
        return cls(**{**_preset(name), **fields})

    @model_validator(mode="before")
    @classmethod
    def _presets(cls, given: Any) -> Any:
        if isinstance(given, str):
            return _preset(given)
        if isinstance(given, Mapping) and "from" in given:
            return {**_preset(str(given["from"])), **{name: given[name] for name in given if name != "from"}}
        return given

    @model_validator(mode="after")
    def _ranges(self) -> Augmentation:
        faults = [
            f"{name} is {list(getattr(self, name))}: the smallest comes first"
            for name in ("perspective", "zoom", "blur", "erase", "erase_ratio")
            if getattr(self, name)[0] > getattr(self, name)[1]
        ]
        if faults:
            raise ConfigError(*faults)
        return self

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Return augmented pictures, float [B, C, H, W] in [0, 1].

        Args:
            images: uint8 [B, C, H, W], or float in [0, 1].
            draws: float [B, NUM_DRAWS] in [0, 1), from `Draws`.
        """
        import torch

        matrices = self.homographies(draws, images.shape[-2], images.shape[-1])
        if images.device.type != "cpu" or len(images) <= CACHED:
            return self._apply(images, draws, matrices)
        starts = range(0, len(images), CACHED)
        return torch.cat([self._apply(*(part[i : i + CACHED] for part in (images, draws, matrices))) for i in starts])

    def _apply(self, images: torch.Tensor, draws: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
        images = warp(images if images.is_floating_point() else images.float().div_(255), matrices)
        if self.brightness or self.contrast or self.saturation or self.hue:
            chosen = (drawn(draws, "colour chosen") < self.probability).to(images.dtype)
            spread = drawn(draws, "colour") * 2 - 1
            images = jitter(
                images,
                brightness=1 + spread[:, 0] * self.brightness * chosen,
                contrast=1 + spread[:, 1] * self.contrast * chosen,
                saturation=1 + spread[:, 2] * self.saturation * chosen,
                hue=spread[:, 3] * self.hue * chosen,
            )
        if self.policy is not None:
            images = self.policy.apply(images, drawn(draws, "policy"))
        if self.blur[1] > 0:
            chance, width = drawn(draws, "blur").unbind(1)
            sigma = (self.blur[0] + (self.blur[1] - self.blur[0]) * width) * (chance < self.blur_probability)
            images = blur(images, sigma, math.ceil(3 * self.blur[1]))
        if self.erase[1] > 0:
            erasing = drawn(draws, "erasing")
            boxes = erasing_boxes(erasing[:, 1:], images.shape[-2], images.shape[-1], self.erase, self.erase_ratio)
            images = erase(images, boxes * (erasing[:, :1] < self.erase_probability))
        return images

    def homographies(self, draws: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return float [B, 3, 3], from output to input positions in pixels relative to the picture's centre."""
        import torch

        rotated = (drawn(draws, "rotation chosen") < self.probability).to(draws.dtype)
        turn = rotations((drawn(draws, "angle") * 2 - 1) * math.radians(self.rotation) * rotated)
        for place, wanted in enumerate((self.flip_horizontal, self.flip_vertical)):
            if wanted:
                turn[:, :, place] *= torch.where(drawn(draws, "flips")[:, place] < 0.5, -1.0, 1.0)[:, None]
        if self.flip_diagonal and height != width:
            raise ConfigError(f"flip_diagonal: pictures must be square, got {height} x {width} px")
        if self.flip_diagonal:  # the second half of a number that chose a flip: its first bit is spent
            diagonal = (drawn(draws, "flips")[:, 0] * 2) % 1 < 0.5
            turn = torch.where(diagonal[:, None, None], turn[:, :, [1, 0, 2]], turn)
        sides = torch.tensor([width, height], device=draws.device, dtype=draws.dtype)
        if self.shift or self.shear or self.zoom != (1.0, 1.0):
            chosen = (drawn(draws, "affine chosen") < self.probability).to(draws.dtype)
            low, high = (math.log(factor) for factor in self.zoom)
            turn = turn @ affine(
                (drawn(draws, "shift") * 2 - 1) * self.shift * sides * chosen[:, None],
                torch.exp((low + (high - low) * drawn(draws, "zoom")) * chosen),
                (drawn(draws, "shear") * 2 - 1) * math.radians(self.shear) * chosen[:, None],
            )
        low, high = self.perspective
        if high > 0:
            depth = (low + (high - low) * drawn(draws, "depth")) * (
                drawn(draws, "perspective chosen") < self.probability
            )
            inward = drawn(draws, "corners").reshape(-1, 4, 2) * depth[:, None, None]  # each corner moves inwards
            signs = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], device=draws.device)
            corners = (signs * sides / 2).expand(len(draws), 4, 2)
            turn = turn @ homography(corners, corners * (1 - inward))
        if self.crop:
            most = (self.crop * sides).round()
            turn = turn @ translations((drawn(draws, "crop") * (2 * most + 1)).floor() - most)
        return turn


NO_COLOUR: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
NOTHING: dict[str, Any] = {**NO_COLOUR, "rotation": 0.0, "perspective": (0.0, 0.0)}
PRESETS: dict[str, dict[str, Any]] = {
    "light": {
        "rotation": 7.0,
        "perspective": (0.0, 0.05),
        "brightness": 0.1,
        "contrast": 0.1,
        "saturation": 0.1,
        "hue": 0.0,
    },
    "medium": {},  # the defaults
    "strong": {
        "rotation": 20.0,
        "perspective": (0.0, 0.15),
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.05,
        "shift": 0.1,
        "zoom": (0.8, 1.25),
        "shear": 8.0,
        "erase": (0.02, 0.2),
    },
    # for test pictures of another day, distance or camera; its blur is for 64 px
    "heavy": {
        "rotation": 15.0,
        "perspective": (0.0, 0.25),
        "brightness": 0.5,
        "contrast": 0.5,
        "saturation": 0.6,
        "hue": 0.05,
        "shift": 0.15,
        "zoom": (0.6, 1.5),
        "shear": 10.0,
        "blur": (0.2, 2.0),
        "erase": (0.02, 0.2),
    },
    # 15 degrees reflected, slight jitter, perspective of 5 to 10 %, every transform on every picture
    "s1": {
        "rotation": 15.0,
        "perspective": (0.05, 0.1),
        "brightness": 0.1,
        "contrast": 0.1,
        "saturation": 0.1,
        "hue": 0.02,
    },
    # the usual recipe of a Keras image generator, its flip left out
    "s3": {**NOTHING, "rotation": 15.0, "shift": 0.1, "zoom": (0.9, 1.1)},
    "crop": {**NOTHING, "crop": 0.125},
    "cutout": {**NOTHING, "erase": (0.25, 0.25), "erase_ratio": (1.0, 1.0), "erase_probability": 1.0},
    "randaugment": {**NOTHING, "policy": "randaugment"},
    "trivialaugment": {**NOTHING, "policy": TrivialAugment()},
}


def _preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise ConfigError(unknown("augmentation preset", name, PRESETS))
    return dict(PRESETS[name])


def augmented_copies(images: LabeledImages, rows: NDArray[np.int64], recipe: Augmentation, seed: int) -> LabeledImages:
    """Return one augmented copy of the picture at each of `rows` (int [M], repeats allowed), made once.

    The copies are synthetic: their maker is the digest of the recipe, their parent the row of the picture they came
    from, and the c-th copy of the picture at position i is the draw (seed, epoch c, slot i).
    """
    import torch

    rows = np.asarray(rows, dtype=np.int64)
    copy = np.zeros(len(rows), dtype=np.int64)
    seen: dict[int, int] = {}
    for place, row in enumerate(rows.tolist()):
        copy[place] = seen.get(row, 0)
        seen[row] = copy[place] + 1
    seed = rng.derive(seed, "copies")
    draws = Draws(len(images), seed)
    made = np.empty((len(rows), *images.pixels.shape[1:]), dtype=np.uint8)
    for number in np.unique(copy):
        chosen = np.flatnonzero(copy == number)
        for places in np.array_split(chosen, math.ceil(len(chosen) / 256)):
            floats = torch.from_numpy(images.pixels[rows[places]]).float() / 255
            out = recipe.apply(floats, draws.at(copy[places], rows[places]))
            made[places] = (out * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    seeds = [rng.derive(seed, "copy", int(row), int(number)) for row, number in zip(rows, copy, strict=True)]
    origin = Origin.of_synthetic(made, recipe.digest(), seeds, images.origin.parent[rows].tolist())
    return LabeledImages(made, images.labels[rows], images.class_names, origin)
