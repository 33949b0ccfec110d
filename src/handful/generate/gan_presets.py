"""The GANs of the published studies S0 (three experiments) and S1 (table 2), as fields of the recipe `GAN`.

Neither study states its batch size, S0 no latent size, no dropout and no bounds of its window, S1 no amount of label
noise; these are ours. S0's classes of "relatively many" pictures are taken as those of 40 or more. S0's first
generator has five layers of at most 256 filters; its later one is "larger" and taken as S1's.
"""

from __future__ import annotations

from typing import Any

from handful.data.images import View
from handful.nn.train import Training

_ADAM: dict[str, Any] = {
    "batch_size": 16,
    "optimizer": "adam",
    "lr": 2e-4,
    "betas": (0.5, 0.999),
    "weight_decay": 0.0,
    "schedule": "constant",
    "eval_every": 100,
}
_S0: dict[str, Any] = {
    "view": View(size=64, channels=3),
    "scope": "per-class",
    "latent": 100,
    "diffaugment": None,
    "watch": "window",
}
PRESETS: dict[str, dict[str, Any]] = {
    "s1": {
        "view": View(size=64, channels=3),
        "scope": "per-class",
        "latent": 256,
        "width": 64,
        "dropout": 0.2,
        "flipped": 0.05,
        "diffaugment": None,
        "training": Training(**_ADAM, epochs=10_000, keep="last"),
    },
    "s0-1": {**_S0, "width": 32, "training": Training(**_ADAM, epochs=500, keep="best")},
    "s0-2": {
        **_S0,
        "width": 64,
        "training": Training(
            **{**_ADAM, "schedule": "step"}, step_size=30, step_unit="epochs", gamma=0.95, epochs=800, keep="best"
        ),
    },
    "s0-3": {
        **_S0,
        "width": 64,
        "training": Training(
            **{**_ADAM, "schedule": "step", "weight_decay": 5e-5},
            step_size=30,
            step_unit="epochs",
            gamma=0.99,
            epochs=2000,
            keep="best",
        ),
        "epochs_by_size": ((0, 2500), (15, 2000), (40, 1800)),
    },
}
