"""Several classifiers of one recipe that answer together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handful.calibration import at_temperature
from handful.classify.contract import Classifier
from handful.data.images import LabeledImages
from handful.errors import StoreError


@dataclass(frozen=True)
class Ensemble(Classifier):
    """The mean of its members' probabilities, such as the repeats of one arm.

    Args:
        members: classifiers of the same classes and view.
        about: what the card says beside the weights: scores, data digest, flaws; JSON values.
        temperatures: of each member, fitted on its own validation part; None where that has none to give.
        calibrated: answers at these temperatures, see `at_temperatures`.
    """

    members: tuple[Classifier, ...]
    about: dict[str, Any]
    temperatures: tuple[float | None, ...]
    calibrated: bool = False

    @classmethod
    def of(
        cls,
        members: Sequence[Classifier],
        about: dict[str, Any] | None = None,
        temperatures: Sequence[float | None] = (),
    ) -> Ensemble:
        """Return the ensemble of one classifier or more.

        Args:
            temperatures: see the class; empty: none has one.

        Raises:
            StoreError: none is given.
        """
        if not members:
            raise StoreError("no classifier has been fitted for this arm yet")
        first = members[0]
        seen = frozenset(content for member in members for content in member.seen)
        each = tuple(temperatures) or (None,) * len(members)
        return cls(first.recipe, first.class_names, first.channels, seen, {}, tuple(members), about or {}, each)

    def at_temperatures(self) -> Ensemble:
        """Return the ensemble with every member's probabilities at its temperature before the mean is taken.

        A member's answers stay; those of the mean may change where members disagree. The mean of calibrated members
        is on the cautious side of calibrated itself.

        Raises:
            StoreError: a member has no temperature.
        """
        if None in self.temperatures:
            raise StoreError(
                f"{self.temperatures.count(None)} of {len(self.members)} classifiers have no temperature: their study "
                "has no validation part, or one so small or easy that every temperature fits; predict without it"
            )
        return replace(self, calibrated=True)

    def predict_proba(self, images: LabeledImages | NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
        made = [member.predict_proba(images, device=device) for member in self.members]
        if self.calibrated:
            made = [
                at_temperature(probs, one).astype(np.float32)
                for probs, one in zip(made, self.temperatures, strict=True)
                if one is not None
            ]
        return np.asarray(np.mean(made, axis=0))

    def features(self, images: LabeledImages | NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
        """Return those of the first member: features of different members are not comparable."""
        return self.members[0].features(images, device=device)

    def save(self, folder: str | Path) -> None:
        folder = Path(folder)
        for place, member in enumerate(self.members):
            member.save(folder / f"member-{place}")
        card = {
            "handful": "classifier",
            "recipe": {"kind": "ensemble"},
            "members": len(self.members),
            "class_names": list(self.class_names),
            "view": self.recipe.view.to_json(),
            "channels": self.channels,
            "preprocessing": {
                "channels": "grey" if self.channels == 1 else "red, green, blue",
                "size": self.recipe.view.size,
                "orientation": "turned upright by the EXIF orientation, before the resize",
                "transparency": "laid over white, before the resize and before colour becomes grey",
                "resize": f"{self.recipe.view.resize}, bicubic with antialiasing",
                "values": "uint8 / 255, then (value - mean) / std of each member, which the weights hold",
            },
            "networks": [member.described() for member in self.members],
            "temperatures": list(self.temperatures),
            "calibrated": self.calibrated,
            "about": self.about,
        }
        (folder / "classifier.json").write_text(json.dumps(card, indent=1), encoding="utf-8")


def load_ensemble(folder: Path, card: dict[str, Any], load: Callable[[Path], Classifier]) -> Ensemble:
    """Return the ensemble saved in a folder, its members read by `load`."""
    members = [load(folder / f"member-{place}") for place in range(int(card["members"]))]
    made = Ensemble.of(members, dict(card["about"]), card.get("temperatures", ()))
    return made.at_temperatures() if card.get("calibrated") else made
