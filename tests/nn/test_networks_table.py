"""docs/networks.md says of every network what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from handful import rng
from handful.nn.backbones import least_size
from handful.nn.networks import NETWORKS, network_of
from handful.nn.weights import BACKBONES, backbone

TEXT = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
ROWS = {
    row[0]: row[1:] for row in re.findall(r"^\| `([\w.]+)` \| (.*?) \| ([\d.]+) \| (\d+|any) \| (.*?) \|$", TEXT, re.M)
}


def test_every_network_that_is_chosen_by_its_name_has_a_row():
    assert set(ROWS) == set(NETWORKS) - {"custom", "encoder"}


@pytest.mark.parametrize("name", ROWS)
def test_the_numbers_of_a_row_are_those_of_the_network(name):
    _, millions, least, weights = ROWS[name]
    if name in BACKBONES:
        assert least == (str(least_size(name)) if least_size(name) > 1 else "any")
        origin = backbone(name).published().origin
        assert f"`{origin.package or origin.files[0]}`" in weights
    else:
        assert weights == ("of its two" if name == "fusion" else "random")
    with rng.forked():
        size = max(64, least_size(name))
        network = network_of(name).build(3, size, 10, None)
    assert f"{sum(one.numel() for one in network.parameters()) / 1e6:.2f}" == millions
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, size, size)).shape == (1, 10)
