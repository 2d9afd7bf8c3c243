"""What the sweep removes, and what it must leave."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from threatloop.core.errors import InputError
from threatloop.engine.storage import sweep
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.store import Store

KEY, OTHER, TASK = "0123456789abcdef", "f" * 64, {"operation": "train"}
Elapse = Callable[[float], None]


def sample() -> Artefact:
    return Artefact({"w": np.arange(6.0)}, {"loss": 0.25}, {"t": pa.table({"x": [1, 2]})})


@pytest.fixture(params=["directory", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "directory" else f"memory://{uuid.uuid4().hex}/store"


@pytest.fixture
def elapse(monkeypatch: pytest.MonkeyPatch) -> Elapse:
    """Moves the clock by which the sweep judges ages."""

    def move(seconds: float) -> None:
        now = time.time() + seconds
        monkeypatch.setattr(sweep, "time", SimpleNamespace(time=lambda: now))

    return move


def test_gc_by_key_and_age(url: str, elapse: Elapse) -> None:
    store = Store(url)
    for key in (KEY, OTHER):
        store.put(key, sample(), TASK)
    full = store.stats()
    assert store.gc().count == 0
    assert store.gc(keep=set(), older_than_days=2).count == 0
    rehearsal = store.gc(keep={KEY}, dry_run=True)
    assert store.stats() == full
    report = store.gc(keep={KEY})
    assert (report.artefacts, report.orphans, report.bytes) == (1, 0, rehearsal.bytes)
    assert full.bytes - store.stats().bytes == report.bytes > 0
    assert list(store.keys()) == [KEY]
    elapse(3 * 86400)
    assert store.gc(older_than_days=4).count == 0
    assert store.gc(older_than_days=2).artefacts == 1
    assert store.stats().files == 0


def test_gc_takes_orphans_only_after_an_hour(url: str, elapse: Elapse) -> None:
    store = Store(url)
    store.put(KEY, sample(), TASK)
    store.put(OTHER, sample(), TASK)
    store._files.remove(sweep.manifest_path(OTHER))
    store._files.write("objects/.tmp-0-x.json", [b"half"])
    store._files.write("objects/notes.txt", [b"somebody's own"])
    assert store.gc().count == 0
    elapse(3700)
    report = store.gc()
    assert (report.artefacts, report.orphans) == (0, 3)
    assert store.get(KEY).meta == sample().meta
    assert {entry.path.rpartition("/")[2] for entry in store._files.walk("objects")} >= {
        "notes.txt",
        f"{KEY}.json",
    }
    assert store.stats().files == 4


@pytest.mark.parametrize("days", [-1.0, math.nan])
def test_gc_refuses_ages_that_make_no_sense(url: str, days: float) -> None:
    with pytest.raises(InputError, match="older_than_days"):
        Store(url).gc(older_than_days=days)
