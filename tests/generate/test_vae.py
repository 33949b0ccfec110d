"""What the VAE's networks and its loss keep: both readings of S1's table, any size, the class told or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from handful.data.images import LabeledImages
from handful.errors import ConfigError, DataError
from handful.generate.vae import VAE, ConvVAE, kl_to_standard_normal
from handful.nn.train import Training, one_thread


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def drawn(recipe, channels, size, num_classes=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return recipe.networks(channels, size, num_classes)["vae"].eval()


def shapes(network, call):
    """(kind of layer, shape of what comes out of it) in the order of the call."""
    seen, hooks = [], []
    for module in network.modules():
        if not list(module.children()):
            hooks.append(
                module.register_forward_hook(
                    lambda own, _, out: seen.append((type(own).__name__, tuple(out.shape[1:])))
                )
            )
    with torch.no_grad():
        call()
    for hook in hooks:
        hook.remove()
    return seen


LABELS = torch.zeros(2, dtype=torch.int64)
FILTERS = (32, 64, 128, 256, 512, 1024)
SIDES = {"s1-75": (38, 19, 10, 5, 3, 2), "s1-stride": (64, 32, 16, 8, 4, 2)}


@pytest.mark.parametrize("reading", SIDES)
def test_s1s_encoder_is_its_table(reading):
    network = drawn(VAE.preset("s1", network=reading), 3, 64)
    seen = shapes(network, lambda: network.encode(torch.rand(2, 3, 64, 64), LABELS))
    expected = []
    for filters, side in zip(FILTERS, SIDES[reading], strict=True):
        expected += [(kind, (filters, side, side)) for kind in ("Conv2d", "LeakyReLU", "BatchNorm2d")]
    expected += [("Linear", (1024,)), ("SELU", (1024,)), ("BatchNorm1d", (1024,))]
    assert seen == [*expected, ("Linear", (1024,))]  # mean and log variance, 512 each
    assert network.hidden[0].in_features == 4096
    assert [part.shape for part in network.encode(torch.rand(2, 3, 64, 64), LABELS)] == [(2, 512)] * 2


@pytest.mark.parametrize("reading", SIDES)
def test_s1s_decoder_is_its_table(reading):
    network = drawn(VAE.preset("s1", network=reading), 3, 64)
    seen = shapes(network, lambda: network.decode(torch.randn(2, 512), LABELS))
    expected = [("Linear", (4096,)), ("SELU", (4096,))]
    for filters, side in zip((512, 256, 128, 64, 32), (4, 8, 16, 32, 64), strict=True):
        expected += [(kind, (filters, side, side)) for kind in ("ConvTranspose2d", "LeakyReLU", "BatchNorm2d")]
    assert seen == [*expected, ("ConvTranspose2d", (3, 64, 64))]


@pytest.mark.parametrize("reading", SIDES)
def test_s1s_filters_are_3x3_with_padding_1_and_stride_2_but_where_the_reading_says(reading):
    network = drawn(VAE.preset("s1", network=reading), 3, 64)
    down = [layer for layer in network.down.modules() if isinstance(layer, nn.Conv2d)]
    up = [layer for layer in network.up if isinstance(layer, nn.ConvTranspose2d)]
    assert {(layer.kernel_size, layer.padding) for layer in down + up} == {((3, 3), (1, 1))}
    assert [layer.stride[0] for layer in down] == [2 if reading == "s1-75" else 1, 2, 2, 2, 2, 2]
    assert [layer.stride[0] for layer in up] == [2, 2, 2, 2, 2, 1]
    assert {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)} == {0.02}


def test_s1s_table_fits_no_six_layers_of_stride_2_at_64_px():
    """Why there are two readings: 64 px end at 1 px, and 2 px at 128."""
    side = 64
    for _ in FILTERS:
        side = (side - 1) // 2 + 1
    assert 1024 * side**2 == 1024 != 4096
    assert 2 * 2**6 == 128 != 64


def test_s1_is_trained_as_published_with_either_error():
    for error in ("bce", "mse"):
        recipe = VAE.preset("s1", reconstruction=error)
        training = recipe.training
        assert (recipe.scope, recipe.latent, recipe.reconstruction, recipe.augment) == ("per-class", 512, error, None)
        assert (training.optimizer, training.lr, training.epochs) == ("adam", 1e-4, 10_000)
        assert (recipe.beta, recipe.warmup, training.keeps_best) == (1.0, 0.0, False)


def test_s1_refuses_another_size_and_another_depth():
    with pytest.raises(DataError, match=r"pictures of 64 px, got 32 px.*View\(size=64\)"):
        VAE.preset("s1").networks(3, 32, 0)
    with pytest.raises(ConfigError, match="'s1-stride' has 6 layers, got depth=3"):
        VAE(network="s1-stride", depth=3)


def test_s0_is_told_the_class_in_encoder_and_decoder():
    recipe = VAE.preset("s0")
    training = recipe.training
    assert (recipe.scope, recipe.reconstruction, recipe.beta) == ("conditional", "bce", 1.0)
    assert (training.optimizer, training.lr, training.epochs) == ("adam", 1e-3, 800)
    network = drawn(recipe.changed(width=4), 3, 32, 10)
    blocks = [[type(layer) for layer in block] for block in network.down.blocks]
    assert blocks == [[nn.Conv2d, nn.BatchNorm2d, nn.ReLU]] * 3
    images, code = torch.rand(2, 3, 32, 32), torch.randn(2, recipe.latent)
    with torch.no_grad():
        for part, given in (("encode", images), ("decode", code)):
            one, other = network(given, LABELS, part), network(given, LABELS + 1, part)
            assert not torch.equal(torch.cat([*one]), torch.cat([*other]))


@pytest.mark.parametrize("size", [28, 32, 45, 64, 75, 100, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_from_28_to_128_comes_back_as_it_went_in(size, channels):
    network = drawn(VAE(width=2, latent=3), channels, size)
    with torch.no_grad():
        mu, _ = network.encode(torch.rand(2, channels, size, size), LABELS)
        assert network.decode(mu, LABELS).shape == (2, channels, size, size)


@pytest.mark.parametrize("reading", SIDES)
def test_s1s_network_is_fitted_and_stacked_like_any(reading):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 1, 64, 64), dtype=np.uint8)
    part = LabeledImages.of_arrays(pixels, np.array([0, 1] * 3))
    training = Training(steps=4, batch_size=4, optimizer="sgd", lr=1e-6, momentum=0.0, weight_decay=0.0, eval_every=4)
    recipe = VAE(network=reading, scope="per-class", width=2, latent=3, training=training)
    one, other = (recipe.changed(stacked=stacked).fit(part, None, seed=0) for stacked in (False, True))
    first, second = (generator.sample([0, 1], seeds=[0, 1]).pixels.astype(int) for generator in (one, other))
    assert np.abs(first - second).max() <= 1
    assert one.rebuild(part).shape == (6, 1, 64, 64)


def test_the_kl_term_is_that_of_torch_distributions():
    rng = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(5, 7, generator=rng), torch.randn(5, 7, generator=rng)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mu, (0.5 * logvar).exp()), normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), expected)


@pytest.mark.parametrize("reconstruction", ["bce", "mse"])
def test_the_vae_loss_is_reconstruction_plus_beta_kl_per_picture(reconstruction):
    recipe = VAE(width=4, latent=3, reconstruction=reconstruction, beta=0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = recipe.networks(1, 8, 2)["vae"].eval()
        images, labels, noise = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 1, 0]), torch.randn(4, 3)
    loss = recipe.loss({"vae": network}, images, labels, {"code": noise}, 1.0)
    mu, logvar = network.encode(images, labels)
    made = network.decode(mu + noise * logvar.exp().sqrt(), labels).sigmoid()
    if reconstruction == "bce":
        error = -(images * made.log() + (1 - images) * (1 - made).log()).sum() / 4
    else:
        error = ((made - images) ** 2).sum() / 4
    torch.testing.assert_close(loss, error + 0.3 * kl_to_standard_normal(mu, logvar).mean())


def test_the_kl_weight_rises_over_the_warm_up():
    recipe = VAE(width=4, latent=3, beta=2.0, warmup=0.5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = {name: network.eval() for name, network in recipe.networks(1, 8, 2).items()}
        images, labels, noise = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 1, 0]), {"code": torch.zeros(4, 3)}
    kl = kl_to_standard_normal(*nets["vae"](images, labels, "encode")).mean()
    start = recipe.changed(beta=0.0).loss(nets, images, labels, noise, 0.5)
    for done in (0.1, 0.25, 0.5, 0.75, 1.0):
        weight = (recipe.loss(nets, images, labels, noise, done) - start) / kl
        assert float(weight.detach()) == pytest.approx(min(2.0, 4.0 * done), rel=1e-4)


@pytest.mark.parametrize("size", [4, 5, 8, 11, 32])
@pytest.mark.parametrize("depth", [1, 3, 8])
def test_the_map_halves_depth_times_but_not_under_2_px(size, depth):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = ConvVAE(3, size, 0, latent=4, width=2, depth=depth)
    halvings, side = 0, size
    while halvings < depth and side > 2:
        halvings, side = halvings + 1, (side + 1) // 2
    assert network.map == (2 * 2 ** (halvings - 1), side, side)
    assert side >= 2
    mu, logvar = network.encode(torch.zeros(2, 3, size, size), torch.zeros(2, dtype=torch.int64))
    assert mu.shape == logvar.shape == (2, 4)
    assert network.decode(mu, torch.zeros(2, dtype=torch.int64)).shape == (2, 3, size, size)
