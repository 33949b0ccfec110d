"""The table of classifiers, and reading a saved one back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from handful.classify.cnn import CNN, CNNClassifier
from handful.classify.contract import Classifier, ClassifierRecipe
from handful.classify.ensemble import load_ensemble
from handful.config import load_part

CLASSIFIERS: dict[str, type[ClassifierRecipe]] = {"cnn": CNN}


def load_classifier(folder: str | Path, *, trust_code: bool = False) -> Classifier:
    """Return the classifier that `Classifier.save` or `handful export` wrote into a folder.

    Args:
        trust_code: run the function that the card names where the network is one of its maker's own code. Without it
            such a card is an error, unless this process has been asked for that function before (a recipe that was
            given it, or that was fitted): a folder from elsewhere then runs nothing.

    Raises:
        StoreError: there is none, it is not complete, or it wants code to be run.
    """
    loaders: dict[str, Callable[[Path, dict[str, Any]], Classifier]] = {
        "cnn": partial(CNNClassifier.load, trust_code=trust_code),
        "ensemble": lambda folder, card: load_ensemble(folder, card, partial(load_classifier, trust_code=trust_code)),
    }
    return load_part(folder, "classifier", loaders)
