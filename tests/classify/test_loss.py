"""Label smoothing, alone and with what else a loss may have, against torch and the sum written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from handful.classify.loss import Loss

STREAM = torch.Generator().manual_seed(0)
LOGITS = torch.randn(9, 4, generator=STREAM, dtype=torch.float64)
LABELS = torch.arange(9) % 4
PARTNERS = LABELS.roll(1)
WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)
OFFSET = torch.tensor([0.1, -0.3, 0.0, 0.7], dtype=torch.float64)
SHARE = torch.linspace(0, 1, 9, dtype=torch.float64)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_smoothed_labels_are_those_of_pytorch(smoothing, weights):
    expected = F.cross_entropy(LOGITS, LABELS, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(Loss(weights=weights, smoothing=smoothing)(LOGITS, LABELS), expected)
    own = torch.ones(9, dtype=torch.float64)  # the way of mixed and of focused losses, with nothing mixed
    mixed = Loss(weights=weights, smoothing=smoothing)(LOGITS, LABELS, PARTNERS, own)
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 0.5])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("offset", [None, OFFSET])
def test_smoothing_goes_with_weights_focus_priors_and_mixed_labels(offset, weights, gamma):
    probs = (LOGITS if offset is None else LOGITS + offset).softmax(1)
    weight = torch.ones(4, dtype=torch.float64) if weights is None else weights
    smoothing, total, divisor = 0.2, 0.0, 0.0
    for row in range(9):
        for label, share in ((LABELS[row], SHARE[row]), (PARTNERS[row], 1 - SHARE[row])):
            target = torch.full((4,), smoothing / 4, dtype=torch.float64)
            target[label] += 1 - smoothing
            p = probs[row]
            total += share * (target * weight * (1 - p) ** gamma * -p.log()).sum()
            divisor += share * weight[label]
    made = Loss(weights, offset, gamma, smoothing)(LOGITS, LABELS, PARTNERS, SHARE)
    torch.testing.assert_close(made, total / divisor)
