"""The network of the Fréchet inception distance against torch-fidelity's, with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from handful import rng
from handful.errors import WeightsError
from handful.measure.resize import resize
from handful.nn.inception import FIDInception, load_fid_inception

LAYERS = ("64", "192", "768", "2048", "logits_unbiased", "logits")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights from chance, with batch norms that do something and maps that stay of one size."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with rng.forked(0):
        network = FIDInception()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(part.weight, 0.8, 1.6)
                nn.init.normal_(part.bias, 0, 0.1)
    torch.save(network.state_dict(), path)
    return path


def test_every_layer_is_that_of_torch_fidelity(weights):
    pixels = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8, generator=rng.torch_rng(1))
    reference = FeatureExtractorInceptionV3("reference", list(LAYERS), feature_extractor_weights_path=str(weights))
    network, facts = load_fid_inception(weights)
    assert (facts.name, facts.source, facts.size) == ("inception", f"file {weights}", 299)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (facts.mean, facts.std))
    images = (resize(pixels, 299, "tensorflow") / 255 - mean) / std
    with torch.inference_mode():
        for layer, theirs in zip(LAYERS, reference(pixels), strict=True):
            mine = network(images, layer)
            assert mine.shape == (2, int(layer) if layer.isdigit() else 1008)
            assert float(theirs.std()) > 0.01, "a reference that does not move proves nothing"
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_the_weights_of_torchvisions_inception_are_refused(tmp_path):
    from torchvision import models

    with rng.forked():
        other = models.inception_v3(init_weights=False, aux_logits=True)
    torch.save(other.state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="not the weights of this network"):
        load_fid_inception(tmp_path / "w.pth")
