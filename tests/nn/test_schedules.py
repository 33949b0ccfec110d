"""The learning rate of every step: the schedules against closed forms and PyTorch's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_regression import fit, make, scripted

from handful.nn.train import Training

pytestmark = pytest.mark.usefixtures("alone")


def test_the_cosine_schedule_falls_from_lr_to_zero():
    recipe = Training(lr=0.2, schedule="cosine")
    for step in range(100):
        assert recipe.lr_at(step, 100, 1) == pytest.approx(0.1 * (1 + math.cos(math.pi * step / 100)))
    assert recipe.lr_at(0, 100, 1) == 0.2
    assert recipe.lr_at(100, 100, 1) == pytest.approx(0)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "plateau"])
def test_warm_up_rises_linearly_to_lr_and_the_schedule_starts_there(schedule):
    recipe = Training(lr=0.2, schedule=schedule, warmup_steps=10)
    np.testing.assert_allclose([recipe.lr_at(step, 50, 1) for step in range(10)], 0.02 * np.arange(1, 11))
    assert recipe.lr_at(10, 50, 1) == pytest.approx(0.2)
    if schedule == "cosine":
        assert recipe.lr_at(30, 50, 1) == pytest.approx(0.1)
        assert recipe.lr_at(50, 50, 1) == pytest.approx(0)


def test_the_step_schedule_is_that_of_pytorch():
    recipe = Training(lr=0.3, schedule="step", step_size=7, gamma=0.4)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    plain = torch.optim.lr_scheduler.StepLR(optimizer, 7, gamma=0.4)
    for step in range(30):
        assert recipe.lr_at(step, 30, 1) == pytest.approx(plain.get_last_lr()[0])
        optimizer.step()
        plain.step()


def test_the_constant_schedule_is_constant():
    assert {Training(lr=0.3, schedule="constant").lr_at(step, 30, 1) for step in range(31)} == {0.3}


def test_every_step_is_taken_at_the_rate_of_the_schedule(monkeypatch):
    rates = []
    plain = torch.optim.SGD.step

    def spy(self, *args, **options):
        rates.append(self.param_groups[0]["lr"])
        return plain(self, *args, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    history = fit(make(), optimizer="sgd", warmup_steps=3, steps=10)
    expected = [Training(lr=0.05, warmup_steps=3).lr_at(step, 10, 1) for step in range(10)]
    assert rates == pytest.approx(expected)
    assert history.lr == pytest.approx([expected[3], expected[7], expected[9]]), "the rate of the step just taken"


def test_the_plateau_schedule_lowers_the_rate_after_evaluations_without_improvement():
    """Improvements at looks 1, 2 and 7; patience 2: lowered after looks 4, 6, 9 and 11."""
    curve = [5, 4, 4, 4.5, 4, 4, 3, 3, 3, 3, 3, 3]
    history = fit(
        make(),
        schedule="plateau",
        plateau_patience=2,
        gamma=0.5,
        steps=12,
        eval_every=1,
        evaluate=scripted(curve),
    )
    halvings = [0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4]  # taken at look n: those decided at looks before it
    np.testing.assert_allclose(history.lr, 0.05 * 0.5 ** np.array(halvings))
    assert not history.stopped_early


def test_steps_of_the_schedule_can_be_counted_in_epochs():
    recipe = Training(lr=1.0, schedule="step", step_size=2, step_unit="epochs", gamma=0.5, batch_size=5)
    assert [recipe.lr_at(step, 100, 10) for step in (0, 3, 4, 7, 8)] == [1.0, 1.0, 0.5, 0.5, 0.25]
