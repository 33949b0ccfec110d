"""How pictures come to the size of an extractor, against Pillow and torch-fidelity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from handful.errors import ConfigError
from handful.measure.resize import RESIZERS, resize


def noise(height, width):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, height, width), dtype=np.uint8))


@pytest.mark.parametrize("resizer", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (13, 40), (64, 64), (301, 17)])
def test_shrinking_and_growing_is_that_of_pillow(resizer, height, width):
    pictures = noise(height, width)
    how = Image.Resampling[resizer.upper()]
    planes = pictures.reshape(-1, height, width).float().numpy()
    expected = np.stack([np.asarray(Image.fromarray(plane).resize((32, 32), how)) for plane in planes])
    made = resize(pictures, 32, resizer).reshape(-1, 32, 32).numpy()
    np.testing.assert_allclose(made, expected.clip(0, 255), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (13, 40), (400, 350), (1, 5)])
def test_tensorflow_is_that_of_torch_fidelity(height, width):
    pictures = noise(height, width)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(pictures.float(), size=(299, 299), align_corners=False)
    torch.testing.assert_close(resize(pictures, 299, "tensorflow"), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("resizer", RESIZERS)
def test_pictures_of_the_size_are_left_as_they_are_and_values_stay_in_range(resizer):
    pictures = noise(16, 16)
    assert torch.equal(resize(pictures, 16, resizer), pictures.float())
    for size in (5, 50):
        made = resize(pictures, size, resizer)
        assert made.shape == (2, 3, size, size)
        assert 0 <= float(made.min()) <= float(made.max()) <= 255


def test_antialias_is_what_tells_them_apart():
    stripes = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    stripes[..., ::2] = 255
    assert float(resize(stripes, 16, "bilinear").std()) < 20
    assert float(resize(stripes, 16, "tensorflow").std()) == 0  # every fourth column only: aliased to white
    assert float(resize(stripes, 16, "tensorflow").mean()) == 255


def test_an_unknown_resizer_is_told_with_those_there_are():
    with pytest.raises(ConfigError, match="unknown resizer 'bicubik'; did you mean 'bicubic'"):
        resize(noise(8, 8), 4, "bicubik")
