"""Extractors that are pretrained networks."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field

from handful.config import Recipe
from handful.measure.extractor import Extractor, Network, Pixels8, check_pixels
from handful.measure.feature_cache import Features, Progress
from handful.measure.resize import Resizer

Layer = Literal["64", "192", "768", "2048", "logits", "logits_unbiased"]


class Pretrained(Recipe, Extractor):
    """What the pretrained networks have in common."""

    kind: str

    @abstractmethod
    def load(self, device: str) -> Network:
        """Return the network on a device."""

    def features(self, pixels: Pixels8, device: str = "cpu", *, progress: Progress | None = None) -> Features:
        from handful.nn.weight_files import weights_dir

        check_pixels(pixels)
        return _loaded(self, device, str(weights_dir())).features(pixels, self.label, progress)


@lru_cache(maxsize=2)
def _loaded(extractor: Pretrained, device: str, folder: str) -> Network:
    """The network of one extractor; `folder` is there because another folder may hold other weights."""
    return extractor.load(device)


class Inception(Pretrained):
    """The Inception-v3 that the Fréchet inception distance is defined with (`nn.inception`).

    Only `2048` with `tensorflow` and 299 px may be called FID; the Inception Score takes `logits_unbiased`.

    Args:
        layer: `64`, `192`, `768` or `2048` pooled features, or 1008 `logits` (`logits_unbiased`: without the bias).
        resizer, size: how pictures come to the network.
    """

    kind: Literal["inception"] = "inception"
    layer: Layer = "2048"
    resizer: Resizer = "tensorflow"
    size: Annotated[int, Field(ge=75, le=1024)] = 299

    @property
    def label(self) -> str:
        return f"inception/{self.layer}/{self.resizer}{self.size}"

    def load(self, device: str) -> Network:
        import torch

        from handful.nn.inception import load_fid_inception

        network, facts = load_fid_inception()
        network = network.to(device).to(memory_format=torch.channels_last)
        return Network(
            lambda images: network(images, self.layer),
            facts.digest,
            self.size,
            self.resizer,
            facts.mean,
            facts.std,
            3,
            device,
        )


class Lite0(Pretrained):
    """EfficientNet-Lite0, trained on ImageNet: 1280 features. Its weights come as a package: the default offline."""

    kind: Literal["lite0"] = "lite0"
    resizer: Resizer = "bicubic"
    size: Annotated[int, Field(ge=32, le=1024)] = 224

    @property
    def label(self) -> str:
        return f"lite0/1280/{self.resizer}{self.size}"

    def load(self, device: str) -> Network:
        return _backbone("lite0", device, self.size, self.resizer)


class DinoV2(Pretrained):
    """DINOv2 ViT-S/14, trained without labels: 384 features of the class token, at 224 px.

    Source: Oquab et al., DINOv2 (2023); as an extractor for distances, with a larger network: Stein et al., Exposing
    Flaws of Generative Model Evaluation Metrics (2023).
    """

    kind: Literal["dinov2"] = "dinov2"
    resizer: Resizer = "bicubic"

    @property
    def label(self) -> str:
        return f"dinov2/384/{self.resizer}224"

    def load(self, device: str) -> Network:
        return _backbone("dinov2", device, 224, self.resizer)


class Timm(Pretrained):
    """Any pretrained model of timm, at its own size and with its own interpolation: the pooled features.

    Args:
        model: its name there, with or without the tag of its weights, such as `resnet18.a1_in1k`.
    """

    kind: Literal["timm"] = "timm"
    model: str

    @property
    def label(self) -> str:
        from handful.nn.weights import timm_card

        name, card = timm_card(self.model)
        return f"timm:{name}/pooled/{card.interpolation}{card.input_size[-1]}"

    def load(self, device: str) -> Network:
        from handful.nn.weights import timm_card

        _, card = timm_card(self.model)
        return _backbone(f"timm:{self.model}", device, card.input_size[-1], card.interpolation)


def _backbone(name: str, device: str, size: int, resizer: Resizer) -> Network:
    import torch

    from handful.nn.weights import load_backbone

    network, facts = load_backbone(name)
    network = network.to(device).to(memory_format=torch.channels_last)
    return Network(network, facts.digest, size, resizer, facts.mean, facts.std, 3, device)
