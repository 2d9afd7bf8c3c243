"""The store's promises seen from outside, on a directory and on an object store."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from threatloop.core.errors import InputError, StoreError
from threatloop.engine.storage import sweep
from threatloop.engine.storage.manifest import MissingArtefact
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.remote import RemoteFiles
from threatloop.engine.storage.store import Store

KEY, OTHER = "0123456789abcdef", "f" * 64
TASK = {"operation": "train", "seed": 7}


def sample(value: float = 1.5) -> Artefact:
    table = pa.table({"record": [1, 2, 3], "label": ["a", None, "ü"]})
    arrays = {
        "w": np.full((2, 3), value, np.float32),
        "flag": np.array(True),
        "none": np.zeros((0, 4), np.int64),
    }
    return Artefact(arrays, {"loss": value, "nested": [{"x": None}]}, {"scores": table})


@pytest.fixture(params=["directory", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "directory" else f"memory://{uuid.uuid4().hex}/store"


def test_what_is_put_comes_back_in_another_store_object(url: str) -> None:
    digest = Store(url).put(KEY, sample(), TASK)
    store = Store(url)
    got, manifest = store.get(KEY), store.manifest(KEY)
    assert got.arrays.keys() == sample().arrays.keys()
    for name, array in sample().arrays.items():
        np.testing.assert_array_equal(got.arrays[name], array)
        assert (got.arrays[name].dtype, got.arrays[name].shape) == (array.dtype, array.shape)
    assert got.meta == {"loss": 1.5, "nested": [{"x": None}]}
    assert got.tables["scores"].equals(sample().tables["scores"])
    assert (manifest.key, manifest.digest, manifest.task) == (KEY, digest, TASK)
    assert abs(manifest.created - time.time()) < 60


def test_the_digest_depends_on_the_content_only(url: str) -> None:
    store = Store(url)
    digests = [store.put("a" * 16, sample(), TASK), store.put("b" * 16, sample(), {"seed": 8})]
    changed = [
        store.put("c" * 16, sample(2.0), TASK),
        store.put("d" * 16, Artefact(meta={"loss": 1.5}), TASK),
    ]
    assert digests[0] == digests[1]
    assert len({digests[0], *changed}) == 3


def test_has_present_keys_and_delete(url: str) -> None:
    store = Store(url)
    assert not store.has(KEY)
    assert list(store.keys()) == []
    many = [f"{number:032x}" for number in range(20)]
    for key in [*many[:3], KEY]:
        store.put(key, Artefact(meta={"key": key}), TASK)
    assert store.has(KEY)
    assert not store.has(OTHER)
    assert store.present(many) == set(many[:3])
    assert store.present([KEY, OTHER]) == {KEY}
    assert set(store.keys()) == {*many[:3], KEY}
    store.delete(KEY)
    store.delete(KEY)
    assert not store.has(KEY)
    assert set(store.keys()) == set(many[:3])
    with pytest.raises(MissingArtefact, match=KEY):
        store.get(KEY)


def test_the_first_writer_wins_and_readers_keep_what_they_hold(url: str) -> None:
    store = Store(url)
    first = store.put(KEY, sample(1.0), TASK)
    held = store.get(KEY, mmap=True)
    assert store.put(KEY, sample(2.0), TASK) == first
    assert store.get(KEY).meta["loss"] == 1.0
    store.delete(KEY)
    assert store.put(KEY, sample(2.0), TASK) != first
    assert float(held.arrays["w"][0, 0]) == 1.0
    assert float(store.get(KEY).arrays["w"][0, 0]) == 2.0


def test_mapped_arrays_equal_read_ones_and_cannot_change_the_store(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    images = np.random.default_rng(0).integers(0, 256, (500, 8, 8, 3), dtype=np.uint8)
    store.put(KEY, Artefact({"images": images, "labels": np.arange(500)}), TASK)
    mapped, read = store.get(KEY, mmap=True), store.get(KEY)
    np.testing.assert_array_equal(mapped.arrays["images"][[3, 400]], images[[3, 400]])
    np.testing.assert_array_equal(mapped.arrays["labels"], read.arrays["labels"])
    assert not mapped.arrays["images"].flags.writeable
    read.arrays["images"][:] = 0
    np.testing.assert_array_equal(store.get(KEY).arrays["images"], images)


def test_stats_count_artefacts_files_and_bytes(url: str) -> None:
    store = Store(url)
    assert store.stats() == sweep.StoreStats(0, 0, 0)
    store.put(KEY, sample(), TASK)
    store.put(OTHER, Artefact(meta={"x": 1}), TASK)
    stats = store.stats()
    assert (stats.artefacts, stats.files) == (2, 4)
    assert stats.bytes > store.manifest(KEY).size > 0


@pytest.mark.parametrize(
    "key",
    [
        "",
        "abc",
        "../../etc/passwd",
        "../" + KEY,
        KEY.upper() + "A",
        KEY + "\n",
        KEY + "/..",
        "a" * 65,
        "g" * 16,
    ],
)
def test_bad_keys_reach_no_file(url: str, key: str) -> None:
    store = Store(url)
    calls: list[Callable[[], object]] = [
        lambda: store.has(key),
        lambda: store.present([KEY, key]),
        lambda: store.put(key, sample(), TASK),
        lambda: store.get(key),
        lambda: store.manifest(key),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(InputError, match="not valid: use 16 to 64"):
            call()
    assert store._files.names() == []


def test_opening_and_asking_write_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    assert not store.has(KEY)
    assert store.gc().count == 0
    assert list(tmp_path.iterdir()) == []
    store.prepare()
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["store.json"]


def test_a_remote_file_system_that_needs_folders_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threatloop.engine.storage.store.open_files", RemoteFiles)
    store = Store(f"file://{tmp_path}/deep/store")
    assert store.present([KEY] * 20) == set()
    store.put(KEY, sample(), TASK)
    np.testing.assert_array_equal(store.get(KEY, mmap=True).arrays["w"], sample().arrays["w"])
    monkeypatch.undo()
    assert Store(f"{tmp_path}/deep/store").get(KEY).meta == sample().meta


def test_errors_of_a_remote_client_become_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCredentials(Exception):
        """Clients of object stores derive their errors from Exception."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise NoCredentials("log in first\ndetails")

    store = Store(f"memory://{uuid.uuid4().hex}")
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.pipe_file", refuse)
    with pytest.raises(StoreError, match=r"cannot take artefact .*NoCredentials: log in first") as caught:
        store.put(KEY, sample(), TASK)
    assert "\n" not in str(caught.value)


