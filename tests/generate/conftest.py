"""Scanned digits that tests of generators are fitted to."""

from __future__ import annotations

import pytest

from small_generators import TRAIN, VAL


@pytest.fixture(scope="module")
def train(digits):
    return digits(*TRAIN)


@pytest.fixture(scope="module")
def val(digits):
    return digits(*VAL)
