"""The classifier as a scikit-learn estimator: for pipelines, cross-validation and grid search over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from handful.classify.cnn import CNN
from handful.classify.recommend import size_for
from handful.classify.tuning import Tuning
from handful.config import recipe_from
from handful.data.decode import resized
from handful.data.images import LabeledImages, View
from handful.errors import DataError
from handful.nn.network import DropoutRates
from handful.nn.networks import network_of
from handful.nn.train import How, Training
from handful.study.engines import pick_device


class HandfulClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network of the table as a scikit-learn classifier.

    Args:
        network: a name of `handful.nn.networks.NETWORKS`, or a recipe of one with fields.
        steps, batch_size, lr, weight_decay: as in `Training`.
        balance: a name of BALANCES or a `Balance`.
        augment: an `Augmentation` of every training batch; None: none.
        mix: a `Mix` of every training batch; None: none.
        tuning: a `Tuning` of a network that starts with weights; None: all of it is trained.
        dropout: one rate for all dropout layers, or (first, last) of a ramp over them; None: the network's own.
        image_size: side in pixels; None: the largest of 8, 16, 28, 32, 48, 64 that the shorter side reaches, for a
            network that starts from weights the shorter side itself up to 224, and at least what the network takes.
        resize: `stretch`, `crop` or `pad`.
        random_state: int, None or a `RandomState`, as scikit-learn has it; one int, one result.
        device: `auto`, `cpu` or `cuda`.

    X is uint8 [N, C, H, W] or [N, H, W], or the same as floats in [0, 1], which are rounded to 256 levels; C is 1 or
    3. A list of N pictures of one shape is such an array. Anything else with as many axes is an error. A table of
    numbers [N, F] is read as small grey pictures: each is laid row by row into the smallest square that holds F, the
    rest 0, with the smallest value of training black and the largest white (uint8 keeps its values); what lies beyond
    is cut off.

    After `fit`: `classes_` [K], `n_features_in_` (F of a table, else C) and `classifier_`, the `CNNClassifier`, which
    can be saved. For arms, splits and intervals use `Study`; what has no parameter here has its default in `CNN`.
    """

    def __init__(
        self,
        network: Any = "v3",
        *,
        steps: int = 600,
        batch_size: int = 32,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        balance: Any = "none",
        augment: Any = None,
        mix: Any = None,
        tuning: Any = None,
        dropout: DropoutRates | None = None,
        image_size: int | None = None,
        resize: str = "stretch",
        random_state: Any = 0,
        device: str = "auto",
    ) -> None:
        self.network = network
        self.steps = steps
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.balance = balance
        self.augment = augment
        self.mix = mix
        self.tuning = tuning
        self.dropout = dropout
        self.image_size = image_size
        self.resize = resize
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any) -> HandfulClassifier:
        """Return itself, fitted to pictures and their labels [N]: whole numbers, text or anything that sorts.

        Raises:
            DataError: pictures of another kind, or labels of one class.
            ConfigError: a parameter that its recipe refuses.
            ValueError: what scikit-learn refuses of X and y.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        X, y = validate_data(self, _with_channels(X), y, allow_nd=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y holds only one class ({self.classes_[0]!r}): there is nothing to tell apart")
        self.table_ = _Table.of(X) if X.ndim == 2 else None
        pixels = _pixels(X) if self.table_ is None else self.table_.pixels(X)
        recipe = self._recipe(pixels.shape)
        images = LabeledImages.of_arrays(_at(pixels, recipe.view), labels, [str(name) for name in self.classes_])
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.classifier_ = recipe.fit(images, None, seed=seed, how=How(device=pick_device(self.device)))
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return float32 [N, K], rows sum to 1, columns as `classes_`."""
        check_is_fitted(self)
        X = validate_data(self, _with_channels(X), reset=False, allow_nd=True)
        if (X.ndim == 2) != (self.table_ is not None):
            fitted = "pictures" if self.table_ is None else "a table [N, F]"
            raise DataError(f"X has shape {list(X.shape)}; this one was fitted to {fitted}")
        pixels = _pixels(X) if self.table_ is None else self.table_.pixels(X)
        seen = _at(pixels, self.classifier_.recipe.view)
        return self.classifier_.predict_proba(seen, device=pick_device(self.device))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each picture, [N]."""
        probs = self.predict_proba(X)
        found: NDArray[Any] = self.classes_[probs.argmax(axis=1)]
        return found

    def _recipe(self, shape: tuple[int, ...]) -> CNN:
        network = network_of(self.network)
        size = self.image_size or size_for(network, min(shape[2:]))
        training = Training(steps=self.steps, batch_size=self.batch_size, lr=self.lr, weight_decay=self.weight_decay)
        return CNN(
            network=network,
            dropout=self.dropout,
            tuning=Tuning() if self.tuning is None else self.tuning,
            view=recipe_from(View, {"size": size, "resize": self.resize, "channels": shape[1]}, "view"),
            training=training,
            balance=self.balance,
            augment=self.augment,
            mix=self.mix,
        )


def _with_channels(X: Any) -> Any:
    """[N, H, W], or a list of pictures of one shape, => [N, C, H, W]; anything else as it is."""
    if isinstance(X, list | tuple):
        X = _stacked(X)
    return X[:, None] if isinstance(X, np.ndarray) and X.ndim == 3 else X


def _stacked(X: Sequence[Any]) -> Any:
    """A list of pictures as one array; a list of anything else as it is, for scikit-learn to read."""
    try:
        shapes = list(dict.fromkeys(np.shape(one) for one in X))
    except ValueError:
        return X
    if not shapes or min(map(len, shapes)) < 2:
        return X
    if len(shapes) > 1:
        raise DataError(
            f"X is a list of pictures of {len(shapes)} shapes, such as {list(shapes[0])} and {list(shapes[1])}; bring "
            "them to one"
        )
    return np.asarray(X)


@dataclass(frozen=True)
class _Table:
    """How numbers [N, F] become grey pictures: `low` black, `high` white; None: they are uint8 and stay so."""

    limits: tuple[float, float] | None

    @classmethod
    def of(cls, X: NDArray[Any]) -> _Table:
        return cls(None if X.dtype == np.uint8 else (float(X.min()), float(X.max())))

    def pixels(self, X: NDArray[Any]) -> NDArray[np.uint8]:
        """[N, F] => uint8 [N, 1, side, side]."""
        if (self.limits is None) != (X.dtype == np.uint8):
            raise DataError(f"X is {X.dtype}; uint8 and other numbers are not scaled alike: give what `fit` was given")
        if self.limits is not None:
            low, high = self.limits
            X = np.rint(255 * np.clip((X - low) / ((high - low) or 1.0), 0, 1)).astype(np.uint8)
        num, width = X.shape
        side = int(np.ceil(np.sqrt(width)))
        laid = np.zeros((num, side * side), np.uint8)
        laid[:, :width] = X
        return laid.reshape(num, 1, side, side)


def _pixels(X: NDArray[Any]) -> NDArray[np.uint8]:
    """[N, C, H, W] as uint8."""
    if X.ndim != 4 or X.shape[1] not in (1, 3):
        raise DataError(
            f"X has shape {list(X.shape)}; expected pictures [N, C, H, W] with C 1 or 3, [N, H, W], or a table [N, F]"
            + ("; X.transpose(0, 3, 1, 2) puts the channels first" if X.ndim == 4 and X.shape[3] in (1, 3) else "")
        )
    if X.dtype == np.uint8:
        return X
    if X.dtype.kind != "f":
        raise DataError(f"X is {X.dtype}; pictures are uint8 in [0, 255] or floats in [0, 1]")
    low, high = float(X.min()), float(X.max())
    if low < 0 or high > 1:
        raise DataError(f"X is {X.dtype} from {low:g} to {high:g}; pictures are floats in [0, 1] or uint8 in [0, 255]")
    scaled: NDArray[np.uint8] = np.rint(X * 255).astype(np.uint8)
    return scaled


def _at(pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    channels = pixels.shape[1]
    return np.stack([resized(picture, view, channels) for picture in pixels])