def test_relative_paths_file_urls_and_pickled_stores_mean_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here")
    store.put(KEY, sample(), TASK)
    monkeypatch.chdir("/")
    assert store.is_local
    assert pickle.loads(pickle.dumps(store)).has(KEY)  # noqa: S301
    assert Store(f"file://{tmp_path}/here").has(KEY)
    assert not Store("memory://elsewhere").is_local


@pytest.mark.parametrize("url", ["", "  ", "nonsense://bucket/x"])
def test_places_nobody_knows_are_bad_input(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Store(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "artefact",
    [
        Artefact({"text": np.array(["a"])}),
        Artefact({"objects": np.array([None])}),
        Artefact({"__metadata__": np.zeros(1)}),
        Artefact(meta={"loss": math.nan}),
        Artefact(meta={"loss": np.float32(1)}),
        Artefact(meta={"per_class": {1: 2}}),
    ],
    ids=["text", "object", "reserved", "nan", "numpy-scalar", "int-key"],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(url: str, artefact: Artefact) -> None:
    store = Store(url)
    with pytest.raises(StoreError) as caught:
        store.put(KEY, artefact, TASK)
    assert "\n" not in str(caught.value)
    assert store._files.names() == []


def test_lookups_are_fast_and_small_artefacts_cheap(tmp_path: Path) -> None:
    """Loose bars (about ten times the usual figure), so that only a change of the order of growth trips them."""
    store = Store(str(tmp_path))
    keys = [f"{number:032x}" for number in range(1000)]
    start = time.perf_counter()
    for key in keys[:100]:
        store.put(key, Artefact({"w": np.zeros(500)}, {"x": 1}), TASK)
        store.get(key)
    middle = time.perf_counter()
    assert len(store.present(keys)) == sum(store.has(key) for key in keys) == 100
    assert time.perf_counter() - middle < 0.5
    assert (middle - start) / 100 < 0.02


def test_importing_the_store_is_light() -> None:
    heavy = ("torch", "pyarrow", "fsspec")
    code = f"import sys, threatloop.engine.storage.store; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
