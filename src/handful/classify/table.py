"""The table of classifiers, and reading a saved one back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from handful.classify.cnn import CNN, CNNClassifier
from handful.classify.contract import Classifier, ClassifierRecipe
from handful.classify.ensemble import load_ensemble
from handful.config import load_part

CLASSIFIERS: dict[str, type[ClassifierRecipe]] = {"cnn": CNN}
_LOADERS: dict[str, Callable[[Path, dict[str, Any]], Classifier]] = {
    "cnn": CNNClassifier.load,
    "ensemble": lambda folder, card: load_ensemble(folder, card, load_classifier),
}


def load_classifier(folder: str | Path) -> Classifier:
    """Return the classifier that `Classifier.save` or `handful export` wrote into a folder.

    Raises:
        StoreError: there is none, or it is not complete.
    """
    return load_part(folder, "classifier", _LOADERS)
