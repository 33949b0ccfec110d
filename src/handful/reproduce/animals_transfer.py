"""S3: VGG16 twice, ResNet50 and InceptionV3 on 30 animals; crop against stretch, augmentation against levelling."""

from __future__ import annotations

import math
from typing import Any

from handful.classify.cnn import CNN
from handful.classify.tuning import Tuning
from handful.data.augment import Augmentation
from handful.data.images import ResizePolicy
from handful.data.source import open_source
from handful.nn.backbones import Backbone
from handful.report.pictures import Sheet, chosen, sheet
from handful.reproduce.curves import curves_and_confusion
from handful.reproduce.drawn import networks_section
from handful.reproduce.eda import eda_section
from handful.reproduce.entry import Finished, Inputs, Reproduction, Row, Section, Studies
from handful.reproduce.inputs import ANIMALS
from handful.reproduce.planes import feature_plane
from handful.reproduce.rows import answers_of, keys_of
from handful.reproduce.scale import ProtocolName, Scale
from handful.study.arms import Arm
from handful.study.protocol import Protocol
from handful.study.stored import get_images
from handful.study.study import Study

SIZE, DENSE = 128, (512,)
TEST = 0.15
PUBLISHED = {  # accuracy, top-3, F1
    "vgg16 v1": (0.4774, 0.6876, 0.4079),
    "vgg16 v2": (0.8441, 0.9379, 0.7862),
    "resnet50": (0.8712, 0.9646, 0.8201),
    "inception_v3": (0.8641, 0.9507, 0.8097),
}
WORDS = {
    "vgg16 v1": "VGG16 v1, 64 px, no augmentation, 40 epochs",
    "vgg16 v2": "VGG16 v2, augmentation without levelling, 100 epochs",
    "resnet50": "ResNet50",
    "inception_v3": "InceptionV3, rate 1e-4, decay 1e-7, L1 1e-4, 50 epochs",
    "lite0": "Lite0, packaged weights, crop, no augmentation (not in the study)",
    "lite0 stretch": "Lite0, stretched instead of cropped",
    "lite0 augment": "Lite0, augmentation without levelling",
    "lite0 oversample": "Lite0, small classes levelled with augmented copies",
    "lite2": "Lite2, packaged weights, crop, augmentation (not in the study)",
}
OURS = ("lite0", "lite0 stretch", "lite0 augment", "lite0 oversample", "lite2")
ROWS = (
    *(
        row
        for arm, (accuracy, top3, f1) in PUBLISHED.items()
        for row in (
            Row(WORDS[arm], "networks", arm, accuracy, "accuracy"),
            Row(f"{WORDS[arm]}, top 3", "networks", arm, top3, "top3"),
            Row(f"{WORDS[arm]}, macro F1", "networks", arm, f1, "macro_f1"),
        )
    ),
    Row(f"{WORDS['vgg16 v1']}, AUC", "networks", "vgg16 v1", 0.9, "auc"),
    *(
        Row(f"{WORDS[arm]}{told}", "networks", arm, None, number)
        for arm in OURS
        for number, told in (("accuracy", ""), ("top3", ", top 3"), ("macro_f1", ", macro F1"))
    ),
    Row(f"{WORDS['lite0']}, AUC", "networks", "lite0", None, "auc"),
)


