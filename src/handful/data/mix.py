"""MixUp and CutMix: a batch mixed with a second one, its labels with theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful.config import Recipe
from handful.data.degrade import inside
from handful.data.draws import drawn
from handful.errors import ConfigError, unknown

if TYPE_CHECKING:
    import torch

Alpha = Annotated[float, Field(ge=0, le=100)]
NAMED = {"mixup": 0.2, "cutmix": 1.0}  # what a name stands for


class Mix(Recipe):
    """How the pictures of a batch are mixed with partners from the whole training part; a name of NAMED, or fields.

    The partner of a draw comes from a second stream of batches with the same sampling, so a mixed picture does not
    depend on the batch size either.

    Args:
        mixup: the share is drawn from Beta(x, x), and the two pictures are blended (Zhang et al. 2018); 0: no mixup.
        cutmix: the same, but a box of the partner is pasted (Yun et al. 2019); 0: no cutmix. Where both are given,
            half of the pictures get each.
    """

    mixup: Alpha = 0.0
    cutmix: Alpha = 0.0

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            if given not in NAMED:
                raise ConfigError(unknown("mix", given, NAMED))
            return {given: NAMED[given]}
        return given

    @model_validator(mode="after")
    def _mixes(self) -> Mix:
        if self.mixup == self.cutmix == 0:
            raise ValueError("mix: neither mixup nor cutmix is above 0; give one, such as mixup=0.2 or cutmix=1.0")
        return self

    def apply(
        self, images: torch.Tensor, partners: torch.Tensor, draws: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mixed pictures and the share [B] in [0, 1] that each keeps of its own label.

        Args:
            images, partners: float [B, C, H, W].
            draws: float [B, NUM_DRAWS] in [0, 1), from `Draws`.
        """
        import torch

        kind, share, *place = drawn(draws, "mix").unbind(1)
        cut = kind < 0.5 if self.mixup and self.cutmix else torch.full_like(kind, bool(self.cutmix)).bool()
        alpha = np.where(cut.cpu().numpy(), self.cutmix, self.mixup)
        share = _beta(share.cpu().numpy(), alpha).to(images)
        height, width = images.shape[-2:]
        patch = inside(_boxes(share, torch.stack(place, dim=1), height, width), height, width)  # [B, 1, H, W]
        own = torch.where(cut.view(-1, 1, 1, 1), (~patch).to(images), share.view(-1, 1, 1, 1))
        return images * own + partners * (1 - own), torch.where(cut, own.mean((1, 2, 3)), share)


def _beta(uniform: NDArray[np.float32], alpha: NDArray[np.float64]) -> torch.Tensor:
    """Quantiles of Beta(alpha, alpha): the draw as a function of one uniform number."""
    import torch
    from scipy.special import betaincinv

    return torch.from_numpy(np.clip(betaincinv(alpha, alpha, uniform.astype(np.float64)), 0.0, 1.0))


def _boxes(share: torch.Tensor, centre: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """int [B, 4]: boxes of 1 - share of the area around a uniform centre, cut at the border (Yun et al. 2019)."""
    import torch

    sides = torch.tensor([width, height], device=share.device, dtype=share.dtype)
    cut = ((1 - share).sqrt().unsqueeze(1) * sides).floor()
    centre = (centre.to(share) * sides).floor()
    low = (centre - (cut / 2).floor()).clamp_min(0)
    high = torch.minimum(centre - (cut / 2).floor() + cut, sides)
    return torch.cat([low, high], dim=1).long()
