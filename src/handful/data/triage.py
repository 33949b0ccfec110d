"""What the number of pictures of a class means for generating more of them."""

from __future__ import annotations

from dataclasses import dataclass

FEW, ENOUGH = 20, 50
SOURCE = (
    "boundary of 20 to 50 pictures a class from When Generative Augmentation Hurts (arXiv 2603.16134, 2026), one study "
    "of one data set: a warning, not a law"
)
ADVICE = {
    "too few": f"fewer than {FEW}: a generator trained on the class alone is likely to hurt; classical augmentation, "
    "balancing and pre-trained networks first",
    "boundary": f"{FEW} to {ENOUGH}: generated pictures can help or hurt; let a study decide, with classical "
    "augmentation beside it",
    "enough": f"more than {ENOUGH}: enough to try a generator; it still has to win against classical augmentation",
}


@dataclass(frozen=True)
class Triage:
    """One class: its different pictures outside val and test, and which ADVICE holds for it."""

    name: str
    num: int
    level: str


def triage(class_names: tuple[str, ...], counts: list[int]) -> tuple[Triage, ...]:
    """Return each class with its level.

    Args:
        counts: K numbers of different pictures to train on; copies of one picture teach a generator nothing.
    """
    return tuple(Triage(name, num, _level(num)) for name, num in zip(class_names, counts, strict=True))


def _level(num: int) -> str:
    return "too few" if num < FEW else "boundary" if num <= ENOUGH else "enough"