def studies(scale: Scale, protocol: ProtocolName, inputs: Inputs) -> Studies:
    """Return the one study.

    The dense layers' width, VGG16's rate, ResNet50's (told as "a factor 0.1 greater", of what is not said), the batches
    (large for VGG16 and small for ResNet50, as it found), the patience and the augmentation's strength are ours.
    """
    least = SIZE if scale.published else 75  # of InceptionV3
    plateau: dict[str, Any] = {"schedule": "plateau", "gamma": 0.5, "plateau_patience": 2, "patience": 6}
    adam: dict[str, Any] = {"optimizer": "adam", "weight_decay": 0.0, "batch_size": 32}
    num = round((1 - TEST) * len(open_source(inputs.found).labels))

    def arm(
        name: str, kind: str, *, resize: ResizePolicy = "crop", size: int = SIZE, frozen: bool = True, **fields: Any
    ) -> Arm:
        view = scale.view(size, least=min(least, size), resize=resize, channels=3)
        asked: dict[str, Any] = {"epochs": 50, "cost": 4, **adam, **plateau, **fields.pop("training", {})}
        epoch = math.ceil(num / asked["batch_size"])  # its patience counts epochs: a look at the end of each
        training = scale.training(**asked, eval_every=epoch)
        network = Backbone(kind=kind, hidden=DENSE)
        recipe = CNN(network=network, dropout=0.5, tuning=Tuning(frozen=frozen), view=view, training=training)
        return Arm(name, classifier=recipe, **fields)

    transforms = Augmentation.preset("s3")
    large: dict[str, Any] = {"batch_size": 64, "weight_decay": 1e-4}
    inception = {"lr": 1e-4, "decay": 1e-7, "l1": 1e-4}
    plain: dict[str, Any] = {"epochs": 40, "schedule": "constant", "patience": None}
    arms = [
        arm("lite0", "lite0"),
        arm("lite0 stretch", "lite0", resize="stretch"),
        arm("lite0 augment", "lite0", augment=transforms),
        arm("lite0 oversample", "lite0", augment=transforms, fill_to="largest"),
        arm("lite2", "lite2", augment=transforms),
        arm("vgg16 v1", "vgg16", size=64, resize="stretch", training=plain),
        arm("vgg16 v2", "vgg16", augment=transforms, training={**large, "epochs": 100, "l1": 1e-4}),
        arm("resnet50", "resnet50", augment=transforms, training={"batch_size": 16, "lr": 1e-4}),
        arm("inception_v3", "inception_v3", frozen=False, augment=transforms, training=inception),
    ]
    if scale.name == "tiny":
        arms = [one for one in arms if one.name in ("lite0", "lite0 stretch", "lite0 oversample", "resnet50")]
    shared: dict[str, Any] = {"repeats": scale.repeats_for(protocol, 1), "score": "accuracy", "reference": "lite0"}
    if protocol == "published":
        rules = Protocol(**shared, test_fraction=TEST, flaws=("test-as-val",))
    else:
        rules = Protocol(**shared, test_fraction=TEST, groups="near-copies")
    shown = CNN(view=scale.view(SIZE, least=least, resize="crop", channels=3))
    return {"networks": Study(inputs.found, arms=arms, protocol=rules, classifier=shown, measures="none")}


def sections(finished: Finished) -> tuple[Section, ...]:
    result = finished.result("networks")
    if result is None:
        return ()
    asked = (
        ("Crop against stretch: what stretching changes", "lite0 stretch", "lite0"),
        ("Augmentation without levelling", "lite0 augment", "lite0"),
        ("Levelling small classes with augmented copies", "lite0 oversample", "lite0"),
        ("Levelling against augmentation", "lite0 oversample", "lite0 augment"),
    )
    answers = answers_of(result, asked)
    made = [eda_section(result), Section("What the study asked", answers, sheets=_views(finished))]
    planes = [plane for arm in result.arms if (plane := feature_plane(result, arm, finished.device))]
    words = "Each plane is of one network's own features of the test pictures; places in two planes cannot be compared."
    made.append(Section("Features in the plane (t-SNE)", (words,), figures=tuple(planes)))
    made.append(networks_section(finished, "networks", ("lite0", "lite2", *PUBLISHED)))
    made.append(curves_and_confusion(result, list(result.arms)))
    return tuple(made)


def _views(finished: Finished) -> tuple[Sheet, ...]:
    """The same pictures cropped and stretched."""
    result = finished.result("networks")
    assert result is not None
    made = []
    for arm in ("lite0", "lite0 stretch"):
        keys = keys_of(result, arm, "classifier")
        if keys:
            images = get_images(result.store, result.store.record(keys[min(keys)])["inputs"]["images"])
            title = "cropped" if arm == "lite0" else "stretched"
            made.append(
                Sheet(title, sheet(images, chosen(images.counts)[:4], 0), f"Pictures of four classes, {title}.")
            )
    return tuple(made)


ENTRY = Reproduction(
    name="animals-transfer",
    code="S3",
    what="VGG16 twice, ResNet50, InceptionV3; crop or stretch; augmentation or levelling; t-SNE",
    pictures=ANIMALS,
    headline="VGG16 47.7 then 84.4 %, ResNet50 87.1 %, InceptionV3 86.4 %",
    minutes=5,
    did=(
        "13,000 pictures of 30 animals, from under 100 to over 900 a class, brought to 128 px, first by stretching, "
        "then by shorter side and centre crop; 85 % for training and 15 % for test. Transfer from ImageNet with dense"
        " layers of its own, ReduceLROnPlateau, L1 and L2; traditional augmentation, and levelling of small classes "
        "with it.",
        "It reports accuracy, top 3 and F1: 47.7 % for VGG16 on 64 px arrays, 84.4 % for the second VGG16, 87.1 % for "
        "ResNet50, 86.4 % for InceptionV3, and prefers augmentation without levelling.",
    ),
    traps=(
        "T9: what it calls validation is the test set, and its schedules and early stopping watch it.",
        "T12: an F1 printed as 0.4079 % is 0.4079.",
    ),
    rows=ROWS,
    studies=studies,
    sections=sections,
    stand_ins=(
        "packaged Lite0 and Lite2 stand beside networks whose weights are absent",
        "torchvision's ImageNet weights for the VGG16 weights that came with the pictures",
    ),
)
