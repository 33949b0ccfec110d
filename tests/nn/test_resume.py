"""A training run that was interrupted goes on from its checkpoint to the weights of an undisturbed one."""

from __future__ import annotations

import pytest
import torch
from small_regression import INPUTS, TARGETS, equal, fit, gan, make, weights
from torch.nn import functional as F

from handful.nn.train import How

pytestmark = pytest.mark.usefixtures("alone")


class StoppedError(Exception):
    pass


def interrupted(network, checkpoint, stop, **fields):
    def progress(done, steps):
        if done == stop:
            raise StoppedError

    with pytest.raises(StoppedError):
        fit(network, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=progress), **fields)


RESUMED = {"optimizer": "adamw", "schedule": "plateau", "plateau_patience": 1, "steps": 16, "eval_every": 3}


def measured(network):
    """A validation that is a function of the weights, as a real one is."""

    def evaluate():
        return {"loss": F.mse_loss(network(INPUTS[:6]), TARGETS[:6].roll(1, 0)).item()}

    return evaluate


@pytest.mark.parametrize("stop", [1, 3, 4, 8, 15])
def test_a_resumed_run_equals_the_undisturbed_one(stop, tmp_path):
    whole, first, second = make(dropout=0.3), make(dropout=0.3), make(seed=9, dropout=0.3)
    expected = fit(whole, **RESUMED, keep="best", patience=4, evaluate=measured(whole))
    checkpoint = tmp_path / "new" / "run.pt"
    interrupted(first, checkpoint, stop, **RESUMED, keep="best", patience=4, evaluate=measured(first))
    steps = []
    history = fit(
        second,
        **RESUMED,
        keep="best",
        patience=4,
        evaluate=measured(second),
        how=How(checkpoint=checkpoint),
        spy=lambda batch: steps.append(batch.step),
    )
    assert steps == list(range(stop, expected.steps_done)), "it goes on where it stopped"
    assert history == expected
    assert equal(weights(second), weights(whole))
    assert not checkpoint.exists()


def test_a_checkpoint_holds_the_state_of_the_optimizer(tmp_path):
    """The checkpoint of a resumed run equals that of an undisturbed one at the same step, moments included."""
    once, first, second = make(dropout=0.3), make(dropout=0.3), make(seed=9, dropout=0.3)
    interrupted(once, tmp_path / "once.pt", 10, **RESUMED, evaluate=measured(once))
    interrupted(first, tmp_path / "twice.pt", 5, **RESUMED, evaluate=measured(first))
    interrupted(second, tmp_path / "twice.pt", 10, **RESUMED, evaluate=measured(second))
    one, other = (torch.load(tmp_path / name, weights_only=True) for name in ("once.pt", "twice.pt"))
    assert one["state"] == other["state"]
    for place, moments in one["optimizers"]["net"]["state"].items():
        assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}
        assert equal(moments, other["optimizers"]["net"]["state"][place])
    assert equal(one["best_weights"]["net"], other["best_weights"]["net"])


def test_two_networks_resume_too(tmp_path):
    def progress(done, steps):
        if done == 5:
            raise StoppedError

    whole, _, expected = gan()
    with pytest.raises(StoppedError):
        gan(How(checkpoint=tmp_path / "gan.pt", checkpoint_seconds=0, progress=progress))
    resumed, _, history = gan(How(checkpoint=tmp_path / "gan.pt"))
    assert history == expected
    assert all(equal(weights(resumed[name]), weights(whole[name])) for name in whole)


def test_an_interruption_puts_the_global_stream_back_and_leaves_no_part_behind(tmp_path):
    before = torch.get_rng_state()
    interrupted(make(dropout=0.5), tmp_path / "run.pt", 5)
    assert torch.equal(torch.get_rng_state(), before)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_checkpoints_are_no_more_frequent_than_asked(tmp_path):
    network = make()

    def progress(done, steps):
        assert not (tmp_path / "run.pt").exists()

    fit(network, how=How(checkpoint=tmp_path / "run.pt", checkpoint_seconds=600, progress=progress))


def test_the_parts_of_how_have_checkpoints_of_their_own(tmp_path):
    how = How(device="cpu", checkpoint=tmp_path / "run.pt", checkpoint_seconds=3)
    assert how.part("a").checkpoint == tmp_path / "run.pt.a"
    assert how.part("a").checkpoint_seconds == 3
    assert How().part("a") == How()
