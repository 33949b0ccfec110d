"""What every classifier is: a recipe that fits, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from handful.classify.predictions import Predictions
from handful.classify.views import flips_allowed
from handful.config import Recipe
from handful.data.augment import Augmentation
from handful.data.balance import AnyBalance
from handful.data.images import LabeledImages, View, require_real, require_unseen
from handful.data.mirrored import MirrorPair
from handful.data.mix import Mix
from handful.data.unlabeled import pictures_of
from handful.errors import ConfigError, DataError
from handful.nn.inherited import Inherited
from handful.nn.train import How, Training

LEAKS = frozenset({"copies-across-parts", "synthetic-in-val"})


class ClassifierRecipe(Recipe, ABC):
    """What every kind of classifier lets a study change.

    Args:
        view: how pictures are seen.
        training: optimizer, schedule, steps.
        balance: a name of BALANCES (`none`; `class-weights`, `effective-number`, `focal`, `logit-adjusted`: the loss;
            `oversample`: every class gets the same share of the stream, its pictures repeated as needed), or a
            `Balance` with numbers of its own.
        augment: classical augmentation of every training batch; None: none.
        mix: mixup or cutmix of every training batch, after augmentation; None: none.
        label_smoothing: share of a label that is spread evenly over all classes (Szegedy et al. 2016).
        mirror_pairs: classes that a flip or a half turn makes each other, such as `("left", "right", "horizontal
            flip")`: changed pictures of either are trained on as pictures of the other (`handful look` finds them).
    """

    kind: str
    view: View = View()
    training: Training = Training()
    balance: AnyBalance = "none"
    augment: Augmentation | None = None
    mix: Mix | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mirror_pairs: tuple[MirrorPair, ...] = ()

    @model_validator(mode="after")
    def _a_flip_keeps_the_class_or_changes_it(self) -> Self:
        for first, second, operation in self.mirror_pairs:
            if self.augment is not None and operation in flips_allowed(self.augment):
                raise ConfigError(
                    f"a {operation} makes {first!r} of {second!r} in mirror_pairs and keeps every label in augment: "
                    "leave one of the two out"
                )
        return self

    def resolved(self) -> Self:
        """Return the recipe with the content of the weights it starts from pinned; asked while a study is planned.

        Raises:
            ConfigError: a part of it does not take pictures of its view.
            WeightsError: weights that are not to be had.
        """
        return self

    @abstractmethod
    def fit(
        self,
        train: LabeledImages,
        val: LabeledImages | None,
        *,
        seed: int,
        order_seed: int | None = None,
        flaws: Collection[str] = (),
        encoder: Inherited | None = None,
        how: How | None = None,
    ) -> Classifier:
        """Return a classifier fitted to `train`; `val` chooses its weights and nothing else.

        Args:
            train: pictures, real or synthetic, in this recipe's view.
            val: real pictures that are not in `train`; None or none of them: a recipe that needs no validation.
            seed: initialisation; also the order unless `order_seed` is given.
            order_seed: order of the pictures, their augmentation and dropout.
            flaws: flaws of a published protocol that lift the guard on `val`.
            encoder: weights that the body of its network starts from; None: what its network starts from.
            how: device, checkpoint, progress.

        Raises:
            LeakError: a validation picture is synthetic or also in training, or the encoder was fitted to it.
            DataError: no training pictures, no validation where the recipe needs it, or pictures of another view.
        """


@dataclass(frozen=True)
class Classifier(ABC):
    """A fitted classifier.

    Args:
        recipe: what was fitted.
        class_names: in the order of the columns of `predict_proba`.
        channels: 1 or 3.
        seen: content of every picture of training and, where there is one, validation; scoring refuses these.
        history: the learning curve and the steps taken, JSON values.
    """

    recipe: ClassifierRecipe
    class_names: tuple[str, ...]
    channels: int
    seen: frozenset[bytes] = field(repr=False)
    history: dict[str, Any] = field(repr=False)

    @abstractmethod
    def predict_proba(self, images: LabeledImages | NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
        """Return float32 [N, K], rows sum to 1, for pictures in this classifier's view (uint8 [N, C, H, W])."""

    @abstractmethod
    def features(self, images: LabeledImages | NDArray[np.uint8], *, device: str = "cpu") -> NDArray[np.float32]:
        """Return float32 [N, D], what the classifier's last layers decide by, for pictures as `predict_proba` has."""

    def predict(self, given: Any, *, skip_unreadable: bool = False, device: str = "cpu") -> Predictions:
        """Return the class of every picture, by name, with its probabilities; pictures are brought to the view here.

        Args:
            given: a path (a picture, a folder with everything below it, an archive), a list, an iterator or an array of
                paths of pictures, uint8 arrays of any size as [N, H, W, C], [N, C, H, W] or grey [N, H, W], a list of
                single pictures ([H, W], [H, W, C] or [C, H, W], each of its own size), or a `LabeledImages`; C is 1 or
                3. One picture as an array needs its batch axis; three grey ones [3, H, W] too where the classifier
                takes colour, since they may be one picture in colour: [3, 1, H, W].
            skip_unreadable: leave out files that cannot be read, and name them in `faults`.

        Files are read and everything is resized as `handful.load` does it, so the numbers are those of a study. Grey
        becomes three equal channels where the classifier takes colour, colour becomes grey (ITU-R 601 luma) where it
        takes grey.

        Raises:
            DataError: a file that cannot be read, an array of another shape or dtype, or one that may be one picture or
                several, nothing to predict.
        """
        seen = pictures_of(given, self.recipe.view, self.channels, skip_unreadable=skip_unreadable)
        probs = self.predict_proba(seen.pixels, device=device)
        return Predictions(seen.ids, self.class_names, probs, seen.faults, seen.ignored)

    def described(self) -> dict[str, Any]:
        """Return what a card says of this one beside its recipe, such as `start`, `mean` and `std`; JSON values."""
        return {}

    @abstractmethod
    def save(self, folder: str | Path) -> None:
        """Write the classifier into a folder: safetensors and a JSON card, no pickle."""


