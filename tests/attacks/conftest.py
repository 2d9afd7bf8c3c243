"""Worlds that are costly to build, once per session."""

from __future__ import annotations

import pytest
from m2d_world import World, build, digits


@pytest.fixture(scope="session")
def world() -> World:
    """Digits, overfitted fully connected networks, 16 shadow models."""
    return build(digits())
