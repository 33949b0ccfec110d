"""Scanned digits that tests of generators are fitted to."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def train(digits):
    """Three classes; the fourth, 'seven', is absent."""
    return digits(0, (20, 9, 14, 0))


@pytest.fixture(scope="module")
def val(digits):
    return digits(40, (5, 5, 5, 0))
