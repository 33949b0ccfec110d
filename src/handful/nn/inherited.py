"""Weights of a network's body that were fitted elsewhere, and putting them into a classifier's network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from handful.errors import DataError
from handful.nn.network import Network, Start
from handful.nn.weight_files import state_digest


@dataclass(frozen=True)
class Inherited:
    """A fitted encoder.

    Args:
        weights: state of a network's body, by name.
        fitted: digest of its recipe, training pictures and seed.
        trained: content of every picture that it was fitted to; none of them may be in validation.
        seen: these, and those that chose its weights; none of them may be scored.
        mean, std: of the channels of pictures in [0, 1], which it expects.
        history: learning curves of its own training, JSON values.
        source: of the weights that its own training started from, see `Start`; empty: random ones, or not known.
    """

    weights: Mapping[str, torch.Tensor] = field(repr=False)
    fitted: str
    trained: frozenset[bytes] = field(repr=False)
    seen: frozenset[bytes] = field(repr=False)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    history: dict[str, Any] = field(repr=False)
    source: str = ""

    def put_into(self, network: Network) -> Start:
        """Replace the weights of a network's body; its head keeps its own.

        Raises:
            DataError: they are those of another architecture.
        """
        try:
            network.body.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise DataError(f"the weights of encoder {self.fitted[:12]} are of another architecture: {error}") from None
        before = f", from {self.source}" if self.source not in ("", "random") else ""
        return Start(f"encoder {self.fitted}{before}", state_digest(dict(self.weights)), self.mean, self.std)
