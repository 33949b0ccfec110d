"""How arms are compared: the split, the repeats, what varies, the score and the margin that matters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from handful.config import Recipe
from handful.data.groups import GroupPolicy

Flaw = Literal["copies-across-parts", "synthetic-in-val", "test-as-val", "split-per-arm"]
Varies = Literal["split", "generator", "initialisation", "order"]
Score = Literal[
    "balanced_accuracy", "accuracy", "macro_f1", "weighted_f1", "top3", "auc", "weighted_auc", "log_loss", "brier"
]
Fraction = Annotated[float, Field(gt=0, lt=1)]

INFLATED: dict[str, str] = {
    "copies-across-parts": "copies of one picture stand in training and in test",
    "synthetic-in-val": "validation holds synthetic pictures and the real ones they were made from",
    "test-as-val": "validation is the test part, and what is chosen by it fits it",
    "split-per-arm": "every arm was scored on a split of its own",
}

DEFAULT_REPEATS = 10
QUICK_REPEATS = 5


class Protocol(Recipe):
    """What all arms of a study share.

    Args:
        repeats: how often every arm is repeated; None: 10, or 5 where the time budget asks for it. Fewer than 5 give
            no verdict.
        seed: root of every random number of the study.
        val_fraction, test_fraction: shares of each class's pictures that are drawn for validation and test where the
            source does not give these parts. A val_fraction of 0 draws no validation part (an 85/15 hold-out): what
            chooses weights by validation is then refused, and no arm is called the best.
        folds: stratified k-fold: repeat r tests on fold r % folds of repetition r // folds, each repetition a new cut;
            test_fraction is not used then. As many repeats as folds test every picture once. None: hold-out.
        train_per_class: training pictures kept of each class, the others dropped (few-shot, learning curves).
        groups: whose pictures stay in one part: `given` (those the source names, if it does), `near-copies` (also
            clusters of near copies, see `handful.data.groups.near_copy_groups`) or `none`.
        copies: `once` (pixel-identical pictures count as one) or `keep` (a flaw: copies land across parts).
        long_tail: (largest, smallest) class size that the training part is thinned to, geometrically.
        vary: what is drawn anew in each repeat; the rest is the same in all of them.
        score: what arms are compared by; less is better for `log_loss` and `brier`, more for the others.
        margin: difference in the score, in [0, 1], below which it does not matter; 0.01 is called a point.
        reference: the arm that the others are compared with.
        flaws: flaws of published protocols to be studied; any of them takes the verdict away.
    """

    repeats: Annotated[int, Field(ge=1, le=1000)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.15
    test_fraction: Fraction = 0.2
    folds: Annotated[int, Field(ge=2, le=100)] | None = None
    train_per_class: Annotated[int, Field(ge=1)] | None = None
    groups: GroupPolicy = "given"
    copies: Literal["once", "keep"] = "once"
    long_tail: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    vary: tuple[Varies, ...] = ("split", "generator", "initialisation", "order")
    score: Score = "balanced_accuracy"
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.02
    reference: str = "baseline"
    flaws: tuple[Flaw, ...] = ()

    @field_validator("flaws", "vary")
    @classmethod
    def _is_a_set(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(names)))

    @model_validator(mode="after")
    def _fits_together(self) -> Protocol:
        if self.folds is not None and self.test_fraction != type(self).model_fields["test_fraction"].default:
            raise ValueError(
                f"test_fraction {self.test_fraction} and folds {self.folds}: a fold is the test part; drop one"
            )
        if self.folds is not None and "split" not in self.vary:
            raise ValueError(
                f"folds {self.folds} with the split not in vary: only one fold would ever test; add 'split'"
            )
        if self.train_per_class and self.long_tail:
            raise ValueError("long_tail and train_per_class both say how many pictures train; give one of them")
        if self.val_fraction + (0 if self.folds else self.test_fraction) >= 1:
            raise ValueError(
                f"val_fraction {self.val_fraction} and test_fraction {self.test_fraction} leave nothing to train on"
            )
        if "synthetic-in-val" in self.flaws and not self.val_fraction:
            raise ValueError(
                f"val_fraction {self.val_fraction} and the flaw synthetic-in-val, which draws validation from real and "
                "synthetic pictures: give a val_fraction above 0, or leave the flaw out"
            )
        if self.long_tail and self.long_tail[0] < self.long_tail[1]:
            raise ValueError(
                f"long_tail {self.long_tail}: the first number is the largest class, so it must not be less"
            )
        if not self.vary:
            raise ValueError("vary is empty: repeats that change nothing say nothing; name what is drawn anew")
        return self

    @property
    def all_flaws(self) -> tuple[str, ...]:
        """The flaws this protocol has, `copies-across-parts` included where copies are kept."""
        return tuple(sorted({*self.flaws, *(("copies-across-parts",) if self.copies == "keep" else ())}))
