"""Arms whose pretrained weights are not here are left out before anything runs, each with what to put where."""

from __future__ import annotations

from handful.classify.cnn import CNN
from handful.errors import WeightsError
from handful.study.arms import Arm
from handful.study.study import Study


def missing_weights(study: Study, known: dict[str, str]) -> dict[str, str]:
    """Return, by arm, why its network cannot start: `not run: put FILE in PLACE`; often empty.

    Args:
        known: what has been looked for already, by digest of the network; filled here.
    """
    found = {}
    for arm in study.arms or ():
        recipe = arm.classifier or study.classifier
        if isinstance(recipe, CNN) and (why := _why_not(recipe, known)):
            found[arm.name] = why
    return found


def _why_not(recipe: CNN, known: dict[str, str]) -> str:
    key = recipe.network.digest()
    if key not in known:
        known[key] = ""
        try:
            recipe.network.resolved(recipe.view.size)
        except WeightsError as error:
            known[key] = f"not run: {'; '.join(error.faults)}"
    return known[key]


def without(study: Study, missing: dict[str, str]) -> Study | None:
    """Return the study without some arms, None where none is left; the first one left is then the reference."""
    arms: list[Arm] = [arm for arm in study.arms or () if arm.name not in missing]
    if not arms:
        return None
    reference = study.protocol.reference
    if reference not in [arm.name for arm in arms]:
        reference = arms[0].name
    return study.changed(arms=tuple(arms), protocol=study.protocol.changed(reference=reference))
