"""Worlds that are costly to build, once per session."""

from __future__ import annotations

import pytest
from m2d_world import World, build, digits
from text_world import TextWorld
from text_world import build as build_text


@pytest.fixture(scope="session")
def world() -> World:
    """Digits, overfitted fully connected networks, 16 shadow models."""
    return build(digits())


@pytest.fixture(scope="session")
def text_world() -> TextWorld:
    """Random sentences and canaries, in a small transformer that saw them often."""
    return build_text()
