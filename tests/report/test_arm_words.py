"""Every treatment has words, and a classifier is called by its network."""

from __future__ import annotations

import pytest

from handful import CNN, Arm, Augmentation
from handful.classify.contract import ClassifierRecipe
from handful.report.arm_words import arm_words, classifier_words
from handful.report.facts import protocol_facts
from handful.study.arms import ARMS
from handful.study.result import Result


def test_of_the_table_only_the_baseline_is_no_treatment() -> None:
    assert [name for name, arm in ARMS.items() if arm_words(arm) == "no treatment"] == ["baseline"]


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (Arm("a", dropout=0.3), "dropout 0.3 in every dropout layer"),
        (Arm("a", dropout=(0.1, 0.5)), "dropout 0.1 to 0.5 from the first dropout layer to the last"),
        (ARMS["vae-encoder"], "a network that starts from the encoder of vae, fitted to the same training part"),
        (ARMS["simclr"], "a network that starts from contrastive training without labels (simclr)"),
        (
            Arm("a", augment=Augmentation(), fill_level=0.5),
            "augmented copies, made once, classes filled 50 % of the way to the largest one",
        ),
        (
            Arm("a", generator="vae", fill_level=0.25),
            "synthetic pictures by vae, classes filled 25 % of the way to the largest one",
        ),
        (Arm("a", generator="vae", add=7), "synthetic pictures by vae, 7 for every class"),
        (Arm("a", generator="vae"), "synthetic pictures by vae, classes filled to the largest one"),
        (
            Arm("a", classifier=CNN(network="resnet50", tuning={"frozen": True})),
            "a classifier of its own (resnet50, frozen)",
        ),
        (
            Arm("a", classifier=CNN(dropout=0.1), pretrain="vae", dropout=0.2),
            "a classifier of its own (encoder of the family conv, dropout 0.2 in every dropout layer); a network that "
            "starts from the encoder of vae, fitted to the same training part",
        ),
    ],
)
def test_what_an_arm_changes(arm: Arm, words: str) -> None:
    assert arm_words(arm) == words


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (CNN(network={"kind": "fusion", "second": "vgg16"}), "fusion of alexnet and vgg16"),
        (CNN(network={"kind": "custom", "factory": "my_networks:plain"}), "my_networks:plain"),
        (
            CNN(network={"kind": "lite0", "weights": "random"}, balance="focal"),
            "lite0 from random weights, focal loss ",
        ),
        (CNN(network="lite0", tuning={"freeze_steps": 9, "decay": 0.5}), "lite0, frozen for 9 steps, learning rate t"),
        (
            CNN(network="base", training={"lr": 5e-4, "weight_decay": 5e-4, "l1": 1e-5, "patience": 3}),
            "base, learning rate 0.0005, weight decay 0.0005, L1 1e-05, patience 3",
        ),
        (
            CNN(network="base", label_smoothing=0.1, training={"schedule": "one-cycle", "ema": 0.99}),
            "base, label smoothing 0.1, schedule one-cycle, averaged weights 0.99",
        ),
        (CNN(network="base", augment=Augmentation(), tta=4), "base, augmented, the mean over 4 augmented views"),
    ],
)
def test_what_a_classifier_is(recipe: ClassifierRecipe, words: str) -> None:
    assert classifier_words(recipe).startswith(words)


def test_the_protocol_names_the_network(result: Result) -> None:
    (told,) = [fact.value for fact in protocol_facts(result) if fact.name == "classifier"]
    assert told.startswith(f"{result.study.classifier.network.kind}, ")  # type: ignore[attr-defined]
