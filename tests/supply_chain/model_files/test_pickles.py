"""Following pickles: to the same end as the unpickler, and without being led astray."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_pickles import SYSTEM, reduce, stack_global, text
from threatloop.supply_chain.model_files import Limits, scan_model_file
from threatloop.supply_chain.model_files.pickles.follow import follow, follow_all
from threatloop.supply_chain.model_files.pickles.known import Grade, grade
from threatloop.supply_chain.model_files.pickles.opcodes import Blob, opcodes
from threatloop.supply_chain.model_files.pickles.values import Name
from threatloop.supply_chain.model_files.source import Source
from threatloop.supply_chain.result import Severity

QUICK = Limits(opinion_bytes=0)
_leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_data = st.recursive(_leaf, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner))


def source(data: bytes) -> Source:
    return Source("x.pkl", "x.pkl", io.BytesIO(data), 0, len(data))


@settings(max_examples=40, deadline=None)
@given(_data, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_is_followed_to_the_end_and_nothing_is_odd(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    walk = follow(source(data), 0, QUICK)
    assert (walk.broken, walk.end, walk.odd, walk.computed) == ("", len(data), [], [])
    assert {str(name) for name in walk.names} <= {"_codecs.encode", "__builtin__.bytes"}


@settings(max_examples=40, deadline=None)
@given(_data, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_opcodes_and_arguments_are_those_of_pickletools(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    ours = [(op.name, op.at) for op in opcodes(io.BytesIO(data), len(data), 1 << 20)]
    assert ours == [(info.name, at) for info, _, at in pickletools.genops(data)]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_walk(data: bytes) -> None:
    assert follow_all(source(b"\x80\x04" + data), 0, QUICK)


def test_long_arguments_are_stepped_over() -> None:
    data = b"\x80\x04B" + struct.pack("<I", 5000) + bytes(5000) + b"."
    found = [op.argument for op in opcodes(io.BytesIO(data), len(data), 100)]
    assert found[1] == Blob(7, 5000)


def test_escapes_in_the_text_form_are_not_undone() -> None:
    """`pickletools` reads ``\\x6f`` as ``o`` here, the unpickler does not."""
    walk = follow(source(rb"c\x6fs" + b"\nsystem\n."), 0, QUICK)
    assert walk.names == (Name(r"\x6fs", "system"),)


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("collections", "OrderedDict", Grade.KNOWN),
        ("torch._utils", "_rebuild_tensor_v2", Grade.KNOWN),
        ("sklearn.ensemble._forest", "RandomForestClassifier", Grade.KNOWN),
        ("sklearn.ensemble._forest", "fetch", Grade.UNKNOWN),
        ("sklearn.datasets._base", "load_files", Grade.UNKNOWN),
        ("collections", "OrderedDict.fromkeys", Grade.UNKNOWN),
        ("collections", "OrderedDict.__init__.__globals__", Grade.DANGEROUS),
        ("torch", "serialization.os.system", Grade.DANGEROUS),
        ("torch.nn.modules.linear", "Linear.forward", Grade.UNKNOWN),
        ("os ", "system", Grade.DANGEROUS),
        ("ｏｓ", "system", Grade.DANGEROUS),
        ("mine\u200b", "Model", Grade.INDIRECT),
        ("operator", "attrgetter", Grade.INDIRECT),
        ("mine", "Model", Grade.UNKNOWN),
    ],
)
def test_grades(module: str, name: str, expected: Grade) -> None:
    assert grade(Name(module, name)) is expected


def _found(data: bytes, folder: Path, name: str = "model.pkl") -> dict[str, Severity]:
    path = folder / name
    path.write_bytes(data)
    return {finding.subject: finding.severity for finding in scan_model_file(path, QUICK).findings}


def test_what_stands_before_a_break_is_found_and_the_break_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(SYSTEM[:-1] + b"\xff")
    result = scan_model_file(path, QUICK)
    assert result.findings[0].subject == "os.system"
    assert "unknown opcode" in result.errors[0].reason
    assert result.read == ()


def test_a_nested_load_is_judged_by_what_it_loads(tmp_path: Path) -> None:
    head = b"\x80\x03ctorch.storage\n_load_from_bytes\n"
    good, bad = pickle.dumps([1], 2), reduce("os", "system", "true")
    assert _found(head + b"C" + bytes([len(good)]) + good + b"\x85R.", tmp_path) == {}
    assert "os.system" in _found(head + b"C" + bytes([len(bad)]) + bad + b"\x85R.", tmp_path)
    assert _found(head + text("a path") + b"\x85R.", tmp_path) == {"torch.storage._load_from_bytes": Severity.CRITICAL}


def test_payload_behind_joblib_arrays_is_reached(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    out = io.BytesIO()
    joblib.dump([np.arange(1000.0), np.array([{"a": 1}], dtype=object)], out)
    data = out.getvalue()
    assert _found(data, tmp_path, "clean.joblib") == {}
    tampered = data[:-1] + stack_global("os", "system") + text("true") + b"\x85R."
    assert _found(tampered, tmp_path, "bad.joblib")["os.system"] is Severity.CRITICAL


def test_legacy_torch_needs_exactly_its_storages(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    torch.save({"w": torch.ones(100)}, out, _use_new_zipfile_serialization=False)
    data = out.getvalue()
    path = tmp_path / "model.pth"
    path.write_bytes(data)
    assert scan_model_file(path, QUICK).findings == ()
    path.write_bytes(data[:-8])
    assert "truncated" in scan_model_file(path, QUICK).errors[0].reason
    path.write_bytes(data + SYSTEM)
    assert {f.subject for f in scan_model_file(path, QUICK).findings} >= {"tail", "os.system"}


def test_a_pickle_longer_than_the_limit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04" + b"N0" * 2000 + b"N.")
    result = scan_model_file(path, Limits(opcodes=100, opinion_bytes=0))
    assert "100 opcodes only" in result.errors[0].reason
