"""Where a network looked when it decided: Grad-CAM on the maps of its body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from handful.classify.cnn import CNNClassifier
from handful.classify.contract import Classifier
from handful.errors import ConfigError, DataError

CHUNK = 32
Function = Callable[[torch.Tensor], torch.Tensor]


def heat_of(
    classifier: Classifier, pixels: NDArray[np.uint8], classes: NDArray[np.int64], *, device: str = "cpu"
) -> NDArray[np.float32]:
    """Return float32 [N, H, W] in [0, 1]: how much each place of a picture spoke for a class, see `grad_cam`.

    Args:
        classifier: one network; not an ensemble, whose members look at different places.
        pixels: uint8 [N, C, H, W] in the classifier's view.
        classes: int [N], the class asked about, often the predicted one.

    Raises:
        ConfigError: the classifier is no single network, or its body gives features, no maps.
        DataError: pictures and classes differ in number.
    """
    if not isinstance(classifier, CNNClassifier):
        raise ConfigError(f"Grad-CAM looks into one network, got {type(classifier).__name__}; take one of its members")
    if len(pixels) != len(classes):
        raise DataError(f"{len(pixels)} pictures and {len(classes)} classes: must be as many")
    module = classifier.module.to(device)
    found = [np.empty((0, *pixels.shape[2:]), dtype=np.float32)]
    for start in range(0, len(pixels), CHUNK):
        images = torch.from_numpy(np.array(pixels[start : start + CHUNK])).to(device).float() / 255
        wanted = torch.from_numpy(np.array(classes[start : start + CHUNK], dtype=np.int64)).to(device)
        with _evaluating(module):
            found.append(_grad_cam(module.maps, module.network.head, images, wanted).cpu().numpy())
    return np.concatenate(found)


def grad_cam(body: nn.Module, head: nn.Module, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return float [B, H, W] in [0, 1]: how much each place of a picture spoke for a class.

    ReLU(sum_k a_k A_k), a_k = mean over places of dy/dA_k, with A the body's maps [B, D, h, w] and y the logit of the
    class; brought to [H, W] bilinearly and divided by the largest value of the picture. 0 everywhere where nothing
    spoke for the class. Both parts run in evaluation mode and are left as they were, gradients included.

    Source: Selvaraju et al. 2017, equations 1 and 2. Checked against its closed form: with a linear head over pooled
    maps, a_k is the head's weight over the number of places (the class activation map of Zhou et al. 2016).

    Args:
        body: float [B, C, H, W] => maps [B, D, h, w].
        head: maps => logits [B, K].
        images: float [B, C, H, W], as the body takes them.
        classes: int64 [B], in [0, K).

    Raises:
        ConfigError: the body gives features [B, D], no maps.
    """
    with _evaluating(body), _evaluating(head):
        return _grad_cam(body, head, images, classes)


def _grad_cam(body: Function, head: Function, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode(mode=False):
        images, classes = images.clone(), classes.clone()  # those of a caller in inference mode have no gradients
        with torch.no_grad():
            maps = body(images)
        if maps.ndim != 4:
            raise ConfigError(
                f"Grad-CAM needs a body that gives maps [B, D, h, w], this one gives {list(maps.shape)}: a network "
                "without places cannot be asked where it looked"
            )
        with torch.enable_grad():
            maps.requires_grad_(True)
            logits = head(maps.clone())  # a head that begins with an in-place ReLU must not write into the leaf
            spoken = logits.gather(1, classes[:, None]).sum()
            (slopes,) = torch.autograd.grad(spoken, maps)
        weights = slopes.mean(dim=(2, 3), keepdim=True)
        heat = F.relu((weights * maps.detach()).sum(dim=1, keepdim=True))
        heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        most = heat.amax(dim=(1, 2), keepdim=True)
        return torch.where(most > 0, heat / most.clamp_min(torch.finfo(heat.dtype).tiny), torch.zeros_like(heat))


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """A module in evaluation mode; each of its parts is left in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
