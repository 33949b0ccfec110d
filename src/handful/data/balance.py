"""Balance as a treatment: how a loss and its batches weigh the classes, and how many pictures each class is given.

`Balance` changes how the training part is used; `Composition` changes what is in it. Both are plain numbers, so that a
table can be shown before anything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from handful import rng
from handful.config import Recipe, recipe_from
from handful.errors import ConfigError, unknown

Amount = Mapping[str, int | float | str]
BETA = 0.999


class Balance(Recipe):
    """How unequal classes are weighed in the loss and in the batches; the defaults change nothing.

    Args:
        weights: weights of the classes in the loss: `inverse` (N / (K n_c)) or `effective-number` of pictures,
            (1 - beta) / (1 - beta^n_c) (Cui et al. 2019); the mean weight of a training picture is 1.
        beta: of `effective-number`; None is 0.999. Near 1 it is `inverse`, at 0 every class weighs the same.
        level: part of the way to class-balanced batches: a class is drawn in proportion to n_c^(1 - level), so 0 is
            the data as it is and 1 gives every class the same share.
        gamma: focal loss, each picture's loss times (1 - p)^gamma for the probability p of its label (Lin et al.
            2017); 0: cross-entropy.
        tau: logit adjustment, tau times the logarithm of each class's share of the training part is added to its
            logit while training, not when predicting (Menon et al. 2021); 0: none.
    """

    weights: Literal["none", "inverse", "effective-number"] = "none"
    beta: Annotated[float, Field(ge=0, lt=1)] | None = None
    level: Annotated[float, Field(ge=0, le=1)] = 0.0
    gamma: Annotated[float, Field(ge=0, le=20)] = 0.0
    tau: Annotated[float, Field(ge=0, le=10)] = 0.0

    @model_validator(mode="after")
    def _beta_is_used(self) -> Balance:
        if self.beta is not None and self.weights != "effective-number":
            raise ValueError(f"beta={self.beta} needs weights='effective-number', got weights={self.weights!r}")
        return self


BALANCES: dict[str, Balance] = {
    "none": Balance(),
    "class-weights": Balance(weights="inverse"),
    "effective-number": Balance(weights="effective-number"),
    "oversample": Balance(level=1.0),
    "focal": Balance(gamma=2.0),
    "logit-adjusted": Balance(tau=1.0),
}


def read_balance(given: Any) -> str | Balance | None:
    """Return a name of BALANCES, a `Balance`, or a `Balance` from a table of its fields.

    Raises:
        ConfigError: anything else, with the nearest name.
    """
    if given is None or isinstance(given, Balance):
        return given
    if isinstance(given, str):
        if given not in BALANCES:
            raise ConfigError(unknown("balance", given, BALANCES))
        return given
    if isinstance(given, Mapping):
        return recipe_from(Balance, dict(given), where="balance")
    raise ConfigError(f"balance: expected a name ({', '.join(BALANCES)}) or a table of fields, got {given!r}")


AnyBalance = Annotated[Any, BeforeValidator(read_balance)]  # str | Balance | None


def balance_of(given: str | Balance) -> Balance:
    """Return the `Balance` that a field of type `AnyBalance` holds."""
    return given if isinstance(given, Balance) else BALANCES[given]


def balance_words(given: str | Balance) -> str:
    """Return what a balance does, in words."""
    one = balance_of(given)
    words = []
    if one.weights == "inverse":
        words.append("loss weighted by class")
    if one.weights == "effective-number":
        words.append(
            f"loss weighted by the effective number of pictures (beta {BETA if one.beta is None else one.beta:g})"
        )
    if one.level:
        words.append("class-balanced batches" + ("" if one.level == 1 else f", {one.level:.0%} of the way"))
    if one.gamma:
        words.append(f"focal loss (gamma {one.gamma:g})")
    if one.tau:
        words.append(f"logit-adjusted loss (tau {one.tau:g})")
    return "; ".join(words) or "classes weigh what they have"


def weights_of(balance: Balance, counts: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return float64 [K], weights of the classes in the loss; None where all are equal.

    The mean weight of a training picture is 1; a class without pictures has 0.
    """
    if balance.weights == "none":
        return None
    if balance.weights == "inverse":
        raw = 1 / np.maximum(counts, 1)
    else:
        beta = BETA if balance.beta is None else balance.beta
        raw = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    raw = np.where(counts > 0, raw, 0.0)
    return np.asarray(raw * counts.sum() / max((raw * counts).sum(), 1e-12))


