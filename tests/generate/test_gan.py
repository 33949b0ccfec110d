"""GANs: the networks against the published table, the losses against closed forms, what the recipe allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from handful.config import choose
from handful.data.images import LabeledImages, View
from handful.errors import ConfigError
from handful.generate.dcgan import DCGANDiscriminator, DCGANGenerator, mask_shapes, one_hot, sides_of
from handful.generate.diffaugment import DiffAugment
from handful.generate.gan import GAN, PRESETS, Window
from handful.nn.train import one_thread


@pytest.fixture(autouse=True)
def alone():
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def some(num=6, size=8, channels=3, num_classes=3):
    rng = stream(5)
    images = torch.rand(num, channels, size, size, generator=rng)
    return images, torch.arange(num) % num_classes


def weights_of(network):
    return sum(parameter.numel() for parameter in network.parameters())


# ---------------------------------------------------------------- networks


def test_at_64_px_they_are_the_published_table():
    nets = GAN.preset("s1").networks(3, 64, 0)
    generator = [layer for layer in nets["generator"].modules() if not list(layer.children())]
    assert [type(layer).__name__ for layer in generator] == [
        *["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4,
        "ConvTranspose2d",
        "Tanh",
    ]
    convs = [layer for layer in generator if isinstance(layer, nn.ConvTranspose2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [
        (256, 512),
        (512, 256),
        (256, 128),
        (128, 64),
        (64, 3),
    ]
    assert [(conv.kernel_size[0], conv.stride[0], conv.padding[0]) for conv in convs] == [(4, 1, 0), *[(4, 2, 1)] * 4]
    discriminator = [layer for layer in nets["discriminator"].modules() if not list(layer.children())]
    assert [type(layer).__name__ for layer in discriminator] == [
        *["Conv2d", "LeakyReLU"],
        *["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3,
        "Conv2d",
    ]
    convs = [layer for layer in discriminator if isinstance(layer, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [64, 128, 256, 512, 1]
    assert [(conv.kernel_size[0], conv.stride[0], conv.padding[0]) for conv in convs] == [*[(4, 2, 1)] * 4, (4, 1, 0)]
    assert nets["discriminator"].dropout == 0.2
    hidden = 16 * (256 * 512 + 512 * 256 + 256 * 128 + 128 * 64) + 2 * (512 + 256 + 128 + 64)
    assert weights_of(nets["generator"]) == hidden + 16 * 64 * 3 + 3
    hidden = 16 * (64 * 128 + 128 * 256 + 256 * 512) + 2 * (128 + 256 + 512)
    assert weights_of(nets["discriminator"]) == 16 * 3 * 64 + 64 + hidden + 16 * 512 + 1


@pytest.mark.parametrize("size", [*range(4, 20), 28, 31, 32, 33, 63, 64, 65, 96, 127, 128])
def test_any_size_fits(size):
    channels, num_classes = 1 + size % 2 * 2, size % 3
    generator = DCGANGenerator(channels, size, num_classes, latent=5, width=2)
    discriminator = DCGANDiscriminator(channels, size, num_classes, width=2, dropout=0.5)
    labels = torch.zeros(3, dtype=torch.int64)
    made = generator(torch.randn(3, 5), labels)
    assert made.shape == (3, channels, size, size)
    assert float(made.detach().abs().max()) <= 1
    shapes, maps = [], made
    for block in discriminator.blocks:
        maps = block(maps)
        shapes.append(tuple(maps.shape[1:]))
    assert shapes == mask_shapes(size, 2)
    keep = torch.ones(3, sum(math.prod(shape) for shape in shapes), dtype=torch.bool)
    assert discriminator(made, labels, keep).shape == (3,)


@pytest.mark.parametrize(
    ("size", "sides"),
    [(4, [4, 2]), (5, [5, 3]), (8, [8, 4]), (28, [28, 14, 7, 4]), (64, [64, 32, 16, 8, 4]), (33, [33, 17, 9, 5, 3])],
)
def test_a_size_is_halved_to_4_or_less(size, sides):
    assert sides_of(size) == sides


def test_weights_are_drawn_as_published():
    nets = GAN.preset("s1").networks(3, 64, 0)
    for module in [*nets["generator"].modules(), *nets["discriminator"].modules()]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            values = module.weight.detach()
            mean = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            assert abs(float(values.mean()) - mean) < 5 * 0.02 / math.sqrt(values.numel())
            assert float(values.std()) == pytest.approx(0.02, rel=4 / math.sqrt(2 * values.numel()))
            assert module.bias is None or not module.bias.any()


def test_dropout_sets_masked_values_to_zero_and_scales_the_others():
    network = DCGANDiscriminator(1, 8, 0, width=2, dropout=0.25, norm="none")
    images, labels = some(channels=1)
    (filters, side, _), keep = mask_shapes(8, 2)[0], torch.rand(6, 2 * 16) > 0.25
    maps = network.blocks[0](2 * images - 1) * keep.view(6, filters, side, side) / 0.75
    torch.testing.assert_close(network(2 * images - 1, labels, keep), network.last(maps)[:, 0, 0, 0])
    assert not torch.allclose(network(2 * images - 1, labels, keep), network(2 * images - 1, labels))


def test_a_class_is_told_by_projection():
    network = DCGANDiscriminator(3, 8, 3, width=4, told="projection")
    blind = DCGANDiscriminator(3, 8, 0, width=4)
    blind.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("project")})
    images, labels = some()
    maps = network.blocks[0](images)
    added = (network.project.weight.T[labels] * maps.sum(dim=(2, 3))).sum(1)
    torch.testing.assert_close(network(images, labels), blind(images, labels) + added)


def test_a_class_is_told_by_maps():
    network, images, labels = DCGANDiscriminator(3, 8, 3, width=4, told="maps"), *some()
    planes = torch.zeros(6, 3, 8, 8)
    for row, label in enumerate(labels.tolist()):
        planes[row, label] = 1
    blind = DCGANDiscriminator(6, 8, 0, width=4)
    blind.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(images, labels), blind(torch.cat([images, planes], dim=1), labels))


def test_the_generator_sees_the_class_beside_its_latent_vector():
    generator, blind = (DCGANGenerator(1, 8, classes, latent=5 - classes, width=2) for classes in (3, 0))
    blind.load_state_dict(generator.state_dict())
    latent, labels = torch.randn(4, 2), torch.tensor([0, 2, 1, 1])
    joined = torch.cat([latent, F.one_hot(labels, 3) * math.sqrt(2)], dim=1)
    torch.testing.assert_close(generator(latent, labels), blind(joined, labels))


def test_one_hot_is_that_of_torch():
    labels = torch.tensor([2, 0, 1])
    assert torch.equal(one_hot(labels, 4).long(), F.one_hot(labels, 4))


def test_spectral_norm_bounds_every_layer():
    network, (images, labels) = GAN(norm="spectral", width=4).networks(3, 8, 3)["discriminator"], some()
    for _ in range(60):
        network(images, labels)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, rel=0.02)


# ---------------------------------------------------------------- noise


def test_noise_is_what_the_recipe_uses_each_with_one_row_per_picture():
    def names(**fields):
        noise = GAN(latent=7, width=2, **fields).noise((5, 3, 8, 8), stream(), "cpu")
        assert {len(tensor) for tensor in noise.values()} == {5}
        return set(noise)

    latent = {"latent_made", "latent_scored"}
    assert names(diffaugment=None) == latent
    assert names() == latent | {"augment_real", "augment_made", "augment_scored"}
    assert names(diffaugment=None, dropout=0.2) == latent | {"keep_real", "keep_made", "keep_scored"}
    assert names(diffaugment=None, flipped=0.1) == latent | {"flip_real", "flip_made"}
    assert names(diffaugment=None, softened=0.1) == latent | {"soften_real", "soften_made"}


def test_noise_has_the_shares_asked_for():
    recipe = GAN(latent=7, width=8, dropout=0.3, flipped=0.2, softened=0.4)
    noise = recipe.noise((4000, 1, 4, 4), stream(), "cpu")
    assert float(noise["keep_real"].float().mean()) == pytest.approx(0.7, abs=0.01)
    assert float(noise["flip_made"].float().mean()) == pytest.approx(0.2, abs=0.02)
    assert float(noise["soften_real"].mean()) == pytest.approx(0.2, abs=0.01)
    assert float(noise["soften_real"].max()) <= 0.4
    assert float(noise["latent_made"].std()) == pytest.approx(1, abs=0.02)
    assert not torch.equal(noise["latent_made"], noise["latent_scored"])
    again = recipe.noise((4000, 1, 4, 4), stream(), "cpu")
    assert all(torch.equal(noise[name], again[name]) for name in noise)


# ---------------------------------------------------------------- losses


REAL, MADE = torch.tensor([2.0, -0.5, 0.3]), torch.tensor([-1.5, 0.4, -0.2])


def spoken():
    """Networks whose logits are REAL at white pictures and MADE at black ones."""
    said = {
        "generator": lambda latent, labels: torch.full((3, 1, 4, 4), -1.0, requires_grad=True),
        "discriminator": lambda images, labels, keep: torch.where(images.mean() > 0, REAL, MADE) + 0 * images.sum(),
    }
    return said, torch.ones(3, 1, 4, 4), torch.zeros(3, dtype=torch.int64)


def both(recipe, noise=None):
    nets, images, labels = spoken()
    noise = {"latent_made": torch.zeros(3, 2), "latent_scored": torch.zeros(3, 2), **(noise or {})}
    return [float(loss(nets, images, labels, noise, 1.0).detach()) for _, loss in recipe.phases]


def test_bce_is_that_of_goodfellow():
    found = both(GAN(diffaugment=None))
    real, made = REAL.sigmoid(), MADE.sigmoid()
    assert found[0] == pytest.approx(float(-(real.log().mean() + (1 - made).log().mean())), rel=1e-5)
    assert found[1] == pytest.approx(float(-made.log().mean()), rel=1e-5)


def test_hinge_is_that_of_miyato():
    found = both(GAN(diffaugment=None, loss="hinge"))
    assert found[0] == pytest.approx(float((1 - REAL).clamp(min=0).mean() + (1 + MADE).clamp(min=0).mean()), rel=1e-5)
    assert found[1] == pytest.approx(float(-MADE.mean()), rel=1e-5)


def test_label_noise_flips_and_softens_what_the_discriminator_is_told():
    flip = {"flip_real": torch.tensor([True, False, False]), "flip_made": torch.tensor([False, True, True])}
    soften = {"soften_real": torch.tensor([0.1, 0.0, 0.2]), "soften_made": torch.tensor([0.2, 0.1, 0.0])}
    told_real, told_made = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
    expected = F.binary_cross_entropy_with_logits(REAL, told_real) + F.binary_cross_entropy_with_logits(MADE, told_made)
    plain = both(GAN(diffaugment=None))
    found = both(GAN(diffaugment=None, flipped=0.3), flip)
    assert found[0] == pytest.approx(float(expected), rel=1e-5)
    assert found[1] == plain[1], "the generator's goal is never noisy"
    told_real, told_made = torch.tensor([0.1, 1.0, 0.8]), torch.tensor([0.2, 0.9, 1.0])
    expected = F.binary_cross_entropy_with_logits(REAL, told_real) + F.binary_cross_entropy_with_logits(MADE, told_made)
    assert both(GAN(diffaugment=None, flipped=0.3, softened=0.2), flip | soften)[0] == pytest.approx(float(expected))
    signs_real, signs_made = torch.tensor([-1.0, 1.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0])
    expected = F.relu(1 - signs_real * REAL).mean() + F.relu(1 - signs_made * MADE).mean()
    assert both(GAN(diffaugment=None, flipped=0.3, loss="hinge"), flip)[0] == pytest.approx(float(expected))


def fresh(recipe, size=8, num_classes=3):
    images, labels = some(6, size, 3, max(num_classes, 1))
    return recipe.networks(3, size, num_classes), images, labels, recipe.noise((6, 3, size, size), stream(), "cpu")


def test_r1_is_half_gamma_times_the_squared_gradient_at_real_pictures():
    recipe = GAN(width=4, latent=5, norm="none", r1=3.0, dropout=0.2, diffaugment=DiffAugment(cutout=0.25))
    nets, images, labels, noise = fresh(recipe)
    found = recipe.loss_discriminator(nets, images, labels, noise, 1.0)
    without = recipe.changed(r1=0.0).loss_discriminator(nets, images, labels, noise, 1.0)
    real = (2 * images - 1).requires_grad_()
    augmented = recipe.diffaugment.apply(real, noise["augment_real"])
    logits = nets["discriminator"](augmented, labels, noise["keep_real"])
    squares = [
        torch.autograd.grad(logit, real, retain_graph=True)[0].square().sum() for logit in logits
    ]  # of each picture's own logit
    torch.testing.assert_close(found - without, 1.5 * torch.stack(squares).mean(), rtol=1e-3, atol=1e-7)
    (found - without).backward()
    assert any(bool(parameter.grad.any()) for parameter in nets["discriminator"].parameters())


def test_a_loss_reaches_its_own_network():
    recipe = GAN(width=4, latent=5)
    nets, images, labels, noise = fresh(recipe)
    recipe.loss_discriminator(nets, images, labels, noise, 1.0).backward()
    assert all(parameter.grad is None for parameter in nets["generator"].parameters())
    assert all(parameter.grad is not None for parameter in nets["discriminator"].parameters())
    recipe.loss_generator(nets, images, labels, noise, 1.0).backward()
    assert all(bool(parameter.grad.any()) for parameter in nets["generator"].parameters())


def test_the_discriminator_sees_nothing_that_is_not_augmented():
    recipe = GAN(width=4, latent=5)
    nets, images, labels, noise = fresh(recipe)
    seen = []
    spied = {
        "generator": nets["generator"].eval(),
        "discriminator": lambda pictures, labels, keep: seen.append(pictures) or pictures.mean(dim=(1, 2, 3)),
    }
    for _, loss in recipe.phases:
        loss(spied, images, labels, noise, 1.0)
    made, scored = (spied["generator"](noise[f"latent_{look}"], labels) for look in ("made", "scored"))
    looks = {"made": made, "real": 2 * images - 1, "scored": scored}
    for pictures, (look, plain) in zip(seen, looks.items(), strict=True):
        torch.testing.assert_close(pictures, recipe.diffaugment.apply(plain, noise[f"augment_{look}"]))
        assert not torch.equal(pictures, plain)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"loss": "hinge", "norm": "none", "r1": 2.0, "dropout": 0.2},
        {"flipped": 0.2, "softened": 0.1, "told": "maps", "diffaugment": None},
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_stacked_losses_and_gradients_are_those_of_each_network(fields, place):
    recipe = GAN(width=4, latent=5, **fields)
    sets = [fresh(recipe) for _ in range(3)]
    images, labels = torch.stack([one[1] * (k + 1) / 3 for k, one in enumerate(sets)]), sets[0][2]
    noise = [recipe.noise((6, 3, 8, 8), stream(k), "cpu") for k in range(3)]
    name, loss = recipe.phases[place]
    states = {key: torch.func.stack_module_state([one[0][key] for one in sets]) for key in sets[0][0]}
    shells = {key: network.to("meta").train() for key, network in recipe.networks(3, 8, 3).items()}

    def one(states, images, noise):
        def bound(key):
            return lambda *given: torch.func.functional_call(shells[key], states[key], given)

        return loss({key: bound(key) for key in shells}, images, labels, noise, 1.0)

    losses = torch.vmap(one)(states, images, {key: torch.stack([own[key] for own in noise]) for key in noise[0]})
    losses.sum().backward()
    for k, (nets, *_) in enumerate(sets):
        alone = loss(nets, images[k], labels, noise[k], 1.0)
        torch.testing.assert_close(losses[k], alone)
        alone.backward()
        for key, parameter in nets[name].named_parameters():
            torch.testing.assert_close(states[name][0][key].grad[k], parameter.grad, rtol=1e-3, atol=1e-6)


def test_a_sample_is_its_latent_vector_through_the_generator():
    recipe = GAN(width=4, latent=5)
    nets = {"generator": recipe.networks(3, 8, 3)["generator"].eval()}
    labels = torch.tensor([0, 1, 2, 0])
    made = recipe.draw(nets, labels, [4, 5, 6, 7], {}).detach()
    assert made.shape == (4, 3, 8, 8)
    assert 0 <= float(made.min()) < float(made.max()) <= 1
    again = recipe.draw(nets, labels.flip(0), [7, 6, 5, 4], {}).detach()
    torch.testing.assert_close(again.flip(0), made)


# ---------------------------------------------------------------- recipes


def test_the_presets_are_the_published_ones():
    def facts(name):
        recipe = GAN.preset(name)
        training = recipe.training
        assert recipe.scope == "per-class"
        assert recipe.view == View(size=64, channels=3)
        assert (training.optimizer, training.lr, training.betas) == ("adam", 2e-4, (0.5, 0.999))
        assert recipe.loss == "bce"
        assert recipe.diffaugment is None
        return recipe, training

    recipe, training = facts("s1")
    assert (recipe.latent, recipe.width, recipe.dropout, training.epochs) == (256, 64, 0.2, 10_000)
    assert recipe.flipped > 0
    recipe, training = facts("s0-1")
    assert (training.epochs, training.schedule, training.weight_decay) == (500, "constant", 0)
    convs = [one for one in recipe.networks(3, 64, 0)["generator"].modules() if isinstance(one, nn.ConvTranspose2d)]
    assert len(convs) == 5
    assert max(conv.out_channels for conv in convs) == 256
    recipe, training = facts("s0-2")
    assert (training.epochs, training.step_size, training.gamma, training.weight_decay) == (800, 30, 0.95, 0)
    assert recipe.epochs_by_size == ()
    recipe, training = facts("s0-3")
    assert (training.step_size, training.gamma, training.weight_decay) == (30, 0.99, 5e-5)
    assert recipe.epochs_by_size == ((0, 2500), (15, 2000), (40, 1800))
    for name in ("s0-1", "s0-2", "s0-3"):
        recipe, training = facts(name)
        assert (recipe.watch, recipe.window.from_epoch, training.keeps_best) == ("window", 100, True)
        assert recipe.dropout == recipe.flipped == 0
        assert training.schedule == "constant" or training.step_unit == "epochs"


def test_a_preset_is_a_start_and_an_unknown_one_is_an_error_with_the_nearest_name():
    assert GAN.preset("s1", latent=100) == GAN(**{**PRESETS["s1"], "latent": 100})
    assert choose({"gan": GAN}, {"kind": "gan", "from": "s0-3", "width": 8}, "") == GAN.preset("s0-3", width=8)
    with pytest.raises(ConfigError, match=r"unknown preset of gan 's0-4'; did you mean 's0-\d'"):
        GAN.preset("s0-4")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"r1": 1.0}, "r1=1.0 and norm='batch'"),
        ({"loss": "hinge", "softened": 0.1}, "softened=0.1 and loss='hinge'"),
        ({"scope": "per-class", "stacked": True, "norm": "spectral"}, "stacked and norm='spectral'"),
        ({"window": {"generator": (3.0, 1.0)}}, "lowest comes first"),
        ({"watch": "loss"}, "watch"),
        ({"flipped": 0.6}, "flipped"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        GAN(**fields)


# ---------------------------------------------------------------- while training


def test_inside_the_window_the_last_look_is_the_lowest():
    recipe = GAN.preset("s0-1", window=Window(from_epoch=10, generator=(1.0, 2.0), discriminator=(0.5, 1.5)))

    def at(generator, discriminator, epoch=50.0):
        return recipe.outside({"generator": generator, "discriminator": discriminator}, epoch)

    assert at(1.5, 1.0, 10) == -10
    assert at(1.5, 1.0, 20) == -20
    assert at(2.25, 1.0) == 0.25
    assert at(1.5, 0.25) == 0.25
    assert at(0.5, 4.5) == 3.0
    assert at(1.5, 1.0, 9.9) > at(1000.0, 1.0)


def test_a_fit_keeps_the_last_look_inside_the_window():
    images, targets = load_digits(return_X_y=True)
    pixels = np.rint(images[targets < 2][:40].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    train = LabeledImages.of_arrays(pixels, targets[targets < 2][:40])
    wide = Window(from_epoch=2, generator=(0.0, 100.0), discriminator=(0.0, 100.0))
    training = GAN().training.changed(steps=24, batch_size=10, eval_every=4, keep="best", ema=None)
    recipe = GAN(width=4, latent=5, watch="window", window=wide, training=training)
    history = recipe.fit(train, None, seed=0).history["all"]
    assert [values["window"] for values in history["values"]] == [1e6, -2, -3, -4, -5, -6]
    assert history["best_step"] == 24
    never = wide.changed(generator=(90.0, 100.0))
    history = recipe.changed(window=never).fit(train, None, seed=0).history["all"]
    gaps = [values["window"] for values in history["values"]]
    assert gaps[0] == 1e6
    assert min(gaps[1:]) > 80
    assert history["best_step"] == history["steps"][int(np.argmin(gaps))]


@pytest.mark.parametrize("fields", [{}, {"flipped": 0.1}, {"flipped": 0.05, "softened": 0.2}, {"loss": "hinge"}])
def test_the_alarm_is_given_when_the_discriminator_has_won(fields):
    """It tells every picture apart: logits of a perfect discriminator under the label noise there is."""
    recipe = GAN(diffaugment=None, **fields)
    wrong = recipe.flipped + recipe.softened / 2 - recipe.flipped * recipe.softened
    logit = math.log((1 - wrong) / wrong) if wrong else 1.05 if recipe.loss == "hinge" else 8.0
    noise = recipe.noise((20_000, 1, 4, 4), stream(), "cpu")

    def means(logit):
        real = recipe._loss_at(torch.full((20_000,), logit), noise, "real")
        made = recipe._loss_at(torch.full((20_000,), -logit), noise, "made")
        scored = logit if recipe.loss == "hinge" else math.log1p(math.exp(logit))
        return {"discriminator": float(real + made), "generator": scored}

    assert "the discriminator has won" in recipe.alarm(means(logit))
    assert recipe.alarm(means(0.0)) is None
    assert recipe.alarm(means(0.3 * logit)) is None
