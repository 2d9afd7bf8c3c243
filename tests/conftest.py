"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

# One thread, as workers have it: sums over several threads need not repeat themselves. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of larger test data beside the repository; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"larger test data is not there ({SHARED_DATA})")
    return SHARED_DATA
