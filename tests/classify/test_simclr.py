"""Contrastive pre-training: the loss against its equation, what it reads, and that it learns without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from handful import Augmentation, LabeledImages, Training
from handful.classify.pretrain import SimCLR, load_pretrained, nt_xent
from handful.errors import ConfigError, DataError, LeakError
from handful.generate.interpolate import Interpolation
from handful.nn.train import How
from tiny_study import digits

SHORT = SimCLR(network="base", training=Training(steps=6, batch_size=16, eval_every=3))


@pytest.fixture(scope="module")
def train() -> LabeledImages:
    return LabeledImages.of_arrays(*digits())


def equation_1(first: np.ndarray, second: np.ndarray, temperature: float, pictures: list[int]) -> float:
    """Chen et al. 2020, equation 1, pair by pair; augmentations of the same picture are no negatives."""
    given = np.concatenate([first, second]).astype(np.float64)
    shown, num, total = pictures * 2, len(first), 0.0
    similar = lambda i, k: given[i] @ given[k] / np.linalg.norm(given[i]) / np.linalg.norm(given[k])  # noqa: E731
    for i in range(2 * num):
        j = (i + num) % (2 * num)
        others = [k for k in range(2 * num) if k == j or shown[k] != shown[i]]
        below = sum(np.exp(similar(i, k) / temperature) for k in others)
        total += -np.log(np.exp(similar(i, j) / temperature) / below)
    return total / (2 * num)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("pictures", [[0, 1, 2, 3, 4], [0, 1, 0, 3, 1]])
def test_the_loss_is_that_of_the_equation(temperature: float, pictures: list[int]) -> None:
    first, second = (torch.randn(5, 7, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    found = nt_xent(first, second, temperature=temperature, pictures=torch.tensor(pictures))
    assert float(found) == pytest.approx(equation_1(first.numpy(), second.numpy(), temperature, pictures), rel=1e-5)


def test_the_loss_is_least_where_pairs_agree_and_others_do_not() -> None:
    eye = torch.eye(4)
    pictures = torch.arange(4)
    best = nt_xent(eye, eye, temperature=0.1, pictures=pictures)
    assert float(best) == pytest.approx(np.log(1 + 6 * np.exp(-10)), abs=1e-6)
    assert best < nt_xent(eye, eye.roll(1, 0), temperature=0.1, pictures=pictures)
    same = torch.ones(4, 3)
    assert float(nt_xent(same, same, temperature=0.5)) == pytest.approx(np.log(7))


def test_labels_are_never_read(train: LabeledImages) -> None:
    other = LabeledImages(train.pixels, (train.labels + 1) % 3, train.class_names, train.origin)
    one, two = (SHORT.fit(part, seed=0) for part in (train, other))
    assert one.fitted == two.fitted
    assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_a_seed_names_the_fit_and_the_two_augmentations_differ(
    train: LabeledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, plain = [], Augmentation.apply

    def spy(self: Augmentation, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        seen.append(draws)
        return plain(self, images, draws)

    one = SHORT.fit(train, seed=0)
    monkeypatch.setattr(Augmentation, "apply", spy)
    again, other = SHORT.fit(train, seed=0), SHORT.fit(train, seed=1)
    name = next(iter(one.weights))
    assert torch.equal(one.weights[name], again.weights[name])
    assert not torch.equal(one.weights[name], other.weights[name])
    assert not torch.equal(seen[0], seen[1])


def test_the_body_s_weights_are_kept_and_read_back(train: LabeledImages, tmp_path: Path) -> None:
    made = SHORT.fit(train, seed=0)
    with torch.random.fork_rng(devices=[]):
        body = made.recipe.network.build(1, 8, 5, None).body  # type: ignore[union-attr]
    assert {name: tensor.shape for name, tensor in made.weights.items()} == {
        name: tensor.shape for name, tensor in body.state_dict().items()
    }
    made.save(tmp_path)
    loaded = load_pretrained(tmp_path)
    assert (loaded.recipe, loaded.fitted, loaded.mean, loaded.std, loaded.history) == (
        (made.recipe, made.fitted, made.mean, made.std, made.history)
    )
    assert all(torch.equal(loaded.weights[name], made.weights[name]) for name in made.weights)
    assert made.mean == pytest.approx((train.pixels.mean() / 255,), rel=1e-4)


def test_an_interrupted_fit_resumes_to_the_undisturbed_one(train: LabeledImages, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: int, steps: int) -> None:
        if done == 4:
            raise StoppedError

    checkpoint = tmp_path / "fit.pt"
    with pytest.raises(StoppedError):
        SHORT.fit(train, seed=0, how=How(checkpoint=checkpoint, checkpoint_seconds=0, progress=stop))
    assert checkpoint.exists()
    resumed, whole = SHORT.fit(train, seed=0, how=How(checkpoint=checkpoint)), SHORT.fit(train, seed=0)
    assert resumed.history == whole.history
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)


def test_what_it_cannot_be_fitted_to_is_refused(train: LabeledImages) -> None:
    made = Interpolation().fit(train, None, seed=0).sample([0], seeds=[0])
    with pytest.raises(LeakError, match="1 of 61 pictures are synthetic"):
        SHORT.fit(train.joined(made), seed=0)
    with pytest.raises(DataError, match="needs 2 or more, got 1"):
        SHORT.fit(train.take(np.arange(1)), seed=0)
    with pytest.raises(ConfigError, match="needs a network"):
        SimCLR().fit(train, seed=0)
    with pytest.raises(ConfigError, match=r"training\.patience is 3: it reads no validation"):
        SimCLR(training=Training(patience=3))


def test_it_learns_what_tells_pictures_apart(train: LabeledImages) -> None:
    """The loss falls under that of answers by chance, log(2 B - 1), by more than a half."""
    training = Training(steps=150, batch_size=32, lr=3e-3, eval_every=50)
    history = (
        SHORT.changed(training=training, temperature=0.2, augment=Augmentation.preset("light"))
        .fit(train, seed=0)
        .history
    )
    assert history["train_loss"][-1]["encoder"] < 0.5 * np.log(63)
