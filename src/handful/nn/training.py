"""The recipe of a training: how long, with what optimizer and schedule, and what keeps it from overfitting."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from handful.config import Recipe
from handful.errors import ConfigError
from handful.nn.schedule import cosine, one_cycle

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
PCT_START = 0.3


class Training(Recipe):
    """How long and with what optimizer networks are trained.

    Args:
        steps: optimizer steps, the default budget; equal for all arms that share a classifier.
        epochs: passes over the training part instead of `steps`, for published protocols.
        batch_size: pictures per step.
        optimizer: `adam`, `adamw` or `sgd` (Nesterov, with `momentum`).
        lr: learning rate, the peak of the schedule.
        betas: the two decay rates of adam and adamw.
        weight_decay: L2 for adam and sgd, decoupled for adamw.
        decay_norms: weight decay also holds for biases and norm layers (all of one axis); else for weights alone
            (He et al. 2019, section 3.1).
        l1: times the sum of |w| over the weights of convolutions and linear layers, added to the loss of each
            network; the history has the loss without it.
        clip_norm: largest norm of a network's gradient; a longer one is shortened (Pascanu et al. 2013).
        schedule: `cosine` (to zero), `one-cycle` (up over the share `pct_start` of the steps, then down to nearly
            zero, Smith and Topin 2017), `step` (times `gamma` every `step_size` steps, or epochs with `step_unit`),
            `plateau` (times `gamma` when the watched value has not improved for `plateau_patience` evaluations) or
            `constant`.
        decay: with `constant` or `plateau`, the rate of step t is divided by 1 + decay t (Keras' time-based decay).
        warmup_steps: steps of linear increase from zero, before any schedule.
        eval_every: steps between two looks at validation; the last step is always one.
        patience: evaluations without improvement after which training stops; None: never.
        keep: weights kept at the end: `best` by the watched value on validation, or `last`. None: `best` with
            `patience`, else `last`, because a validation part of a few dozen pictures picks worse weights than the
            end of a schedule does (docs/decisions/0004).
        ema: decay of a moving average of the weights, which is what is evaluated and kept (Polyak and Juditsky 1992).
            After t steps the decay is at most (1 + t) / (10 + t), so that a short run does not end near its start.
        swa_start: share of the steps after which the weights of every step are averaged, all with equal weight
            (stochastic weight averaging, Izmailov et al. 2018, who do so at a constant or a cyclic rate). Looks at
            validation see the weights being trained; the average takes their place at the end, its batch norms'
            statistics measured anew on one more pass over the training part.
        precision: of forward and backward passes under autocast; `float16` scales the loss against underflow
            (Micikevicius et al. 2018). Weights and optimizer stay in float32. A CPU, which is some 30 times slower
            in `float16`, computes in float32 instead.
        accumulate: parts that a batch is cut into; their gradients are averaged into one optimizer step.
    """

    steps: Positive = 600
    epochs: Positive | None = None
    batch_size: Positive = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    decay_norms: bool = True
    l1: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    schedule: Literal["cosine", "one-cycle", "step", "plateau", "constant"] = "cosine"
    pct_start: Annotated[float, Field(gt=0, lt=1)] = PCT_START
    decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    step_size: Positive = 200
    step_unit: Literal["steps", "epochs"] = "steps"
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.5
    plateau_patience: Positive = 2
    eval_every: Positive = 50
    patience: Positive | None = None
    keep: Literal["best", "last"] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    swa_start: Share | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    accumulate: Positive = 1

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.batch_size % self.accumulate:
            raise ConfigError(f"accumulate={self.accumulate} does not divide batch_size={self.batch_size}")
        return self

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        faults = []
        if self.decay and self.schedule not in ("constant", "plateau"):
            faults.append(
                f"decay={self.decay} and schedule={self.schedule!r} both lower the rate: set schedule to 'constant' or "
                "'plateau', or leave decay out"
            )
        if self.schedule == "one-cycle" and self.warmup_steps:
            faults.append("schedule='one-cycle' warms up by itself: leave warmup_steps out, pct_start says how long")
        if self.schedule != "one-cycle" and self.pct_start != PCT_START:
            faults.append(f"pct_start={self.pct_start} is for schedule='one-cycle', not {self.schedule!r}")
        if self.swa_start is not None:
            given = {"ema": self.ema, "patience": self.patience, "keep": "best" if self.keep == "best" else None}
            faults += [
                f"swa_start={self.swa_start} keeps an average of the last weights: leave {name}={value!r} out"
                for name, value in given.items()
                if value is not None
            ]
        if faults:
            raise ConfigError(*faults)
        return self

    @property
    def keeps_best(self) -> bool:
        """Whether validation chooses the weights."""
        return self.keep == "best" or (self.keep is None and self.patience is not None)

    @property
    def validates(self) -> tuple[tuple[str, Any, Any], ...]:
        """(field, its value, the value that does without) of every field that needs a validation part."""
        found: list[tuple[str, Any, Any]] = []
        if self.keep == "best":
            found.append(("keep", "best", "last"))
        if self.patience is not None:
            found.append(("patience", self.patience, None))
        if self.schedule == "plateau":
            found.append(("schedule", "plateau", "cosine"))
        return tuple(found)

    def steps_for(self, num: int) -> int:
        """Return the optimizer steps for N training pictures."""
        return self.steps if self.epochs is None else max(1, math.ceil(self.epochs * num / self.batch_size))

    def lr_at(self, step: int, steps: int, num: int) -> float:
        """Return the learning rate of a step (0-based) of `steps` over N pictures, without what `plateau` took off."""
        lr = self.lr / (1 + self.decay * step)
        if step < self.warmup_steps:
            return lr * (step + 1) / self.warmup_steps
        if self.schedule == "one-cycle":
            return lr * one_cycle(step, steps, self.pct_start)
        since = step - self.warmup_steps
        if self.schedule == "cosine":
            return lr * cosine(since / max(1, steps - self.warmup_steps))
        if self.schedule == "step":
            passed = since if self.step_unit == "steps" else since * self.batch_size // num
            return float(lr * self.gamma ** (passed // self.step_size))
        return lr
