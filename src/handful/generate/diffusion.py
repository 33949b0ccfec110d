"""Denoising diffusion: a small U-Net for small pictures on one core, and the published 64 px one as a preset."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from handful import rng
from handful.data.images import View
from handful.errors import ConfigError
from handful.generate.neural import LossFn, Memory, Nets, NeuralRecipe, Noise
from handful.generate.unet import WIDTH, CompactUNet, Denoiser, UNet2D
from handful.nn.train import Training

Schedule = Literal["linear", "cosine"]
BINS = 16  # of the colour histogram
GLIMPSE_STEPS = 10
HEAVIEST = 5.0  # weight of an error in x0


class Diffusion(NeuralRecipe):
    """Denoising diffusion probabilistic models (Ho, Jain and Abbeel 2020), told the class or one per class.

    A picture x0 in [-1, 1] is mixed with normal noise, x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps (eq. 4),
    and the network is trained on the squared error of its answer (eq. 14). Sampling goes back from pure noise through
    diffusers' schedulers; what the network says is turned into x0, clipped to [-1, 1] and handed to the scheduler.

    Preset `s1` is the published per-class DDPM for 64 px (study S1, table 3): UNet2DModel with channels 64, 64, 128,
    128, 256, 256 and attention at the fifth level, linear schedule, noise prediction, 500 epochs a class, float16. Its
    learning rate falls over images times epochs steps, which is one picture per step; another batch size is not stated.

    Args:
        network: `compact` (ours: fast on one core) or `unet2d` (diffusers' UNet2DModel).
        width: channels of the first level, a multiple of 8.
        multiples: channels of each level as a multiple of `width`; between levels the map is halved.
        attention: per level, whether its blocks attend to all places of the map; the middle always does.
        blocks: residual blocks per level.
        patch: side of the pixel squares folded into channels before the first level; 1: none. 2 is 4 times cheaper.
        timesteps: levels of noise T.
        schedule: of the noise: `linear` (beta from 1e-4 to 0.02, Ho et al. 2020) or `cosine` (Nichol and Dhariwal
            2021, eq. 17), which leaves more of a small picture.
        prediction: what the network answers: the noise `epsilon`; `v` = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0
            (Salimans and Ho 2022, appendix D); or the picture `x0` itself, its error weighted by the lesser of
            1 / (1 - alpha_bar) and 5 (after Hang et al. 2023, section 3.4). A small network that is trained briefly
            makes cleaner pictures when it need not answer noise.
        histogram: weight of a colour-histogram loss between the x0 predicted and the picture's own; 0: none.
        drop: share of the pictures whose class is withheld while training, for guidance (Ho and Salimans 2022); heeded
            where the network is told the class.
        guidance: weight g in answer = without + g (with - without) the class when sampling; 1: none.
        sampler: `ddpm` (ancestral, Ho et al. 2020), `ddim` (eta 0, Song et al. 2021) or `dpm-solver++` (second order,
            multistep, in even steps of the log signal-to-noise ratio, Lu et al. 2022).
        sample_steps: steps of the sampler, at most `timesteps`; with the cosine schedule dpm-solver++ leaves out those
            at which hardly any picture is left.
    """

    kind: Literal["diffusion"] = "diffusion"
    sampled: ClassVar[tuple[str, ...]] = ("unet",)
    stackable: ClassVar[bool] = True
    val_loss: ClassVar[bool] = True
    network: Literal["compact", "unet2d"] = "compact"
    width: Annotated[int, Field(ge=WIDTH, multiple_of=WIDTH)] = 64
    multiples: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2)
    attention: tuple[bool, ...] = (False, True)
    blocks: Annotated[int, Field(ge=1)] = 1
    patch: Annotated[int, Field(ge=1, le=8)] = 2
    timesteps: Annotated[int, Field(ge=2)] = 1000
    schedule: Schedule = "cosine"
    prediction: Literal["epsilon", "v", "x0"] = "x0"
    histogram: Annotated[float, Field(ge=0)] = 0.0
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.1
    guidance: Annotated[float, Field(ge=0)] = 2.0
    sampler: Literal["ddpm", "ddim", "dpm-solver++"] = "dpm-solver++"
    sample_steps: Annotated[int, Field(ge=1)] = 20
    training: Training = Training(steps=600, lr=1e-3, weight_decay=0.0, warmup_steps=50, eval_every=300, ema=0.995)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "s1": {
            "scope": "per-class",
            "view": View(size=64, channels=3),
            "network": "unet2d",
            "width": 64,
            "multiples": (1, 1, 2, 2, 4, 4),
            "attention": (False, False, False, False, True, False),
            "blocks": 2,
            "patch": 1,
            "schedule": "linear",
            "prediction": "epsilon",
            "drop": 0.0,
            "guidance": 1.0,
            "sampler": "ddpm",
            "sample_steps": 1000,
            "training": Training(
                epochs=500,
                batch_size=1,
                lr=1e-4,
                weight_decay=1e-2,
                warmup_steps=500,
                eval_every=2000,
                precision="float16",
            ),
        },
    }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        faults = []
        if len(self.attention) != len(self.multiples):
            faults.append(
                f"attention has {len(self.attention)} levels and multiples {len(self.multiples)}: must be equal"
            )
        if self.sample_steps > self.timesteps:
            faults.append(f"sample_steps={self.sample_steps} is more than timesteps={self.timesteps}")
        if self.drop == 0 and self.guidance != 1:
            faults.append(f"guidance={self.guidance} needs drop > 0: a class never withheld cannot be left out")
        if faults:
            raise ConfigError(*faults)
        return self

    @property
    def phases(self) -> tuple[tuple[str, LossFn], ...]:
        return (("unet", self.loss),)

    def networks(self, channels: int, size: int, num_classes: int) -> dict[str, nn.Module]:
        table = num_classes + 1 if num_classes else 0
        kind = CompactUNet if self.network == "compact" else UNet2D
        unet = kind(
            channels * self.patch**2,
            widths=[self.width * multiple for multiple in self.multiples],
            attention=self.attention,
            blocks=self.blocks,
            num_classes=table,
        )
        shape = (channels, size, size)
        halvings = len(self.multiples) - 1
        return {"unet": Denoiser(unet, shape, patch=self.patch, halvings=halvings, num_classes=num_classes)}

    def noise(self, shape: tuple[int, int, int, int], stream: torch.Generator, device: str) -> Noise:
        """Return what a step draws for B pictures.

        `timestep` int64 [B], evenly spread over 0..T-1 from a random start and shuffled (Kingma et al. 2021, appendix
        I.1); `alpha_bar` [B] at these; `eps` [B, C, H, W] standard normal; `told` bool [B], false where the class is
        withheld.
        """
        at = stream.device
        spread = (torch.rand(1, generator=stream, device=at) + torch.arange(shape[0], device=at) / shape[0]) % 1
        timestep = (spread[torch.randperm(shape[0], generator=stream, device=at)] * self.timesteps).long()
        timestep = timestep.clamp(max=self.timesteps - 1)  # a float32 just under 1 may round up
        drawn = {
            "timestep": timestep,
            "alpha_bar": alpha_bar(self.schedule, self.timesteps).float().to(at)[timestep],
            "eps": torch.randn(shape, generator=stream, device=at),
            "told": torch.rand(shape[0], generator=stream, device=at) >= self.drop,
        }
        return {name: tensor.to(device) for name, tensor in drawn.items()}

    def loss(
        self,
        nets: Nets,
        images: torch.Tensor,
        labels: torch.Tensor,
        noise: Noise,
        done: float,
    ) -> torch.Tensor:
        """Return the mean squared error of the network's answer, plus the histogram's.

        An answer of 0 where `epsilon` is asked for costs about 1.
        """
        clean, eps = images * 2 - 1, noise["eps"]
        share = noise["alpha_bar"][:, None, None, None]
        signal, spread = share.sqrt(), (1 - share).sqrt()
        noisy = signal * clean + spread * eps
        answer: torch.Tensor = nets["unet"](noisy, noise["timestep"], labels, noise["told"]).float()
        if self.prediction == "x0":
            error = ((answer - clean).square() / (1 - share).clamp(min=1 / HEAVIEST)).mean()
        else:
            target = eps if self.prediction == "epsilon" else signal * eps - spread * clean
            error = (answer - target).square().mean()
        if self.histogram:
            guess = self._clean(answer, noisy, signal, spread).clamp(-1, 1)
            apart = histogram_distance((guess + 1) / 2, images)
            error = error + self.histogram * (noise["alpha_bar"] * apart).mean()  # little is known of x0 in much noise
        return error

    def draw(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        unet, device = nets["unet"], labels.device
        assert isinstance(unet, Denoiser)
        streams = [rng.torch_rng(seed, "diffusion") for seed in seeds]  # on the CPU: the same noise for every device
        noisy = torch.stack([torch.randn(unet.shape, generator=stream) for stream in streams]).to(device)
        shares = alpha_bar(self.schedule, self.timesteps).float().to(device)
        scheduler = self.scheduler()
        told = torch.ones(len(labels), dtype=torch.bool, device=device)
        for timestep in scheduler.timesteps.tolist():
            at = torch.full_like(labels, timestep)
            answer = unet(noisy, at, labels, told)
            if unet.num_classes and self.guidance != 1:
                without = unet(noisy, at, labels, ~told)
                answer = without + self.guidance * (answer - without)
            clean = self._clean(answer, noisy, shares[timestep].sqrt(), (1 - shares[timestep]).sqrt()).clamp(-1, 1)
            noisy = scheduler.step(clean, timestep, noisy, generator=streams).prev_sample
        made: torch.Tensor = (noisy.clamp(-1, 1) + 1) / 2
        return made

    def glimpse(self, nets: Nets, labels: torch.Tensor, seeds: Sequence[int], memory: Memory) -> torch.Tensor:
        """Return what 10 steps of dpm-solver++ give: a look must not cost 1000."""
        quick = self.changed(sampler="dpm-solver++", sample_steps=min(GLIMPSE_STEPS, self.sample_steps))
        return quick.draw(nets, labels, seeds, memory)

    def scheduler(self) -> Any:
        """Return diffusers' scheduler of `sampler`, set to `sample_steps`; it is handed x0 already clipped."""
        from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

        fields: dict[str, Any] = {
            "num_train_timesteps": self.timesteps,
            "beta_schedule": {"linear": "linear", "cosine": "squaredcos_cap_v2"}[self.schedule],
            "prediction_type": "sample",
            "timestep_spacing": "trailing",
        }
        if self.sampler == "dpm-solver++":
            if self.schedule == "cosine":
                fields["lambda_min_clipped"] = -5.1  # its log signal-to-noise ratio has no lower end
            fields |= {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_lu_lambdas": True}
        else:
            fields["clip_sample"] = False
        kinds: dict[str, Any] = {
            "ddpm": DDPMScheduler,
            "ddim": DDIMScheduler,
            "dpm-solver++": DPMSolverMultistepScheduler,
        }
        scheduler = kinds[self.sampler](**fields)
        with warnings.catch_warnings():  # of how diffusers makes an array of a tensor
            warnings.filterwarnings("ignore", message="__array__ implementation", category=DeprecationWarning)
            scheduler.set_timesteps(self.sample_steps)
        return scheduler

    def _clean(
        self, answer: torch.Tensor, noisy: torch.Tensor, signal: torch.Tensor, spread: torch.Tensor
    ) -> torch.Tensor:
        """The x0 that an answer stands for."""
        if self.prediction == "x0":
            return answer
        if self.prediction == "epsilon":
            return (noisy - spread * answer) / signal
        return signal * noisy - spread * answer


@functools.lru_cache(maxsize=8)
def alpha_bar(schedule: Schedule, timesteps: int) -> torch.Tensor:
    """Return float64 [T], the share of the picture's variance left at each timestep: the product of 1 - beta.

    `linear`: beta from 1e-4 to 0.02 (Ho et al. 2020, section 4). `cosine`: beta_t = min(1 - f(t + 1) / f(t), 0.999)
    with f(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2) (Nichol and Dhariwal 2021, eq. 17). Checked against
    diffusers' schedulers, which take the product in float32: equal within 1e-6.
    """
    if schedule == "linear":
        beta = torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64)
    else:
        at = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
        left = torch.cos((at + 0.008) / 1.008 * math.pi / 2) ** 2
        beta = (1 - left[1:] / left[:-1]).clamp(max=0.999)
    return torch.cumprod(1 - beta, dim=0)


def histogram_distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return [B], the mean absolute difference of cumulative colour histograms, per picture, over channels and bins.

    Each pixel is shared between the two nearest of 16 bins, so the distance has a gradient.

    Args:
        one, other: float [B, C, H, W] in [0, 1].
    """
    return (_histogram(one).cumsum(-1) - _histogram(other).cumsum(-1)).abs().mean(dim=(1, 2))


def _histogram(images: torch.Tensor) -> torch.Tensor:
    centres = torch.linspace(0, 1, BINS, device=images.device)
    apart = (images.flatten(2)[..., None] - centres).abs() * (BINS - 1)  # [B, C, H W, bins]
    return (1 - apart).clamp(min=0).mean(dim=2)
