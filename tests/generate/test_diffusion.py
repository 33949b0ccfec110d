"""Denoising diffusion: its noise, its losses, its networks, its samplers, and that it learns."""

from __future__ import annotations

import math

import diffusers
import numpy as np
import pytest
import torch
from torch import nn

from handful import rng
from handful.data.images import LabeledImages
from handful.errors import ConfigError
from handful.generate.diffusion import BINS, Diffusion, alpha_bar, histogram_distance
from handful.generate.unet import Denoiser, sinusoids

SMALL = {"width": 8, "patch": 1}
SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


@pytest.fixture(autouse=True)
def alone():
    """One thread, and torch's global stream put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def batch(num=8, channels=3, size=8, classes=3):
    stream = torch.Generator().manual_seed(1)
    images = torch.rand(num, channels, size, size, generator=stream)
    return images, torch.randint(0, classes, (num,), generator=stream)


def answering(answer):
    """Networks that always answer so."""
    return {"unet": lambda noisy, timesteps, labels, told: answer(noisy, timesteps)}


class Oracle(Denoiser):
    """Knows that every picture is `x0`, and answers what is right then."""

    def __init__(self, recipe, x0):
        super().__init__(nn.Identity(), tuple(x0.shape), patch=1, halvings=0, num_classes=0)
        self.recipe, self.x0 = recipe, x0

    def forward(self, noisy, timesteps, labels, told):
        share = alpha_bar(self.recipe.schedule, self.recipe.timesteps).float()[timesteps][:, None, None, None]
        eps = (noisy - share.sqrt() * self.x0) / (1 - share).sqrt()
        v = share.sqrt() * eps - (1 - share).sqrt() * self.x0
        return {"epsilon": eps, "v": v, "x0": self.x0.expand_as(noisy)}[self.recipe.prediction]


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("timesteps", [10, 1000])
def test_the_share_of_the_picture_left_is_that_of_diffusers(schedule, timesteps):
    theirs = diffusers.DDPMScheduler(timesteps, beta_schedule=SCHEDULES[schedule]).alphas_cumprod
    torch.testing.assert_close(alpha_bar(schedule, timesteps), theirs.double(), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_network_sees_what_diffusers_would_make_noisy(schedule):
    recipe, (images, labels) = Diffusion(schedule=schedule), batch()
    noise = recipe.noise(tuple(images.shape), rng.torch_rng(0), "cpu")
    seen = []
    recipe.loss(answering(lambda noisy, _: seen.append(noisy) or noisy), images, labels, noise, 1.0)
    scheduler = diffusers.DDPMScheduler(1000, beta_schedule=SCHEDULES[schedule])
    theirs = scheduler.add_noise(images * 2 - 1, noise["eps"], noise["timestep"])
    torch.testing.assert_close(seen[0], theirs, atol=1e-4, rtol=1e-4)


def test_what_a_step_draws_is_even_and_repeatable():
    recipe = Diffusion(drop=0.25)
    one, again = (recipe.noise((4000, 1, 4, 4), rng.torch_rng(3), "cpu") for _ in range(2))
    assert {name: len(tensor) for name, tensor in one.items()} == dict.fromkeys(one, 4000)
    for name, tensor in one.items():
        assert torch.equal(tensor, again[name])
    edges = torch.histc(one["timestep"].float(), bins=10, min=0, max=1000)
    assert (edges - 400).abs().max() <= 1, "spread evenly over all timesteps"
    assert (one["timestep"][1:] < one["timestep"][:-1]).any(), "in no order"
    assert torch.equal(one["alpha_bar"], alpha_bar("cosine", 1000).float()[one["timestep"]])
    assert abs(one["told"].float().mean() - 0.75) < 0.03
    assert abs(one["eps"].mean()) < 0.02
    assert abs(one["eps"].std() - 1) < 0.02


def test_one_picture_meets_every_timestep():
    recipe = Diffusion(timesteps=4, sample_steps=4)
    steps = {int(recipe.noise((1, 1, 4, 4), rng.torch_rng(seed), "cpu")["timestep"]) for seed in range(60)}
    assert steps == {0, 1, 2, 3}


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_loss_of_an_answer_of_zero_is_its_variance(prediction):
    """1 for the noise; for v, alpha_bar + (1 - alpha_bar) E x0^2."""
    recipe, (images, labels) = Diffusion(prediction=prediction), batch(512)
    noise = recipe.noise(tuple(images.shape), rng.torch_rng(0), "cpu")
    loss = recipe.loss(answering(lambda noisy, _: torch.zeros_like(noisy)), images, labels, noise, 1.0)
    share = noise["alpha_bar"].mean()
    expected = 1 if prediction == "epsilon" else share + (1 - share) * ((2 * images - 1) ** 2).mean()
    assert loss.item() == pytest.approx(float(expected), rel=0.02)


def test_an_error_in_the_picture_weighs_as_much_as_in_v_but_at_most_5_times():
    recipe, (images, labels) = Diffusion(prediction="x0"), batch(1)
    for share, weight in ((0.0, 1.0), (0.5, 2.0), (0.99, 5.0)):
        noise = recipe.noise(tuple(images.shape), rng.torch_rng(0), "cpu") | {"alpha_bar": torch.tensor([share])}
        wrong = answering(lambda noisy, _: images * 2 - 1 + 0.1)
        assert recipe.loss(wrong, images, labels, noise, 1.0).item() == pytest.approx(0.01 * weight, rel=1e-4)


@pytest.mark.parametrize("network", ["compact", "unet2d"])
def test_an_untrained_network_starts_at_about_1(network):
    recipe = Diffusion(network=network, prediction="epsilon", **SMALL)
    images, labels = batch(64)
    noise = recipe.noise(tuple(images.shape), rng.torch_rng(0), "cpu")
    assert recipe.loss(recipe.networks(3, 8, 3), images, labels, noise, 1.0).item() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
def test_the_right_answer_costs_nothing_and_stands_for_the_picture(prediction):
    recipe, (images, labels) = Diffusion(prediction=prediction, histogram=1.0), batch(1)
    noise = recipe.noise(tuple(images.shape), rng.torch_rng(0), "cpu")
    oracle = Oracle(recipe, images[0] * 2 - 1)
    assert recipe.loss({"unet": oracle}, images, labels, noise, 1.0).item() < 1e-3


def test_the_colour_histogram_tells_colours_apart_and_not_places():
    images, _ = batch(4)
    moved = images.flip(-1)
    assert histogram_distance(images, moved).abs().max() < 1e-6
    black, white = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    torch.testing.assert_close(histogram_distance(black, white), torch.full((2,), (BINS - 1) / BINS))
    grey = torch.full((1, 3, 4, 4), 0.4, requires_grad=True)
    histogram_distance(grey, torch.full((1, 3, 4, 4), 0.7)).sum().backward()
    assert (grey.grad < 0).all(), "brighter is nearer"


def test_the_histogram_adds_its_weight_to_the_loss():
    images, labels = batch()
    noise = Diffusion().noise(tuple(images.shape), rng.torch_rng(0), "cpu")
    zero = answering(lambda noisy, _: torch.zeros_like(noisy))
    none, one, three = (Diffusion(histogram=w).loss(zero, images, labels, noise, 1.0) for w in (0.0, 1.0, 3.0))
    assert one > none
    torch.testing.assert_close(three - none, 3 * (one - none))


# ---------------------------------------------------------------- networks


def test_the_published_network_is_that_of_table_3():
    recipe = Diffusion.preset("s1")
    unet = recipe.networks(3, 64, 0)["unet"].unet.unet
    config = unet.config
    assert (config.in_channels, config.out_channels, config.layers_per_block) == (3, 3, 2)
    assert config.block_out_channels == (64, 64, 128, 128, 256, 256)
    assert config.down_block_types == (*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D")
    assert config.up_block_types == ("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4)
    assert (config.dropout, config.norm_num_groups) == (0.0, 32)
    theirs = diffusers.UNet2DModel(
        sample_size=64,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(64, 64, 128, 128, 256, 256),
        down_block_types=("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    )
    assert {name: p.shape for name, p in unet.named_parameters()} == {
        name: p.shape for name, p in theirs.named_parameters()
    }
    training = recipe.training
    assert (training.epochs, training.lr, training.optimizer) == (500, 1e-4, "adamw")
    assert (training.schedule, training.warmup_steps) == ("cosine", 500)
    assert (training.precision, training.accumulate) == ("float16", 1)
    assert training.steps_for(78) == 78 * 500
    assert (recipe.timesteps, recipe.schedule, recipe.prediction) == (1000, "linear", "epsilon")
    assert (recipe.scope, recipe.view.size) == ("per-class", 64)


@pytest.mark.parametrize("network", ["compact", "unet2d"])
@pytest.mark.parametrize(("size", "channels"), [(4, 3), (5, 1), (17, 3)])
@pytest.mark.parametrize("patch", [1, 2, 3])
def test_any_size_comes_back_as_it_went_in(network, size, channels, patch):
    recipe = Diffusion(network=network, width=8, patch=patch)
    unet = recipe.networks(channels, size, 2)["unet"]
    for parameter in unet.parameters():  # an untrained one answers zero everywhere
        nn.init.normal_(parameter, std=0.1)
    noisy = torch.randn(2, channels, size, size)
    answer = unet(noisy, torch.tensor([0, 999]), torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool))
    assert answer.shape == noisy.shape
    assert answer.isfinite().all()
    assert (answer.flatten(1).std(dim=1) > 0).all()


@pytest.mark.parametrize("network", ["compact", "unet2d"])
def test_class_and_timestep_are_heeded_and_a_withheld_class_is_not(network):
    unet = Diffusion(network=network, **SMALL).networks(1, 8, 3)["unet"]
    for parameter in unet.parameters():
        nn.init.normal_(parameter, std=0.1)
    noisy, yes, no = torch.randn(1, 1, 8, 8), torch.tensor([True]), torch.tensor([False])

    def answer(timestep, label, told):
        return unet(noisy, torch.tensor([timestep]), torch.tensor([label]), told)

    assert not torch.allclose(answer(5, 0, yes), answer(5, 1, yes))
    assert not torch.allclose(answer(5, 0, yes), answer(900, 0, yes))
    assert torch.equal(answer(5, 0, no), answer(5, 1, no))
    assert not torch.allclose(answer(5, 0, no), answer(5, 0, yes))


@pytest.mark.parametrize("network", ["compact", "unet2d"])
def test_there_is_no_randomness_inside(network):
    recipe, (images, labels) = Diffusion(network=network, **SMALL), batch()
    nets = recipe.networks(3, 8, 3)
    nets["unet"].train()
    noise = recipe.noise(tuple(images.shape), rng.torch_rng(0), "cpu")
    before = torch.get_rng_state()
    one, again = (recipe.loss(nets, images, labels, noise, 1.0) for _ in range(2))
    assert torch.equal(one, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_sinusoids_are_sines_and_cosines_of_the_timestep():
    made = sinusoids(torch.tensor([0, 7]), 8)
    rates = [10_000 ** (-place / 4) for place in range(4)]
    expected = [[0.0] * 4 + [1.0] * 4, [math.sin(7 * r) for r in rates] + [math.cos(7 * r) for r in rates]]
    torch.testing.assert_close(made, torch.tensor(expected))


@pytest.mark.parametrize("network", ["compact", "unet2d"])
def test_stacked_networks_have_the_gradients_they_have_alone(network):
    recipe, (images, labels) = Diffusion(network=network, scope="per-class", histogram=0.5, **SMALL), batch()
    alone = [recipe.networks(3, 8, 0)["unet"] for _ in range(2)]
    noises = [recipe.noise(tuple(images.shape), rng.torch_rng(seed), "cpu") for seed in range(2)]
    for network, noise in zip(alone, noises, strict=True):
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.1)
        recipe.loss({"unet": network}, images, labels, noise, 1.0).backward()
    parameters, buffers = torch.func.stack_module_state(alone)

    def one(weights, noise):
        def unet(*given):
            return torch.func.functional_call(alone[0], (weights, buffers), given)

        return recipe.loss({"unet": unet}, images, labels, noise, 1.0)

    noise = {name: torch.stack([noise[name] for noise in noises]) for name in noises[0]}
    torch.vmap(one)(parameters, noise).sum().backward()
    for place, network in enumerate(alone):
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(parameters[name].grad[place], parameter.grad, atol=1e-4, rtol=1e-3)


# ---------------------------------------------------------------- samplers


@pytest.mark.parametrize("prediction", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 100), ("ddpm", 7), ("ddim", 5), ("dpm-solver++", 4)])
def test_every_sampler_ends_where_the_right_answers_lead(sampler, steps, schedule, prediction):
    images, labels = batch(4)
    recipe = Diffusion(
        sampler=sampler,
        sample_steps=steps,
        timesteps=100,
        schedule=schedule,
        prediction=prediction,
        drop=0,
        guidance=1.0,
    )
    oracle = Oracle(recipe, images[0] * 2 - 1)
    made = recipe.draw({"unet": oracle}, labels, [1, 2, 3, 4], {})
    assert (made - images[0]).abs().max() < 0.06, "but for the noise left at the first timestep"


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++"])
def test_a_row_depends_on_its_label_and_seed_alone(sampler):
    recipe = Diffusion(sampler=sampler, sample_steps=3, timesteps=20, **SMALL)
    nets = recipe.networks(1, 8, 3)
    for parameter in nets["unet"].parameters():
        nn.init.normal_(parameter, std=0.05)
    labels, seeds = torch.tensor([0, 1, 2, 0]), [5, 6, 7, 8]
    with torch.inference_mode():
        whole = recipe.draw(nets, labels, seeds, {})
        turned = recipe.draw(nets, labels.flip(0), seeds[::-1], {}).flip(0)
        others = recipe.draw(nets, torch.tensor([0, 2, 1, 1]), [5, 1, 2, 3], {})
    assert torch.equal(whole, turned)
    torch.testing.assert_close(whole[0], others[0])
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert not torch.allclose(whole[0], whole[3], atol=1e-5)


def test_guidance_1_is_the_network_told_the_class_and_more_goes_further():
    """The answer differs by class in a constant, so what guidance adds can be read off the picture."""

    class Shifted(Denoiser):
        def __init__(self):
            super().__init__(nn.Identity(), (1, 4, 4), patch=1, halvings=0, num_classes=2)
            self.calls = 0

        def forward(self, noisy, timesteps, labels, told):
            self.calls += 1
            x0 = (told * 0.2)[:, None, None, None].expand_as(noisy)
            share = alpha_bar("cosine", 20).float()[timesteps][:, None, None, None]
            return (share.sqrt() * noisy - x0) / (1 - share).sqrt()

    for guidance, mean, calls in ((1.0, 0.2, 6), (0.0, 0.0, 12), (2.5, 0.5, 12)):
        network = Shifted()
        recipe = Diffusion(timesteps=20, sample_steps=6, sampler="ddim", prediction="epsilon", guidance=guidance)
        made = recipe.draw({"unet": network}, torch.zeros(8, dtype=torch.int64), range(8), {})
        assert made.mean().item() * 2 - 1 == pytest.approx(mean, abs=0.05)
        assert network.calls == calls


def test_a_look_while_training_takes_few_steps(monkeypatch):
    steps = []
    plain = Denoiser.forward

    def spy(self, noisy, timesteps, labels, told):
        steps.append(int(timesteps[0]))
        return plain(self, noisy, timesteps, labels, told)

    monkeypatch.setattr(Denoiser, "forward", spy)
    recipe = Diffusion(sampler="ddpm", sample_steps=1000, guidance=1.0, **SMALL)
    nets = recipe.networks(1, 8, 2)
    assert recipe.glimpse(nets, torch.tensor([0, 1]), [1, 2], {}).shape == (2, 1, 8, 8)
    assert 8 <= len(steps) <= 10


# ---------------------------------------------------------------- recipe


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"multiples": (1, 2, 2)}, "attention has 2 levels and multiples 3"),
        ({"sample_steps": 30, "timesteps": 20}, "sample_steps=30 is more than timesteps=20"),
        ({"drop": 0.0}, "guidance=2.0 needs drop > 0"),
        ({"width": 12}, "multiple of 8"),
    ],
)
def test_what_cannot_be_is_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        Diffusion(**fields)


def test_all_faults_are_said_at_once():
    with pytest.raises(ConfigError) as raised:
        Diffusion(multiples=(1,), sample_steps=30, timesteps=20, drop=0.0)
    assert len(raised.value.faults) == 3


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize(("prediction", "sampler"), [("epsilon", "ddpm"), ("x0", "dpm-solver++")])
def test_two_points_are_learnt_in_their_shares(prediction, sampler):
    """Three of four pictures are bright on the left, one on top; samples are near one of them, in these shares."""
    left, top = np.full((2, 1, 4, 4), 64, dtype=np.uint8)
    left[:, :, :2], top[:, :2] = 192, 192
    part = LabeledImages.of_arrays(np.stack([left, left, left, top] * 8), np.zeros(32, dtype=np.int64))
    recipe = Diffusion(
        scope="per-class",
        prediction=prediction,
        sampler=sampler,
        timesteps=100,
        sample_steps=25,
        multiples=(1,),
        attention=(False,),
        width=16,
        patch=4 if prediction == "x0" else 2,  # what answers noise needs channels for all of it
    )
    recipe = recipe.changed(training=recipe.training.changed(steps=300, lr=5e-3, eval_every=300))
    made = recipe.fit(part, None, seed=0).sample([0] * 128, seeds=range(128)).pixels.astype(float)
    to_left, to_top = (np.abs(made - point).mean(axis=(1, 2, 3)) for point in (left, top))
    near = np.minimum(to_left, to_top) < 15
    assert near.mean() > 0.8
    assert 0.6 < (to_left < to_top).mean() < 0.9
