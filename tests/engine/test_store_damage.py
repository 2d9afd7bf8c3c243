"""Damage and unusable places: each is noticed, named in one line, and leaves nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from threatloop.core.errors import CorruptArtefact, StoreError
from threatloop.engine.storage import head
from threatloop.engine.storage.files import LocalFiles
from threatloop.engine.storage.manifest import Manifest, to_bytes
from threatloop.engine.storage.payload import Artefact, Buffer
from threatloop.engine.storage.store import Store
from threatloop.engine.storage.sweep import manifest_path

KEY, TASK = "0123456789abcdef", {"operation": "train"}


def sample() -> Artefact:
    return Artefact({"w": np.arange(6.0)}, {"loss": 0.25}, {"t": pa.table({"x": [1, 2]})})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "store"))
    made.put(KEY, sample(), TASK)
    return made


def files_of(store: Store) -> list[Path]:
    return sorted(path for path in (Path(store.url) / "objects").rglob("*") if path.is_file())


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("suffix", [".json", ".safetensors", ".parquet"])
def test_any_flipped_byte_is_noticed(store: Store, suffix: str) -> None:
    (path,) = (path for path in files_of(store) if path.suffix == suffix)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with pytest.raises(CorruptArtefact) as caught:
            store.get(KEY)
    assert KEY in one_line(caught.value)
    assert path.name in str(caught.value)
    path.write_bytes(whole)
    assert store.get(KEY).meta == {"loss": 0.25}


@pytest.mark.parametrize("suffix", [".json", ".safetensors", ".parquet"])
@pytest.mark.parametrize("keep", [0, 1, 40, -1])
@pytest.mark.parametrize("mmap", [False, True])
def test_cut_files_are_noticed_and_put_mends_them(store: Store, suffix: str, keep: int, mmap: bool) -> None:
    (path,) = (path for path in files_of(store) if path.suffix == suffix)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptArtefact, match=KEY) as caught:
        store.get(KEY, mmap=mmap)
    assert path.name in one_line(caught.value)
    assert store.has(KEY)
    store.put(KEY, sample(), TASK)
    np.testing.assert_array_equal(store.get(KEY, mmap=mmap).arrays["w"], np.arange(6.0))


def test_a_missing_payload_is_corrupt_and_can_be_deleted(store: Store) -> None:
    next(path for path in files_of(store) if path.suffix == ".safetensors").unlink()
    with pytest.raises(CorruptArtefact, match=r"safetensors: the file is missing"):
        store.get(KEY)
    store.delete(KEY)
    assert files_of(store) == []


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff" * 300, b"null", b"[" * 100_000])
def test_garbage_manifests_are_corrupt_and_swept_without_touching_payloads(store: Store, raw: bytes) -> None:
    manifest = Path(store.url) / manifest_path(KEY)
    manifest.write_bytes(raw)
    with pytest.raises(CorruptArtefact, match=f"{KEY}.json"):
        store.get(KEY)
    for path in files_of(store):
        os.utime(path, (0, 0))
    assert store.gc().count == 0
    assert store.gc(keep=set()).artefacts == 1
    assert files_of(store) == []


def test_a_manifest_with_a_true_checksum_cannot_point_elsewhere(store: Store, tmp_path: Path) -> None:
    """A checksum proves no good will: file names are held to their pattern as well."""
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    honest = store.manifest(KEY)
    for file in ("../../../../secret.safetensors", f"{'b' * 16}.{'0' * 16}-{'0' * 12}.safetensors"):
        ref = type(honest.files[0])("arrays", "", file, 6, "0" * 64)
        forged = Manifest(KEY, honest.digest, {}, {}, (ref,), 0.0)
        (Path(store.url) / manifest_path(KEY)).write_bytes(to_bytes(forged))
        with pytest.raises(CorruptArtefact, match="foreign files"):
            store.get(KEY)
    foreign = Manifest("b" * 16, honest.digest, {}, {}, (), 0.0)
    (Path(store.url) / manifest_path(KEY)).write_bytes(to_bytes(foreign))
    with pytest.raises(CorruptArtefact, match="another key"):
        store.get(KEY)


def test_a_reader_overtaken_by_a_replacement_gets_the_new_artefact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = store.manifest(KEY)
    store.delete(KEY)
    store.put(KEY, Artefact({"w": np.ones(2)}, {"loss": 9.0}), TASK)
    answers = iter([stale, store.manifest(KEY)])
    monkeypatch.setattr(store, "manifest", lambda _key: next(answers))
    assert store.get(KEY).meta == {"loss": 9.0}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_a_failing_write_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, code: int
) -> None:
    """The disk gives up half-way through the store's head, the arrays, the table or the manifest."""
    store, honest, calls = Store(str(tmp_path / "store")), LocalFiles.write, iter(range(99))

    def write(self: LocalFiles, path: str, chunks: Iterable[Buffer]) -> None:
        data = b"".join(bytes(chunk) for chunk in chunks)
        if next(calls) < failing:
            return honest(self, path, [data])
        honest(self, path, [data[: len(data) // 2]])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "write", write)
        with pytest.raises(StoreError) as caught:
            store.put(KEY, sample(), TASK)
    assert next(calls) == failing + 1
    expected = "no space left" if code == errno.ENOSPC else os.strerror(code)
    assert expected in one_line(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert files_of(store) == []
    store.put(KEY, sample(), TASK)
    assert store.get(KEY).meta == {"loss": 0.25}


FILL = """
import subprocess, sys
import numpy as np
from pathlib import Path
from threatloop.core.errors import StoreError
from threatloop.engine.storage.payload import Artefact
from threatloop.engine.storage.store import Store
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", sys.argv[1]], check=True)
store, stored = Store(sys.argv[1]), []
try:
    for number in range(100):
        store.put(f"{number:016x}", Artefact({"x": np.full(4000, number)}), {})
        stored.append(number)
except StoreError as error:
    print(error)
print(stored == [int(store.get(key).arrays["x"][0]) for key in sorted(store.keys())] and len(stored) > 2)
print(store.stats().files == 2 * len(stored))
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    rehearsal = f"mount -t tmpfs tmpfs {tmp_path}"
    if not unshare or subprocess.run([unshare, "-rm", "sh", "-c", rehearsal], capture_output=True).returncode:
        pytest.skip("needs a private mount namespace (unshare -rm) for a tiny file system")
    command = [unshare, "-rm", sys.executable, "-c", FILL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    message, *checks = done.stdout.splitlines()
    assert "no space left" in message
    assert checks == ["True", "True"]


def test_places_that_cannot_be_written_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="Not a directory") as caught:
            Store(str(place)).prepare()
        assert str(place) in one_line(caught.value)


def test_a_read_only_directory_still_reads(store: Store) -> None:
    for folder in [Path(store.url), *Path(store.url).rglob("*")]:
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    if os.access(store.url, os.W_OK):
        pytest.skip("this user may write anywhere")
    try:
        again = Store(store.url)
        assert again.get(KEY).meta == {"loss": 0.25}
        with pytest.raises(StoreError, match="Permission denied"):
            again.prepare()
        with pytest.raises(StoreError, match="Permission denied"):
            again.put("f" * 16, sample(), TASK)
    finally:
        for folder in [Path(store.url), *Path(store.url).rglob("*")]:
            folder.chmod(0o755)


def test_a_newer_store_is_refused_and_left_alone(store: Store) -> None:
    path = Path(store.url) / "store.json"
    newer = json.dumps({"format": head.FORMAT, "version": head.VERSION + 1, "unknown": []})
    path.write_text(newer)
    with pytest.raises(StoreError, match=rf"version {head.VERSION + 1}.*upgrade threatloop") as caught:
        Store(store.url)
    one_line(caught.value)
    assert path.read_text() == newer


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format":"threatloop-store","version":"new"}', '{"format":"x","version":1}']
)
def test_a_strange_head_is_refused(store: Store, text: str) -> None:
    (Path(store.url) / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"store\.json") as caught:
        Store(store.url)
    one_line(caught.value)


def test_somebody_elses_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match=r"not a threatloop store.*thesis\.tex"):
        Store(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
