"""Planning opens the pictures for the view they are then loaded at, so that none is decoded twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handful import CNN, Study, View
from handful.data import decode as decoding
from handful.data.load import load
from handful.study.plan import make_plan
from handful.study.store import Store


@pytest.mark.parametrize(
    "given",
    [{}, {"image_size": 16}, {"classifier": CNN(view=View(size=28, resize="pad"))}, {"resize": "crop"}],
)
def test_planning_and_loading_decode_each_picture_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        place = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(place)
    opened: list[bytes] = []
    real = decoding._opened
    monkeypatch.setattr(decoding, "_opened", lambda data: opened.append(data) or real(data))
    study = Study(tmp_path / "pictures", arms="baseline", **given)
    store = Store(tmp_path / "store")
    plan = make_plan(study, store, budget=None, workers=1, device="cpu", timed=False, say=lambda line: None)
    assert len(opened) == 24
    view = plan.study.classifier.view
    images = load(plan.source, view)
    assert len(opened) == 24
    np.testing.assert_array_equal(images.pixels[5], decoding.resized(plan.source.read(5), view, 3))