@dataclass(frozen=True)
class Composition:
    """What a training part is made of.

    Args:
        cap: real pictures a class keeps at most, or `smallest` for the number the smallest class has; None: all.
        amount: synthetic pictures a class is given, see `amounts`; None: none.
        real: False leaves the real pictures out.
        enlarge: augmented copies made of each real picture.
        enlarge_synthetic: also of each synthetic picture.
    """

    cap: int | Literal["smallest"] | None = None
    amount: Amount | None = None
    real: bool = True
    enlarge: int = 0
    enlarge_synthetic: bool = False


class Composed(Protocol):
    """What has a composition, such as an arm."""

    @property
    def composition(self) -> Composition: ...


@dataclass(frozen=True)
class Row:
    """Pictures of one class: real ones there are, those kept, synthetic ones added (copies too), and all after."""

    name: str
    real: int
    kept: int
    synthetic: int
    after: int


def kept_of(counts: NDArray[np.int64], cap: int | str | None) -> NDArray[np.int64]:
    """Return int64 [K], real pictures kept per class: all of them unless `cap` names a number or `smallest`."""
    if cap is None:
        return counts
    most = int(counts[counts > 0].min(initial=np.iinfo(np.int64).max)) if cap == "smallest" else int(cap)
    return np.minimum(counts, most).astype(np.int64)


def amounts(counts: NDArray[np.int64], amount: Amount) -> NDArray[np.int64]:
    """Return int64 [K], synthetic pictures wanted per class.

    Args:
        counts: int64 [K], real pictures kept per class.
        amount: {"add": n} for every class, {"fill_to": n or "largest"} up to that many, {"fill_level": x} the
            share x in [0, 1] of the way to the largest class, rounded to whole pictures, or {"replace": 1} as many as
            there are real ones.
    """
    if "replace" in amount:
        return counts.astype(np.int64)
    if "add" in amount:
        return np.full(len(counts), int(amount["add"]), dtype=np.int64)
    largest = int(counts.max())
    if "fill_level" in amount:
        level = float(amount["fill_level"])
        return np.asarray(np.floor(level * (largest - counts) + 0.5), dtype=np.int64)
    most = largest if amount["fill_to"] == "largest" else int(amount["fill_to"])
    return np.maximum(most - counts, 0).astype(np.int64)


def balance_table(
    counts: NDArray[np.int64] | Sequence[int], arm: Composed | Composition, class_names: Sequence[str] = ()
) -> list[Row]:
    """Return what each class of the training part has before and after a treatment, before anything is computed.

    Args:
        counts: int [K], real training pictures per class.
        arm: an arm or its composition.
        class_names: K names; none: the class ids.
    """
    counts = np.asarray(counts, dtype=np.int64)
    made = arm if isinstance(arm, Composition) else arm.composition
    kept = kept_of(counts, made.cap)
    synthetic = amounts(kept, made.amount) if made.amount is not None else np.zeros_like(kept)
    kept = kept if made.real else np.zeros_like(kept)
    synthetic = synthetic + made.enlarge * (kept + (synthetic if made.enlarge_synthetic else 0))
    names = class_names or [str(label) for label in range(len(counts))]
    rows = zip(names, counts, kept, synthetic, strict=True)
    return [Row(name, int(real), int(keep), int(new), int(keep + new)) for name, real, keep, new in rows]


def capped(labels: NDArray[np.int64], counts: NDArray[np.int64], cap: int | str | None, seed: int) -> NDArray[np.int64]:
    """Return int64 rows, in order: those of a random choice of at most `cap` pictures of each class.

    With a larger cap and the same seed the choice only grows.
    """
    most = kept_of(counts, cap)
    chosen = [
        rng.numpy_rng(seed, "cap", label).permutation(np.flatnonzero(labels == label))[: most[label]]
        for label in range(len(counts))
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def copied_rows(labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 rows to copy, `wanted` [K] of each class, its pictures in turn; a class without any gives none."""
    rows = [
        np.resize(members, num) for label, num in enumerate(wanted) if len(members := np.flatnonzero(labels == label))
    ]
    return np.concatenate(rows).astype(np.int64) if rows else np.empty(0, dtype=np.int64)
