"""Losses of a classifier: cross-entropy, weighted, focal or logit-adjusted, of plain and of mixed labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from handful.data.balance import Balance, weights_of


@dataclass(frozen=True)
class Loss:
    """The mean loss of a batch, each picture weighted by its class.

    With the probability p of the label, logits z and class weights w:
    L = sum w_y (1 - p_y)^gamma (-log p_y) / sum w_y, p = softmax(z + tau log prior)
    (focal: Lin et al. 2017, eq. 4; logit-adjusted: Menon et al. 2021, eq. 10). Checked against closed forms and, where
    they have it, torchvision's and torch's own.

    Args:
        weights: float32 [K] or None.
        offset: float32 [K] added to the logits, or None.
        gamma: focusing exponent; 0: none.
    """

    weights: torch.Tensor | None = None
    offset: torch.Tensor | None = None
    gamma: float = 0.0

    @classmethod
    def of(cls, balance: Balance, counts: NDArray[np.int64], device: str = "cpu") -> Loss:
        """Return the loss of a balance for the class counts [K] of a training part."""
        weights = weights_of(balance, counts)
        offset = None
        if balance.tau:  # a class without pictures is never a label; the least prior keeps its logit finite
            offset = balance.tau * np.log(np.maximum(counts, 1) / max(1, counts.sum()))

        def tensor(array: NDArray[np.float64] | None) -> torch.Tensor | None:
            return None if array is None else torch.tensor(array, dtype=torch.float32, device=device)

        return cls(tensor(weights), tensor(offset), balance.gamma)

    def __call__(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        partners: torch.Tensor | None = None,
        share: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the scalar loss.

        Args:
            logits: float [B, K].
            labels: int64 [B].
            partners, share: of mixed pictures, the partner's label [B] and the share [B] of the own one.
        """
        logits = logits if self.offset is None else logits + self.offset
        if partners is None or share is None:
            if self.gamma == 0:
                return F.cross_entropy(logits, labels, weight=self.weights)
            loss, weight = self._each(logits, labels)
            return loss.sum() / weight.sum()
        (loss, weight), (other, other_weight) = self._each(logits, labels), self._each(logits, partners)
        return (share * loss + (1 - share) * other).sum() / (share * weight + (1 - share) * other_weight).sum()

    def _each(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted loss and weight of each picture, [B] each."""
        picked = logits.log_softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1)
        weight = torch.ones_like(picked) if self.weights is None else self.weights[labels]
        if self.gamma == 0:
            return -picked * weight, weight
        missing = (-torch.expm1(picked)).clamp_min(1e-8)  # 1 - p; a power below 1 has no slope at 0
        return -picked * missing**self.gamma * weight, weight
