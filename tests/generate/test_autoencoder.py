"""What the autoencoder's networks, losses, noise and three ways to a new picture keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from handful.data.images import LabeledImages
from handful.errors import ConfigError, DataError
from handful.generate.autoencoder import Autoencoder
from handful.generate.autoencoder_networks import S4Autoencoder, mask_shapes
from handful.generate.halving import Doubling
from handful.nn.encoders import Halving, sides
from handful.nn.train import Training, one_thread


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def train():
    """24 scanned digits of each of three classes, 8 px grey, their source rows 1000 on."""
    images, targets = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    rows = np.concatenate([np.flatnonzero(targets == digit)[:24] for digit in (0, 1, 4)])
    part = LabeledImages.of_arrays(pixels[rows], np.repeat([0, 1, 2], 24))
    origin = type(part.origin).of_real(part.origin.content, np.arange(72) + 1000)
    return LabeledImages(part.pixels, part.labels, part.class_names, origin)


def tiny(**fields):
    given = {"width": 4, "latent": 5, "training": Training(steps=20, lr=5e-3, eval_every=20, batch_size=16), **fields}
    return Autoencoder(**given)


def drawn(recipe, channels, size, num_classes=0, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: network.eval() for name, network in recipe.networks(channels, size, num_classes).items()}


# ---------------------------------------------------------------- networks


def test_s4_has_the_published_maps_and_these_filters_reach_them():
    network = drawn(Autoencoder.preset("s4"), 1, 28)["autoencoder"]
    maps = {}
    where = {"first": "down.blocks.0.conv", "second": "down.blocks.1.conv", "code": "down.code"}
    for name in ("first", "second", "code", "expand", "third", "fourth"):
        network.get_submodule(where.get(name, name)).register_forward_hook(
            lambda _, __, out, name=name: maps.update({name: out.shape[1:]})
        )
    made = network(torch.rand(3, 1, 28, 28), torch.zeros(3, dtype=torch.int64))
    assert made.shape == (3, 1, 28, 28)
    assert {name: tuple(shape) for name, shape in maps.items()} == {
        "first": (16, 26, 26),
        "second": (32, 11, 11),  # pooled to 32 x 5 x 5
        "code": (64,),
        "expand": (32 * 5 * 5,),
        "third": (16, 13, 13),
        "fourth": (1, 28, 28),
    }
    down = lambda side, kernel, padding: (side + 2 * padding - kernel + 1) // 2  # noqa: E731
    fits = [(k, p) for k in (1, 3, 5, 7) for p in (0, 1, 2, 3) if down(down(28, k, p), k, p) == 5]
    assert fits == [(3, 0), (5, 1), (7, 2)]
    up = lambda side, kernel: (side - 1) * 2 + kernel + 1  # noqa: E731
    assert [(a, b) for a in range(2, 6) for b in range(2, 6) if up(up(5, a), b) == 28] == [(3, 5), (4, 3)]


@pytest.mark.parametrize("latent", [64, 128, 256, 512])
def test_s4_has_as_many_weights_as_its_layers_say(latent):
    network = drawn(Autoencoder.preset("s4", latent=latent), 1, 28)["autoencoder"]
    layers = (9 * 16 + 16) + (9 * 16 * 32 + 32) + (800 * latent + latent) + (800 * latent + 800)
    layers += (16 * 32 * 16 + 16) + (9 * 16 + 1)
    assert sum(tensor.numel() for tensor in network.parameters()) == layers


def test_s4_refuses_other_pictures_and_another_depth():
    for channels, size in ((3, 28), (1, 32)):
        with pytest.raises(DataError, match=rf"grey pictures of 28 px, got {channels} channels of {size} px"):
            S4Autoencoder(channels, size, latent=4, width=4)
    with pytest.raises(ConfigError, match="'s4' has 2 halvings, got depth=3"):
        Autoencoder(network="s4", depth=3)
    assert Autoencoder(network="s4", depth=2).form == {"width": 16, "depth": 2}


def test_s4_is_trained_as_published():
    recipe = Autoencoder.preset("s4", latent=128, dropout=0.01)
    training = recipe.training
    assert (recipe.latent, recipe.dropout, recipe.reconstruction, recipe.denoising) == (128, 0.01, "mse", 0)
    assert (training.optimizer, training.lr, training.batch_size, training.schedule) == ("adam", 1e-3, 100, "constant")
    assert training.steps_for(60_000) == 20 * 600
    assert not training.keeps_best


def test_s0_is_a_deeper_denoising_autoencoder_trained_per_class_with_sgd():
    recipe = Autoencoder.preset("s0")
    assert (recipe.scope, recipe.new, recipe.reconstruction) == ("per-class", "reconstruct", "mse")
    assert recipe.denoising > 0
    assert recipe.form["depth"] > Autoencoder().form["depth"]
    assert (recipe.training.optimizer, recipe.training.keeps_best) == ("sgd", True)
    assert dict(recipe.epochs_by_size) == {0: 800, 30: 600}


@pytest.mark.parametrize("size", [4, 5, 7, 8, 28, 33, 64])
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_doubling_undoes_the_sides_of_halving(size, depth):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        down, up = Halving(3, size, width=2, depth=depth), Doubling(3, size, width=2, depth=depth)
        flat = down(torch.zeros(2, 3, size, size)).flatten(1)
        assert flat.shape == (2, np.prod(down.map))
        assert down.map == up.map
        assert down.map[1] == sides(size, depth)[-1] >= 2
        assert up(flat).shape == (2, 3, size, size)


@pytest.mark.parametrize(("network", "size"), [("conv", 11), ("s4", 28)])
def test_masks_fit_the_maps_and_thin_them_out_in_training_alone(network, size):
    recipe = Autoencoder(network=network, width=4, latent=3, dropout=0.5)
    net = drawn(recipe, 1, size)["autoencoder"]
    images, labels = torch.rand(2, 1, size, size), torch.zeros(2, dtype=torch.int64)
    masks = [torch.zeros(2, *shape) for shape in mask_shapes(network, 1, size, **recipe.form)]
    with torch.no_grad():
        assert torch.equal(net(images, labels, masks), net(images, labels))
        net.train()
        nothing = net(images, labels, masks, part="encode")
        assert torch.equal(nothing, F.relu(net.down.code.bias).expand_as(nothing) if network == "s4" else 0 * nothing)


def test_a_network_told_the_class_heeds_it_and_another_does_not():
    images, labels = torch.rand(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    with torch.no_grad():
        told, untold = (drawn(tiny(), 1, 8, num)["autoencoder"] for num in (3, 0))
        for part in ("encode", "both"):
            assert not torch.equal(told(images, labels, part=part), told(images, labels + 1, part=part))
        assert torch.equal(untold(images, labels), untold(images, labels + 1))


# ---------------------------------------------------------------- noise and loss


def test_dropout_keeps_the_mean_and_drops_its_share():
    recipe = tiny(dropout=0.2)
    drawn_noise = recipe.noise((400, 1, 8, 8), torch.Generator().manual_seed(0), "cpu")
    assert sorted(drawn_noise) == ["mask0", "mask1"]
    for mask in drawn_noise.values():
        assert set(mask.unique().tolist()) == {0.0, 1.25}
        assert float((mask == 0).float().mean()) == pytest.approx(0.2, abs=0.01)


def test_the_noise_has_the_standard_deviation_it_is_given_and_none_is_none():
    stream = torch.Generator().manual_seed(0)
    assert float(tiny(denoising=0.3).noise((200, 3, 8, 8), stream, "cpu")["added"].std()) == pytest.approx(
        0.3, rel=0.02
    )
    assert tiny().noise((2, 1, 8, 8), stream, "cpu") == {}


@pytest.mark.parametrize("reconstruction", ["mse", "l1", "bce"])
@pytest.mark.parametrize("denoising", [0.0, 0.2])
def test_the_loss_is_the_mean_error_of_the_clean_picture(reconstruction, denoising):
    recipe = tiny(reconstruction=reconstruction, denoising=denoising)
    nets, images, labels = drawn(recipe, 1, 8, 2), torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 0, 1, 1, 0])
    noise = recipe.noise((6, 1, 8, 8), torch.Generator().manual_seed(3), "cpu")
    loss = recipe.loss(nets, images, labels, noise, 1.0)
    made = nets["autoencoder"](images + noise.get("added", 0), labels).sigmoid()
    expected = {
        "mse": ((made - images) ** 2).mean(),
        "l1": (made - images).abs().mean(),
        "bce": -(images * made.log() + (1 - images) * (1 - made).log()).mean(),
    }
    torch.testing.assert_close(loss, expected[reconstruction])


def test_a_denoising_autoencoder_takes_noise_out(train):
    """Trained with noise of 0.4, it is nearer to the clean picture than its input is, and than a plain one comes."""
    long = Training(steps=300, lr=5e-3, eval_every=300, batch_size=32)
    noisy = train.pixels / 255 + np.random.default_rng(0).normal(0, 0.4, train.pixels.shape)
    given = LabeledImages.of_arrays((noisy.clip(0, 1) * 255).astype(np.uint8), train.labels)

    def error(pixels):
        return ((pixels.astype(float) - train.pixels) ** 2).mean()

    plain, denoising = (
        error(tiny(width=16, latent=16, denoising=sd, training=long).fit(train, None, seed=0).rebuild(given))
        for sd in (0.0, 0.4)
    )
    assert denoising < 0.6 * error(given.pixels)
    assert denoising < 0.8 * plain


# ---------------------------------------------------------------- new pictures


@pytest.mark.parametrize("scope", ["conditional", "per-class"])
@pytest.mark.parametrize("new", ["interpolate", "perturb", "reconstruct"])
def test_the_parent_is_a_training_picture_of_the_class_and_the_nearest_in_code(train, new, scope):
    generator = tiny(new=new, scope=scope, denoising=0.05).fit(train, None, seed=0)
    labels = np.arange(30) % 3
    made = generator.sample(labels, seeds=range(30))
    parents = made.origin.parent - 1000
    assert (train.labels[parents] == labels).all()
    assert len(set(parents.tolist())) > 12, "the seeds choose among all of them"


def test_reconstructions_of_a_plain_autoencoder_are_those_of_rebuild(train):
    generator = tiny(new="reconstruct").fit(train, None, seed=0)
    made = generator.sample(np.arange(30) % 3, seeds=range(30))
    np.testing.assert_array_equal(made.pixels, generator.rebuild(train)[made.origin.parent - 1000])


def test_reconstructions_of_a_denoising_one_differ_by_seed(train):
    generator = tiny(new="reconstruct", denoising=0.3).fit(train, None, seed=0)
    made = generator.sample([0] * 60, seeds=range(60))
    by_parent = {}
    for picture, parent in zip(made.pixels, made.origin.parent, strict=True):
        by_parent.setdefault(int(parent), []).append(picture.tobytes())
    assert any(len(set(pictures)) == len(pictures) > 1 for pictures in by_parent.values())


def test_an_interpolation_lies_between_two_codes_of_its_class_nearer_to_its_parent(train):
    recipe = tiny(new="interpolate")
    generator = recipe.fit(train, None, seed=0)
    seen = []
    net = generator.networks[0]["autoencoder"]

    def spy(given, labels, masks=(), part="both"):
        seen.append(given)
        return net(given, labels, masks, part)

    labels, seeds = torch.tensor([0, 1, 2] * 8), list(range(24))
    memory = generator.memories[0]
    with torch.inference_mode():
        recipe.draw({"autoencoder": spy}, labels, seeds, memory)
    parents = recipe.parents(labels.numpy(), seeds, memory)
    assert parents.min() >= 1000
    for code, label, parent in zip(seen[0].double(), labels, parents, strict=True):
        codes = memory["codes"][memory["labels"] == label].double()
        start = memory["codes"][memory["rows"] == int(parent)][0].double()
        gaps = codes - start
        weights = ((code - start) * gaps).sum(1) / (gaps * gaps).sum(1).clamp(min=1e-12)
        missed = (start + weights[:, None] * gaps - code).abs().max(dim=1).values
        fits = (missed < 1e-5) & (weights >= 0) & (weights <= 0.5 + 1e-6) & (gaps.abs().sum(1) > 0)
        assert fits.any()


def test_a_perturbation_has_half_the_spread_of_its_class(train):
    recipe = tiny(new="perturb")
    generator = recipe.fit(train, None, seed=0)
    memory, seen, seeds = generator.memories[0], [], range(3000)
    labels = torch.ones(len(seeds), dtype=torch.int64)

    def spy(given, labels, masks=(), part="both"):
        seen.append(given)
        return torch.zeros(len(given), 1, 8, 8)

    recipe.draw({"autoencoder": spy}, labels, seeds, memory)
    parents = recipe.parents(labels.numpy(), seeds, memory)
    added = seen[0] - memory["codes"][torch.from_numpy(parents - 1000)]
    spread = memory["codes"][memory["labels"] == 1].std(dim=0, correction=0)
    torch.testing.assert_close(added.std(dim=0), 0.5 * spread, rtol=0.06, atol=1e-6)
    assert float((added.mean(dim=0) / spread).abs().max()) < 0.04


@pytest.mark.parametrize("new", ["interpolate", "perturb"])
def test_a_class_of_one_picture_has_its_reconstruction_every_time(train, new):
    part = train.take(np.array([0, *range(24, 48)]))
    generator = tiny(new=new).fit(part, None, seed=0)
    made = generator.sample([0] * 3, seeds=range(3))
    np.testing.assert_array_equal(made.pixels, generator.rebuild(part.take(np.zeros(3, dtype=np.int64))))


def test_a_generator_keeps_codes_where_it_needs_codes_and_pictures_where_it_needs_these(train):
    kept = {new: tiny(new=new).fit(train, None, seed=0).memories[0] for new in ("interpolate", "reconstruct")}
    assert kept["interpolate"]["codes"].shape == (72, 5)
    assert kept["reconstruct"]["pixels"].dtype == torch.uint8
    assert set(kept["interpolate"]) == {"codes", "labels", "rows"}
    assert set(kept["reconstruct"]) == {"pixels", "labels", "rows"}
