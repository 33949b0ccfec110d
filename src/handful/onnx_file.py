"""A classifier as one ONNX file that needs nothing of handful: preprocessing, softmax and class names are inside."""

from __future__ import annotations

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from handful import __version__
from handful.calibration import SMALLEST
from handful.classify.cnn import CNNClassifier
from handful.classify.contract import Classifier
from handful.classify.ensemble import Ensemble
from handful.errors import ConfigError, StoreError
from handful.rng import numpy_rng

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-4
MOST_BYTES = 1536 * 2**20  # of weights in one file: torch writes more beside it, and protobuf holds no 2 GiB
CHECKED = (1, 5)  # sizes of the batches that are compared


def require_onnx() -> None:
    """Raise ConfigError where a package that writes or checks ONNX files is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"--onnx needs {', '.join(missing)}: install the extra `export` (pip install 'handful[export]')"
        )


def write_onnx(classifier: Classifier, path: Path) -> float:
    """Write a classifier as one ONNX file and return the largest difference to its probabilities.

    Input `images`: uint8 [N, C, S, S] at the view's size, channels first; N is free. Output `probabilities`: float32
    [N, K], rows sum to 1: scaling, the channel mean and std of each member, softmax and the mean over members are
    inside. Decoding and resizing are not: no ONNX operator gives Pillow's bicubic to the bit. The file's metadata hold
    `class_names` (JSON), `size`, `resize`, `channels` and `handful` (the version).

    Afterwards onnxruntime reads the file, and its answers to random pictures in batches of 1 and 5 are compared with
    those of `predict_proba`.

    Raises:
        ConfigError: the packages of the extra `export` are missing.
        StoreError: a classifier that is no network or averages test-time views other than flips, more than 1.5 GiB of
            weights, or answers that differ by more than 1e-4; nothing is left.
    """
    require_onnx()
    members = classifier.members if isinstance(classifier, Ensemble) else (classifier,)
    networks = [member for member in members if isinstance(member, CNNClassifier)]
    if len(networks) < len(members):
        kinds = sorted({type(member).__name__ for member in members})
        raise StoreError(f"only networks can be written as ONNX, got {', '.join(kinds)}")
    if any(member.recipe.tta not in (0, "flips") for member in networks):
        raise StoreError("test-time views (tta) are drawn by a picture's content, which no ONNX operator can")
    held = sum(one.nbytes for member in networks for one in member.module.state_dict().values())
    if held > MOST_BYTES:
        raise StoreError(
            f"the {len(networks)} networks of this model hold {held / 2**30:.1f} GiB of weights, one ONNX file at most "
            f"{MOST_BYTES / 2**30:.1f}: export without --onnx, or an arm of fewer repeats or of a smaller network"
        )
    calibrated = classifier.temperatures if isinstance(classifier, Ensemble) and classifier.calibrated else ()
    _export(_Whole(networks, [one for one in calibrated if one is not None]), _noise(classifier, 2), path)
    _describe(classifier, path)
    worst = max(_difference(classifier, path, num) for num in CHECKED)
    if not worst <= TOLERANCE:
        path.unlink()
        raise StoreError(f"{path}: onnxruntime differs from torch by {worst:.2g}, more than {TOLERANCE:g}; not kept")
    return worst


class _Whole(nn.Module):
    """uint8 [N, C, S, S] => the mean of the members' probabilities [N, K], at their temperatures if given."""

    def __init__(self, members: list[CNNClassifier], temperatures: list[float]) -> None:
        super().__init__()
        self._members, self._temperatures = members, temperatures
        self.modules_of_members = nn.ModuleList(member.module.cpu().eval() for member in members)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = images.float() / 255
        made = torch.stack([member.probabilities(values) for member in self._members])
        if self._temperatures:
            each = torch.tensor(self._temperatures)[:, None, None]
            made = torch.softmax(made.clamp_min(SMALLEST).log() / each, dim=2)
        return made.mean(dim=0)


def _export(module: nn.Module, images: NDArray[np.uint8], path: Path) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        torch.onnx.export(
            module.eval(),
            (torch.from_numpy(images),),
            str(path),
            input_names=["images"],
            output_names=["probabilities"],
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )


def _describe(classifier: Classifier, path: Path) -> None:
    import onnx

    view = classifier.recipe.view
    model = onnx.load(str(path))
    told = {
        "class_names": json.dumps(list(classifier.class_names)),
        "size": str(view.size),
        "resize": view.resize,
        "channels": str(classifier.channels),
        "handful": __version__,
    }
    onnx.helper.set_model_props(model, told)
    model.producer_name, model.producer_version = "handful", __version__
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _difference(classifier: Classifier, path: Path, num: int) -> float:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = _noise(classifier, num)
    (made,) = session.run(["probabilities"], {"images": images})
    return float(np.abs(made - classifier.predict_proba(images)).max())


def _noise(classifier: Classifier, num: int) -> NDArray[np.uint8]:
    shape = (num, classifier.channels, classifier.recipe.view.size, classifier.recipe.view.size)
    return numpy_rng(num, "onnx").integers(0, 256, shape, dtype=np.uint8)
