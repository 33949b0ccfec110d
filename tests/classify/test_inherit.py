"""A classifier on an inherited encoder: S4's architecture, weights, dropout after inheriting, guards, files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import handful
from handful import CNN, LabeledImages, Training, View
from handful.errors import ConfigError, DataError, LeakError
from handful.generate.autoencoder import Autoencoder
from handful.generate.vae import VAE
from handful.nn.encoders import Encoder
from handful.nn.inherited import Inherited
from handful.nn.weight_files import state_digest
from tiny_study import digits

TRAINING = Training(steps=3, batch_size=8, eval_every=3)


@pytest.fixture(scope="module")
def parts() -> dict[str, LabeledImages]:
    images, order = LabeledImages.of_arrays(*digits()), np.random.default_rng(0).permutation(60)
    return {name: images.take(order[rows]) for name, rows in (("train", slice(36)), ("val", slice(36, 60)))}


@pytest.fixture(scope="module")
def encoder(parts: dict[str, LabeledImages]) -> Inherited:
    generator = Autoencoder(width=4, depth=2, latent=4, training=TRAINING).fit(parts["train"], None, seed=0)
    trained = frozenset(parts["train"].origin.content.tolist())
    weights = generator.encoder_weights()
    return Inherited(weights, generator.fitted, trained, trained, (0.0,), (1.0,), {"all": {"steps_done": 3}})


HEIR = CNN(network=Encoder(width=4, depth=2), view=View(size=8), training=TRAINING)


def built(recipe: Encoder, channels: int, size: int, dropout: float | None = None) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        return recipe.build(channels, size, 10, dropout).eval()


def test_s4_s_classifier_has_as_many_weights_as_its_layers_say() -> None:
    network = built(Encoder(family="s4"), 1, 28)
    layers = (9 * 16 + 16) + (9 * 16 * 32 + 32) + (32 * 5 * 5 * 64 + 64) + (64 * 10 + 10)
    assert sum(tensor.numel() for tensor in network.parameters()) == layers
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert len(network.stages) == 3  # type: ignore[arg-type]


def test_relu_before_the_softmax_makes_no_logit_negative() -> None:
    images = torch.rand(20, 1, 28, 28)
    plain, clipped = (built(Encoder(family="s4", relu=relu), 1, 28) for relu in (False, True))
    clipped.load_state_dict(plain.state_dict())
    with torch.inference_mode():
        assert torch.equal(clipped(images), plain(images).clamp(min=0))
        assert (plain(images) < 0).any()


@pytest.mark.parametrize(("family", "size"), [("conv", 8), ("s4", 28), ("s1-75", 64), ("s1-stride", 64)])
def test_dropout_is_the_encoder_s_until_it_is_changed(family: str, size: int) -> None:
    recipe = Encoder(family=family, width=2, dropout=0.01)  # type: ignore[arg-type]

    def rates(dropout: float | None) -> set[float]:
        found = built(recipe, 1, size, dropout).modules()
        return {module.p for module in found if isinstance(module, torch.nn.Dropout)}

    assert (rates(None), rates(0.2), rates(0.0)) == ({0.01}, {0.2}, set())
    assert list(built(recipe, 1, size).state_dict()) == list(built(recipe, 1, size, 0.2).state_dict())


@pytest.mark.parametrize("recipe", [VAE(network="s1-75", width=2), VAE(network="s1-stride", width=2)])
def test_s1_s_encoder_is_inherited_up_to_its_maps(recipe: VAE) -> None:
    with torch.random.fork_rng(devices=[]):
        own = recipe.networks(3, 64, 2)["vae"].eval()
    network = built(recipe.encoder, 3, 64)
    network.body.load_state_dict(own.down.state_dict())  # type: ignore[union-attr, operator, arg-type]
    with torch.inference_mode():
        assert network.body(torch.rand(1, 3, 64, 64)).shape == (1, 64, 2, 2)  # type: ignore[operator]


def test_pictures_that_a_family_does_not_take_are_refused() -> None:
    with pytest.raises(DataError, match="grey pictures of 28 px, got 3 channels"):
        built(Encoder(family="s4"), 3, 28)
    with pytest.raises(ConfigError, match="only the family 's4' has a code"):
        Encoder(latent=3)
    with pytest.raises(ConfigError, match="'s4' has a depth of its own"):
        Encoder(family="s4", depth=3)


def test_the_weights_are_inherited_and_trained_on(parts: dict[str, LabeledImages], encoder: Inherited) -> None:
    still = HEIR.changed(training=TRAINING.changed(steps=1, lr=1e-30, weight_decay=0.0))
    made = still.fit(parts["train"], parts["val"], seed=0, encoder=encoder)
    for name, tensor in made.module.network.body.named_parameters():
        torch.testing.assert_close(tensor, encoder.weights[name], atol=1e-20, rtol=0)
    assert made.start == {"source": f"encoder {encoder.fitted}", "digest": state_digest(dict(encoder.weights))}
    trained = HEIR.fit(parts["train"], parts["val"], seed=0, encoder=encoder)
    moved = dict(trained.module.network.body.named_parameters())
    assert all((moved[name] != encoder.weights[name]).any() for name in moved if name.endswith("0.weight"))


def test_the_random_encoder_differs_in_the_body_alone(parts: dict[str, LabeledImages], encoder: Inherited) -> None:
    still = HEIR.changed(training=TRAINING.changed(steps=1, lr=1e-30, weight_decay=0.0))
    heir, random = (still.fit(parts["train"], None, seed=0, encoder=given) for given in (encoder, None))
    assert random.start == {"source": "random", "digest": ""}
    for name, tensor in heir.module.network.head.state_dict().items():
        torch.testing.assert_close(tensor, random.module.network.head.state_dict()[name], atol=1e-20, rtol=0)
    assert torch.equal(heir.module.mean, random.module.mean)
    assert torch.equal(heir.module.std, torch.ones(1, 1, 1, 1))
    name = "blocks.0.0.weight"
    assert not torch.allclose(
        heir.module.network.body.state_dict()[name], random.module.network.body.state_dict()[name]
    )


def test_weights_of_another_architecture_are_refused(parts: dict[str, LabeledImages], encoder: Inherited) -> None:
    with pytest.raises(DataError, match="are of another architecture"):
        HEIR.changed(network=Encoder(width=6, depth=2)).fit(parts["train"], None, seed=0, encoder=encoder)


def test_pictures_that_the_encoder_has_seen_are_neither_scored_nor_validated(
    parts: dict[str, LabeledImages], encoder: Inherited
) -> None:
    """Even where the classifier itself has not seen them."""
    few, others = parts["train"].take(np.arange(12)), parts["train"].take(np.arange(12, 24))
    made = HEIR.fit(few, parts["val"], seed=0, encoder=encoder)
    with pytest.raises(LeakError, match="test: 12 of 12 pictures are also in training"):
        handful.evaluate(made, others)
    with pytest.raises(LeakError, match="validation: 12 of 12"):
        HEIR.fit(few, others, seed=0, encoder=encoder)


def test_a_saved_heir_is_read_back_without_the_generators(
    parts: dict[str, LabeledImages], encoder: Inherited, tmp_path: Path
) -> None:
    made = HEIR.fit(parts["train"], parts["val"], seed=0, encoder=encoder)
    made.save(tmp_path / "heir")
    loaded = handful.load_classifier(tmp_path / "heir")
    np.testing.assert_array_equal(loaded.predict_proba(parts["val"]), made.predict_proba(parts["val"]))
    assert loaded.history["pretraining"] == {"all": {"steps_done": 3}}
    code = (
        "import sys, handful\n"
        f"print(handful.load_classifier({str(tmp_path / 'heir')!r}).start['source'])\n"
        "assert not [name for name in sys.modules if name.startswith('handful.generate')]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"encoder {encoder.fitted}"
