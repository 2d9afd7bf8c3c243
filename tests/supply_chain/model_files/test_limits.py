"""Large files are streamed, bombs are stopped, and what cannot be reached is said."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from corpus_archives import tarred, zipped
from corpus_pickles import SYSTEM
from model_writers import gguf, safetensors
from threatloop.supply_chain.model_files import Limits, scan_model_file, scan_model_files
from threatloop.supply_chain.result import Result, Severity

QUICK = Limits(opinion_bytes=0)
TWO_GIB = 1 << 31


def _sparse(path: Path, head: bytes, size: int, tail: bytes = b"") -> Path:
    with open(path, "wb") as file:
        file.write(head)
        file.seek(size)
        file.write(tail)
        file.truncate(size + len(tail))
    return path


def _streamed(path: Path) -> Result:
    """Scan, and no more than 64 MiB may be held at once."""
    tracemalloc.start()
    try:
        result = scan_model_file(path, QUICK)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    return result


def test_two_gigabytes_of_pickle(tmp_path: Path) -> None:
    head = b"\x80\x04\x8e" + struct.pack("<Q", TWO_GIB) + b""
    path = _sparse(tmp_path / "model.pkl", head, len(head) + TWO_GIB, b"0" + SYSTEM)
    assert _streamed(path).findings[0].subject == "os.system"


def test_two_gigabytes_of_safetensors(tmp_path: Path) -> None:
    whole = {"a": {"dtype": "F32", "shape": [TWO_GIB // 4], "data_offsets": [0, TWO_GIB]}}
    head = safetensors(whole, 0)
    result = _streamed(_sparse(tmp_path / "m.safetensors", head, len(head) + TWO_GIB))
    assert (result.findings, result.errors, len(result.read)) == ((), (), 1)


def test_two_gigabytes_of_gguf(tmp_path: Path) -> None:
    head = gguf(tensors=[("a", (TWO_GIB // 4,), 0, 0)], data=0)
    result = _streamed(_sparse(tmp_path / "m.gguf", head, len(head) + TWO_GIB))
    assert (result.findings, result.errors, len(result.read)) == ((), (), 1)


def test_two_gigabytes_of_nothing_are_not_understood(tmp_path: Path) -> None:
    result = _streamed(_sparse(tmp_path / "pytorch_model.bin", b"", TWO_GIB))
    assert (result.findings, len(result.skipped), result.read) == ((), 1, ())


@pytest.mark.slow
def test_two_gigabytes_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", SYSTEM)
        with archive.open("m/data/0", "w", force_zip64=True) as member:
            for _ in range(TWO_GIB >> 22):
                member.write(bytes(1 << 22))
    assert _streamed(path).findings[0].subject == "os.system"


def test_a_bomb_is_stopped_where_the_limit_is(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(gzip.compress(bytes(40 << 20)))
    result = scan_model_file(path, Limits(ratio_from=1 << 20, opinion_bytes=0))
    assert [finding.rule for finding in result.findings] == ["archive-bomb"]
    assert result.errors
    assert result.read == ()


def test_more_members_than_allowed_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    path.write_bytes(tarred({f"{number}.txt": b"x" for number in range(20)}))
    assert "more than 5 members" in scan_model_file(path, Limits(members=5)).errors[0].reason


def test_nesting_has_an_end(tmp_path: Path) -> None:
    data = SYSTEM
    for _ in range(5):
        data = zipped({"inner": data})
    path = tmp_path / "deep.zip"
    path.write_bytes(data)
    assert "nested more than 3 deep" in scan_model_file(path, Limits(depth=3)).skipped[0].reason
    assert scan_model_file(path, QUICK).findings[0].severity is Severity.CRITICAL


def test_a_pipe_and_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "gone.pt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.pkl")
    result = scan_model_files([tmp_path / "gone.pt", tmp_path / "pipe.pkl"], QUICK)
    assert [one.reason for one in result.skipped] == ["no regular file"]
    assert result.errors[0].reason.startswith("cannot be read")


def test_code_and_requirements_beside_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "modeling.Model"}}')
    (tmp_path / "modeling.py").write_text("class Model: ...\n")
    (tmp_path / "requirements.txt").write_text("torch\n")
    result = scan_model_files(tmp_path.iterdir(), QUICK)
    found = {(f.rule, Path(f.place.path).name) for f in result.findings}
    assert found == {
        ("remote-code", "config.json"),
        ("code-beside-weights", "modeling.py"),
        ("code-beside-weights", "requirements.txt"),
    }
    assert result.findings[0].threat == "threat:remote-code-in-model-repository"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    result = scan_model_file(tmp_path / "none.pkl")
    assert "No such file" in result.errors[0].reason
