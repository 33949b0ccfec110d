"""How weights that a network starts with are trained on: frozen, thawed in turn, with learning rates of their own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from torch import nn

from handful.config import Recipe
from handful.errors import ConfigError
from handful.nn.network import Network
from handful.nn.train import Group

Steps = Annotated[int, Field(ge=0)]


class Tuning(Recipe):
    """What of a network is trained when, and how fast; the defaults train all of it from the first step.

    Args:
        frozen: the body is never trained, the head alone is. Without augmentation and mixing, what the body gives is
            then computed once.
        freeze_steps: first steps that train the head alone.
        gradual_steps: after these, the stages of the body join one after another, the last first, at equal distances
            over this many steps (gradual unfreezing, Howard and Ruder 2018). 0: all at once.
        decay: factor of the learning rate from each stage to the one before it (discriminative learning rates, the
            same source); the head has the full rate. 1: one rate for all.

    A frozen stage is in evaluation mode: its batch norms keep their statistics and its dropout is off.
    """

    frozen: bool = False
    freeze_steps: Steps = 0
    gradual_steps: Steps = 0
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _frozen_is_for_good(self) -> Tuning:
        if self.frozen and (self.freeze_steps or self.gradual_steps or self.decay != 1):
            raise ValueError("frozen leaves no stage to thaw: freeze_steps, gradual_steps and decay do not go with it")
        return self

    def starts(self, place: int, num: int) -> int:
        """Return the first step that trains stage `place` of `num`, counted from the pictures on."""
        return self.freeze_steps + self.gradual_steps * (num - 1 - place) // num

    def factor(self, place: int, num: int, step: int) -> float:
        """Return the factor of the learning rate of a stage at a step; 0: it is not trained."""
        if self.frozen or step < self.starts(place, num):
            return 0.0
        return float(self.decay ** (num - place))

    def groups(self, network: Network, others: nn.Module | None = None) -> list[Group]:
        """Return the parameter groups of a network: a stage of the body each, then the head.

        Args:
            others: a module that holds the network; its parameters outside of the network join the head's.

        Parameters with `requires_grad=False`, as a network of one's own may have, are left alone.

        Raises:
            ConfigError: nothing would be trained, at first or at all.
        """
        stages, num = network.stages, len(network.stages)
        known: set[int] = set()
        groups = []
        for place, stage in enumerate(stages):
            own = [one for one in stage.parameters() if one.requires_grad and id(one) not in known]
            known |= {id(one) for one in own}
            groups.append(Group(own, lambda step, place=place: self.factor(place, num, step)))  # type: ignore[misc]
        whole = network if others is None else others
        rest = [one for one in whole.parameters() if one.requires_grad and id(one) not in known]
        if not rest and (self.frozen or self.freeze_steps):
            raise ConfigError(
                "the network has no head apart from its body, so while the body is frozen nothing is trained: give it "
                "the attributes `body` and `head`, or leave frozen and freeze_steps out"
            )
        if not rest and not any(group.parameters for group in groups):
            raise ConfigError("no parameter of the network can be trained: all have requires_grad=False")
        return [group for group in [*groups, Group(rest)] if group.parameters]

    def set_modes(self, network: Network, step: int) -> None:
        """Put the stages that are frozen at a step into evaluation mode and the others into training mode."""
        if not (self.frozen or self.freeze_steps or self.gradual_steps):
            return
        num = len(network.stages)
        trained = [self.factor(place, num, step) > 0 for place in range(num)]
        network.body.train(any(trained))  # also what stands between the stages, such as dropout
        for stage, live in zip(network.stages, trained, strict=True):
            stage.train(live)
