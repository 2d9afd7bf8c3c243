"""Runs that several tests look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny

from threatloop.engine.run import Finished


@dataclass(frozen=True)
class Reference:
    """A finished inline run of `tiny.spec`, not to be changed."""

    finished: Finished
    folder: Path
    rows: list[dict[str, Any]]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """One target, two scenarios, one seed."""
    folder = tmp_path_factory.mktemp("reference")
    finished = tiny.run(tiny.spec(), folder)
    return Reference(finished, folder, tiny.table(finished.out))
