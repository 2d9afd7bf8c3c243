"""Headers, graphs and configurations: the message names what is wrong, and sound files have none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus_archives import zipped
from corpus_formats import keras_zip, layer
from model_writers import field, gguf, onnx, onnx_external, safetensors
from threatloop.supply_chain.model_files import Limits, scan_model_file
from threatloop.supply_chain.result import Result

QUICK = Limits(opinion_bytes=0)


def scan(folder: Path, name: str, data: bytes) -> Result:
    path = folder / name
    path.write_bytes(data)
    return scan_model_file(path, QUICK)


@pytest.mark.parametrize(
    ("header", "data", "expected"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 8, ""),
        ({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, 0, ""),
        ({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, 2, ""),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, 4, "which is not F32"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, 12, "belong to no tensor"),
        ({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, 4, "of the wrong kind"),
        ({"a": {"dtype": "F32"}}, 4, "exactly dtype"),
    ],
)
def test_safetensors_headers(tmp_path: Path, header: object, data: int, expected: str) -> None:
    result = scan(tmp_path, "m.safetensors", safetensors(header, data))
    assert bool(result.findings) == bool(expected)
    assert all(expected in finding.detail for finding in result.findings)


def test_an_unknown_dtype_is_not_understood(tmp_path: Path) -> None:
    header = {"a": {"dtype": "F3", "shape": [2], "data_offsets": [0, 8]}}
    result = scan(tmp_path, "m.safetensors", safetensors(header, 8))
    assert "F3" in result.skipped[0].reason
    assert result.read == ()


def test_a_header_larger_than_the_format_allows(tmp_path: Path) -> None:
    result = scan(tmp_path, "m.safetensors", (200_000_000).to_bytes(8, "little") + b"{" + bytes(100))
    assert result.findings[0].rule == "malformed-header"
    assert result.errors


def test_gguf_of_quantised_tensors(tmp_path: Path) -> None:
    tensors = [("a", (256, 2), 12, 0), ("b", (32,), 8, 288)]
    assert scan(tmp_path, "m.gguf", gguf(tensors=tensors, data=352)).findings == ()
    odd = scan(tmp_path, "n.gguf", gguf(tensors=[("a", (100,), 12, 0)], data=320))
    assert "no multiple of its blocks" in odd.findings[0].title


def test_onnx_data_beside_the_model(tmp_path: Path) -> None:
    told = onnx(tensors=onnx_external("w", location="w.bin", offset="0", length="8"))
    assert "not there" in scan(tmp_path, "m.onnx", told).skipped[0].reason
    (tmp_path / "w.bin").write_bytes(bytes(4))
    assert "outside of its data file" in scan(tmp_path, "m.onnx", told).findings[0].title
    (tmp_path / "w.bin").write_bytes(bytes(8))
    assert scan(tmp_path, "m.onnx", told).findings == ()
    (tmp_path / "w.bin").unlink()
    (tmp_path / "w.bin").symlink_to("/etc/hostname")
    assert "symbolic link" in scan(tmp_path, "m.onnx", told).findings[0].title


def test_a_function_of_onnx_vouches_for_itself_alone(tmp_path: Path) -> None:
    body = field(7, field(4, "Hidden") + field(7, "org.other"))
    looped = field(
        7, field(4, "If") + field(5, field(1, "then") + field(6, field(1, field(4, "Deep") + field(7, "x.y"))))
    )
    own = field(25, field(1, "Mine") + body + looped + field(10, "ai.onnx.contrib"))
    found = scan(tmp_path, "m.onnx", onnx([("Mine", "ai.onnx.contrib"), ("PyOp", "ai.onnx.contrib")]) + own)
    assert {one.subject for one in found.findings} == {"ai.onnx.contrib::PyOp", "org.other::Hidden", "x.y::Deep"}


def test_depth_hides_no_layer_and_no_hook(tmp_path: Path) -> None:
    deep = '{"class_name": "Dense", "config": ' * 220 + '{"class_name": "Lambda"}' + "}" * 220
    assert [one.rule for one in scan(tmp_path, "a.json", deep.encode()).findings] == ["keras-lambda"]
    hook = '{"a": ' * 40 + '{"auto_map": {"AutoModel": "m.Net"}}' + "}" * 40
    assert [one.rule for one in scan(tmp_path, "b.json", hook.encode()).findings] == ["remote-code"]


def test_a_template_that_is_read_in_part_is_not_clean(tmp_path: Path) -> None:
    told = gguf([("tokenizer.chat_template", "a" * 100 + "{{ ''.__class__ }}")])
    path = tmp_path / "m.gguf"
    path.write_bytes(told)
    assert "only the first 50 bytes" in scan_model_file(path, Limits(text=50)).skipped[0].reason


def test_custom_keras_layers_are_medium_and_standard_ones_nothing(tmp_path: Path) -> None:
    assert scan(tmp_path, "a.keras", keras_zip(layer("Dense", units=2))).findings == ()
    mine = scan(tmp_path, "b.keras", keras_zip(layer("Mine", module="my_package.layers")))
    assert [(f.rule, f.severity.value) for f in mine.findings] == [("keras-code", "medium")]


def test_hdf5_through_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    h5py = pytest.importorskip("h5py")
    config = {"class_name": "Sequential", "config": {"layers": [layer("Lambda", function="mine")]}}
    with h5py.File(tmp_path / "clean.h5", "w") as file:
        file["w"] = [1.0, 2.0]
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file["elsewhere"] = h5py.ExternalLink("/etc/hostname", "/x")
    clean = scan_model_file("clean.h5")
    assert (clean.findings, clean.skipped, len(clean.read)) == ((), (), 1)
    assert {finding.rule for finding in scan_model_file(tmp_path / "bad.h5").findings} == {
        "keras-lambda",
        "external-data",
    }


def test_hdf5_without_h5py_is_skipped_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sysconfig

    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    result = scan(tmp_path, "m.h5", b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "h5py is not installed" in result.skipped[0].reason
    assert result.read == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"7z\xbc\xaf\x27\x1c" + bytes(30), "7z archive"), (b"\x28\xb5\x2f\xfd" + bytes(30), "Zstandard")],
)
def test_foreign_formats_are_skipped_with_their_name(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in scan(tmp_path, "model.bin", data).skipped[0].reason
    assert reason in scan(tmp_path, "in.zip", zipped({"model.bin": data})).skipped[0].reason


def test_torchscript_code_is_not_understood(tmp_path: Path) -> None:
    result = scan(tmp_path, "m.pt", zipped({"m/code/__torch__.py": b"class M(Module):\n  pass\n", "m/version": b"3"}))
    assert "TorchScript" in result.skipped[0].reason


def test_control_characters_never_reach_the_report(tmp_path: Path) -> None:
    result = scan(tmp_path, "m.pkl", b"cos\x1b[2J\nsystem\n(Vtrue\ntR.")
    assert "\x1b" not in result.findings[0].title + result.findings[0].subject + result.findings[0].detail
