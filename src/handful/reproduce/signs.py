"""What the two road-sign studies share: their files as published, and a stand-in for the classifier they were given."""

from __future__ import annotations

import os

from handful.classify.cnn import CNN
from handful.nn.small import V2
from handful.reproduce.entry import Inputs
from handful.reproduce.inputs import published_signs
from handful.reproduce.scale import Scale

CLASSES = ("12", "13", "24", "38", "39", "44", "46", "49", "50", "06")  # in the order of the published tables
STAND_IN = "S2's V2 for the CNN that was given to S0 and S1 and is described in neither"
FILES = "the 520 published files of the ten classes (205 distinct, of many sizes) for the 277 of 75 px"


def published(inputs: Inputs) -> str:
    """Return the folder of the published files, copies included; written beside the results."""
    return os.fspath(published_signs(inputs.found, inputs.folder / "published-signs"))


def classifier(scale: Scale, size: int) -> CNN:
    """Return V2 trained as S2 trained it; the batch size is ours."""
    training = scale.training(epochs=25, batch_size=32, optimizer="adam", lr=1e-3, weight_decay=0.0)
    return CNN(network=V2(), view=scale.view(size, channels=3), training=training)


def measured_with(scale: Scale) -> str | None:
    """Return what synthetic pictures are measured with: pixels where minutes count, nothing where seconds do."""
    return None if scale.published else "none" if scale.name == "tiny" else "pixels"
