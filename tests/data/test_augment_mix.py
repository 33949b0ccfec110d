"""MixUp and CutMix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from handful import CNN, Arm
from handful.data.draws import Draws
from handful.data.mix import Mix
from handful.errors import ConfigError


def mixed(recipe, num=600, size=16, seed=0):
    """Black pictures mixed with white ones: a pixel says how much of the partner it has."""
    draws = Draws(num, seed).at(np.zeros(num, dtype=np.int64), np.arange(num))
    return recipe.apply(torch.zeros(num, 3, size, size), torch.ones(num, 3, size, size), draws)


def test_mixup_blends_by_the_share_of_the_label_which_is_beta():
    made, share = mixed(Mix(mixup=0.4))
    torch.testing.assert_close(made, (1 - share).view(-1, 1, 1, 1).expand_as(made))
    assert stats.kstest(share.numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_cutmix_pastes_one_box_and_shares_the_label_by_its_exact_area():
    made, share = mixed(Mix(cutmix=1.0))
    assert set(made.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(made.mean((1, 2, 3)), 1 - share)
    pasted = made[:, 0] > 0
    for mask in pasted[:100]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns[None]), "a rectangle"
        assert rows.float().diff().abs().sum() <= 2, "in one piece"
    assert share.std() > 0.15


def test_both_at_once_halve_the_pictures():
    made, _ = mixed(Mix(mixup=1.0, cutmix=1.0))
    blended = ((made > 0.001) & (made < 0.999)).flatten(1).any(1).float().mean()
    assert 0.42 < blended < 0.58


def test_a_mixed_picture_does_not_depend_on_its_batch():
    draws = Draws(9, 0).at(np.zeros(9, dtype=np.int64), np.arange(9))
    one, other = torch.rand(2, 9, 3, 8, 8, generator=torch.Generator().manual_seed(0)).unbind(0)
    whole, share = Mix(mixup=0.2, cutmix=1.0).apply(one, other, draws)
    part, its = Mix(mixup=0.2, cutmix=1.0).apply(one[[5]], other[[5]], draws[[5]])
    assert torch.equal(part[0], whole[5])
    assert its[0] == share[5]


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="neither mixup nor cutmix is above 0"):
        Mix()


def test_a_mix_may_be_named():
    assert CNN(mix="cutmix").mix == Mix(cutmix=1.0)
    assert Arm("mixed", mix="mixup").mix == Mix(mixup=0.2)
    with pytest.raises(ConfigError, match=r"unknown mix 'cutmx'; did you mean 'cutmix'\?"):
        CNN(mix="cutmx")
