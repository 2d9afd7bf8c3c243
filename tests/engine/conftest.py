"""Runs that several tests look at."""

from __future__ import annotations

import pytest

import tiny


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tiny.Reference:
    """One target, two scenarios, one seed."""
    folder = tmp_path_factory.mktemp("reference")
    finished = tiny.run(tiny.spec(), folder)
    return tiny.Reference(finished, folder, tiny.table(finished.out))
