"""Losses of a classifier: cross-entropy, weighted, focal, logit-adjusted or smoothed, of plain and of mixed labels."""

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
    (focal: Lin et al. 2017, eq. 4; logit-adjusted: Menon et al. 2021, eq. 10). With label smoothing s, the loss of the
    label is replaced by (1 - s) times it plus s / K times that of every class, each with the weight of its class
    (Szegedy et al. 2016, section 7), the divisor stays. Checked against closed forms and, where they have it,
    torchvision's and torch's own.

    Args:
        weights: float32 [K] or None.
        offset: float32 [K] added to the logits, or None.
        gamma: focusing exponent; 0: none.
        smoothing: share of the label that is spread over all classes, in [0, 1).
    """

    weights: torch.Tensor | None = None
    offset: torch.Tensor | None = None
    gamma: float = 0.0
    smoothing: float = 0.0

    @classmethod
    def of(cls, balance: Balance, counts: NDArray[np.int64], device: str = "cpu", smoothing: float = 0.0) -> Loss:
        """Return the loss of a balance for the class counts [K] of a training part."""
        weights = weights_of(balance, counts)
        offset = None
        if balance.tau:  # a class without pictures is never a label; the least prior keeps its logit finite
            offset = balance.tau * np.log(np.maximum(counts, 1) / max(1, counts.sum()))

        def tensor(array: NDArray[np.float64] | None) -> torch.Tensor | None:
            return None if array is None else torch.tensor(array, dtype=torch.float32, device=device)

        return cls(tensor(weights), tensor(offset), balance.gamma, smoothing)

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
                return F.cross_entropy(logits, labels, weight=self.weights, label_smoothing=self.smoothing)
            loss, weight = self._each(logits, labels)
            return loss.sum() / weight.sum()
        (loss, weight), (other, other_weight) = self._each(logits, labels), self._each(logits, partners)
        return (share * loss + (1 - share) * other).sum() / (share * weight + (1 - share) * other_weight).sum()

    def _each(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted loss and weight of each picture, [B] each."""
        logs = logits.log_softmax(1)
        picked = logs.gather(1, labels.unsqueeze(1)).squeeze(1)
        weight = torch.ones_like(picked) if self.weights is None else self.weights[labels]
        loss = self._focused(picked) * weight
        if self.smoothing:
            every = self._focused(logs) if self.weights is None else self._focused(logs) * self.weights
            loss = (1 - self.smoothing) * loss + self.smoothing * every.mean(1)
        return loss, weight

    def _focused(self, logs: torch.Tensor) -> torch.Tensor:
        """(1 - p)^gamma (-log p) of log p."""
        if self.gamma == 0:
            return -logs
        missing = (-torch.expm1(logs)).clamp_min(1e-8)  # 1 - p; a power below 1 has no slope at 0
        return -logs * missing**self.gamma