def check_parts(
    recipe: ClassifierRecipe,
    train: LabeledImages,
    val: LabeledImages | None,
    flaws: Collection[str],
    encoder: Inherited | None = None,
) -> None:
    """Raise where these parts must not be fitted on: empty, of another view, or validation that leaks."""
    if len(train) == 0:
        raise DataError("the training part is empty")
    if val is None or len(val) == 0:
        faults = [f"training.{field} is {found!r}" for field, found, _ in recipe.training.validates]
        if faults:
            raise DataError(f"there is no validation part, and {' and '.join(faults)}: give pictures for it")
        val = None
    for name, part in (("training", train), ("validation", val)):
        if part is None:
            continue
        height, width = part.pixels.shape[2:]
        if not height == width == recipe.view.size or recipe.view.channels not in (None, part.pixels.shape[1]):
            got = f"{height} px" if height == width else f"{height} x {width} px"
            raise DataError(
                f"the {name} part is {got} with {part.pixels.shape[1]} channels, the recipe's view "
                f"{recipe.view.size} px with {recipe.view.channels or 'any'} channels"
            )
    if val is None:
        return
    if train.class_names != val.class_names or train.pixels.shape[1] != val.pixels.shape[1]:
        raise DataError("training and validation differ in their classes or channels")
    if "synthetic-in-val" not in flaws:
        require_real(val, "validation")
    if not LEAKS & set(flaws):
        require_unseen(val, frozenset(train.origin.content.tolist()), "validation")
        if encoder is not None:
            require_unseen(val, encoder.trained, "validation")


def evaluate(
    classifier: Classifier, images: LabeledImages, *, flaws: Collection[str] = (), device: str = "cpu"
) -> NDArray[np.float32]:
    """Return float32 [N, K], the probabilities of pictures that a score may be taken on.

    Raises:
        LeakError: a picture is synthetic, or the classifier was trained or its weights chosen on it (unless the
            protocol's `flaws` say that this is being studied).
    """
    require_real(images, "test")
    if not {"copies-across-parts", "test-as-val"} & set(flaws):
        require_unseen(images, classifier.seen, "test")
    return classifier.predict_proba(images, device=device)
