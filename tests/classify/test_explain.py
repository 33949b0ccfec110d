"""Grad-CAM: its closed form, every network of the table, and that the network is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from handful.classify.ensemble import Ensemble
from handful.classify.explain import grad_cam, heat_of
from handful.data.images import LabeledImages
from handful.errors import ConfigError
from handful.nn.network import PooledHead
from handful.nn.networks import NETWORKS
from tiny_study import CLASSIFIER, digits


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def conv() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5))


@pytest.fixture(autouse=True)
def _own_stream():
    with torch.random.fork_rng():
        yield


def test_with_a_linear_head_over_pooled_maps_it_is_their_weighted_sum(conv, pictures):
    head, classes = PooledHead(5, 3), torch.tensor([0, 1, 2, 1])
    maps = conv.eval()(pictures).detach()
    wanted = F.relu(torch.einsum("bd,bdhw->bhw", head.layers[-1].weight.detach()[classes], maps))
    wanted = F.interpolate(wanted[:, None], size=(8, 8), mode="bilinear", align_corners=False)[:, 0]
    wanted = wanted / wanted.amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(grad_cam(conv, head, pictures, classes), wanted, atol=1e-6, rtol=1e-5)


def test_it_finds_the_place_that_speaks_for_the_class():
    images = torch.zeros((1, 1, 8, 8))
    images[0, 0, 6, 1] = 1
    body, head = nn.Conv2d(1, 2, 1, bias=False), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    body.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    heat = grad_cam(body, head, images, torch.tensor([0]))
    assert divmod(int(heat.argmax()), 8) == (6, 1)
    assert heat.max() == 1
    assert not grad_cam(body, head, images, torch.tensor([1])).any(), "nothing speaks for the other class"


def test_a_head_that_begins_with_a_relu_in_place_changes_nothing(conv, pictures):
    classes = torch.tensor([0, 1, 2, 0])
    torch.manual_seed(1)
    linear = nn.Linear(5, 3)
    heads = [
        nn.Sequential(nn.ReLU(inplace=inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
        for inplace in (True, False)
    ]
    one, other = (grad_cam(conv, head, pictures, classes) for head in heads)
    torch.testing.assert_close(one, other)


def test_the_network_is_left_as_it_was(conv, pictures):
    head = PooledHead(5, 3, hidden=(4,), dropout=0.5)
    conv.train(), head.train()
    conv[1].eval()
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    torch.manual_seed(0)
    first = grad_cam(conv, head, pictures, torch.tensor([0, 1, 2, 0]))
    assert [conv.training, conv[0].training, conv[1].training, head.layers[2].training] == [True, True, False, True]
    assert all(parameter.grad is None for parameter in [*conv.parameters(), *head.parameters()])
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())
    with torch.inference_mode():
        again = grad_cam(conv, head, pictures, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(again, first)


def test_a_body_without_places_is_a_clear_error(pictures):
    body = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    with pytest.raises(ConfigError, match=r"gives maps \[B, D, h, w\], this one gives \[4, 5\]"):
        grad_cam(body, nn.Linear(5, 3), pictures, torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("kind", [kind for kind in NETWORKS if kind in ("base", "v2", "v3")])
def test_networks_of_the_table_give_heat_of_the_size_of_the_picture(kind):
    network = NETWORKS[kind]().build(3, 32, 4, None)
    images = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    heat = grad_cam(network.body, network.head, images, torch.tensor([0, 3]))
    assert heat.shape == (2, 32, 32)
    assert 0 <= float(heat.min()) <= float(heat.max()) <= 1


def test_a_classifier_tells_it_of_pixels_and_one_picture_does_not_depend_on_another():
    pixels, labels, names = digits()
    train = LabeledImages.of_arrays(pixels[::2], labels[::2], names)
    classifier = CLASSIFIER.fit(train, LabeledImages.of_arrays(pixels[1::2], labels[1::2], names), seed=0)
    heat = heat_of(classifier, pixels[:40], labels[:40])
    assert (heat.shape, heat.dtype) == ((40, 8, 8), np.float32)
    np.testing.assert_allclose(heat_of(classifier, pixels[5:6], labels[5:6])[0], heat[5], atol=1e-5)
    assert heat_of(classifier, pixels[:0], labels[:0]).shape == (0, 8, 8)
    with pytest.raises(ConfigError, match="one network, got Ensemble"):
        heat_of(Ensemble.of([classifier]), pixels[:2], labels[:2])
