"""Dropout whose mask on a CPU takes a quarter of the random numbers that torch draws for it."""

from __future__ import annotations

import torch
from torch import nn

LEVELS = 2**16  # a rate is rounded to so many steps on a CPU


class Dropout(nn.Dropout):
    """`nn.Dropout`; on a CPU, training takes four values of a mask from each random number of 64 bits.

    Each value is dropped with probability p and the others are divided by 1 - p (Srivastava et al. 2014); on a CPU
    with p rounded to a multiple of 2^-16, from torch's global stream. torch draws one number a value there, a third
    of a step of a small network. Elsewhere, while evaluating and for other layouts it is torch's own. Checked for the
    share, the independence of neighbours and the gradient.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the same shape, dtype and layout."""
        dropped = round(self.p * LEVELS)
        if not self.training or self.inplace or input.device.type != "cpu" or not 0 < dropped < LEVELS:
            return super().forward(input)
        mask = torch.empty_like(input)
        num = input.numel()
        if not num or not _dense(mask):
            return super().forward(input)
        words = torch.empty((num + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        stays = words.view(torch.int16)[:num] >= dropped - LEVELS // 2
        mask.as_strided((num,), (1,)).copy_(stays)
        return input * mask.mul_(LEVELS / (LEVELS - dropped))


def _dense(tensor: torch.Tensor) -> bool:
    """Whether its values fill one block of memory."""
    return tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
