"""The graph that every exporter is tried on."""

from __future__ import annotations

import pytest

from threat_world import small_graph
from threatloop.threats.graph import ThreatGraph


@pytest.fixture(scope="session")
def graph() -> ThreatGraph:
    return small_graph()
