"""Malicious files that are no pickles: Keras, TensorFlow, ONNX, safetensors, GGUF, configurations."""

from __future__ import annotations

import base64
import json
import marshal
import struct
from collections.abc import Mapping
from typing import Any

from corpus_archives import zipped
from model_corpus import Case
from model_writers import field, gguf, graph_def, onnx, onnx_external, safetensors, saved_model

_CODE = base64.b64encode(marshal.dumps(compile("None", "x", "eval"))).decode()


def keras_zip(*layers: Mapping[str, Any]) -> bytes:
    """A .keras archive of a sequential model."""
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}
    members = {"metadata.json": b'{"keras_version": "3.9.0"}', "config.json": json.dumps(config).encode()}
    return zipped(members)


def layer(kind: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": {"name": kind.lower(), **config}, "registered_name": None}


_CARRIED = layer("Lambda", function={"class_name": "__lambda__", "config": {"code": _CODE, "defaults": None}})
_HDF5 = b"\x89HDF\r\n\x1a\n" + b"\0" * 504


def _keras() -> dict[str, tuple[str, bytes]]:
    old = {"class_name": "Sequential", "config": {"layers": [layer("Lambda", function=[_CODE, None, None])]}}
    named = layer("Lambda", function={"class_name": "function", "config": "f"})
    return {
        "lambda": ("model.keras", keras_zip(_CARRIED)),
        "lambda-by-name": ("model.keras", keras_zip(named)),
        "lambda-json": ("model.json", json.dumps(old).encode()),
        "lambda-nested": ("model.keras", keras_zip(layer("TimeDistributed", layer=_CARRIED))),
        "lambda-h5": ("model.h5", _HDF5 + json.dumps(old).encode() + b"\0" * 64),
        "module": ("model.keras", keras_zip(layer("system", module="os"))),
        "module-function": (
            "model.keras",
            keras_zip(layer("Dense", activation={"module": "os", "class_name": "function", "config": "system"})),
        ),
        "get-file": ("model.keras", keras_zip(layer("get_file", module="keras.utils"))),
        "unsafe-switch": ("model.keras", keras_zip(layer("enable_unsafe_deserialization", module="keras.config"))),
        "torch-wrapper": ("model.keras", keras_zip(layer("TorchModuleWrapper", torch_module="AAAA"))),
        "custom-object": (
            "model.keras",
            keras_zip({"module": None, "class_name": "Mine", "config": {}, "registered_name": "pkg>Mine"}),
        ),
        "vocabulary": ("model.keras", keras_zip(layer("StringLookup", vocabulary="/etc/hostname"))),
        "pickle-member": ("model.keras", zipped({"config.json": b"{}", "assets/x.pkl": b"cos\nsystem\n(Vtrue\ntR."})),
    }


def _graphs() -> dict[str, tuple[str, bytes]]:
    outside = onnx_external("w", location="../../outside.bin")
    branch = field(6, field(1, field(4, "X") + field(7, "evil")))
    subgraph = field(1, field(4, "If") + field(5, field(1, "then_branch") + branch))
    return {
        "tf-read-file": ("saved_model.pb", saved_model(["Const", "ReadFile"])),
        "tf-write-in-function": ("saved_model.pb", saved_model(["Const"], ["WriteFile"])),
        "tf-py-func": ("saved_model.pb", saved_model(["PyFunc"])),
        "tf-frozen": ("frozen.pb", graph_def(["Const", "WriteFile"])),
        "onnx-traversal": ("model.onnx", onnx(tensors=outside)),
        "onnx-absolute": ("model.onnx", onnx(tensors=onnx_external("w", location="/etc/hostname"))),
        "onnx-python": ("model.onnx", onnx([("PyOp", "ai.onnx.contrib")])),
        "onnx-domain": ("model.onnx", onnx([("Run", "evil.ops")])),
        "onnx-domain-in-branch": ("model.onnx", onnx(body=subgraph)),
        "onnx-renamed": ("model.dat", onnx(tensors=outside)),
    }


def _headers() -> dict[str, tuple[str, bytes]]:
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    tensor = b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
    twice = b"{" + tensor + b"," + tensor + b"}"
    return {
        "st-overlap": ("m.safetensors", safetensors({"a": one, "b": {**one, "data_offsets": [4, 12]}}, 12)),
        "st-hole": ("m.safetensors", safetensors({"a": one, "b": {**one, "data_offsets": [16, 24]}}, 24)),
        "st-outside": ("m.safetensors", safetensors({"a": {**one, "shape": [20], "data_offsets": [0, 80]}}, 8)),
        "st-shape": ("m.safetensors", safetensors({"a": {**one, "shape": [3]}}, 8)),
        "st-negative": ("m.safetensors", safetensors({"a": {**one, "data_offsets": [-8, 0]}}, 8)),
        "st-tail": ("m.safetensors", safetensors({"a": one}, 4096)),
        "st-twice": ("m.safetensors", safetensors(None, 8, twice)),
        "st-metadata": ("m.safetensors", safetensors({"__metadata__": {"x": [1]}, "a": one}, 8)),
        "gguf-overlap": ("m.gguf", gguf(tensors=[("a", (16,), 0, 0), ("b", (16,), 0, 32)], data=128)),
        "gguf-outside": ("m.gguf", gguf(tensors=[("a", (1 << 40,), 0, 0)])),
        "gguf-counts": ("m.gguf", gguf(counts=(1 << 60, 0))),
        "gguf-twice": ("m.gguf", gguf([("a", "x"), ("a", "y")])),
    }


def _unreadable() -> dict[str, tuple[str, bytes]]:
    array = struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 8, 1 << 50)
    return {
        "st-header-size": ("m.safetensors", struct.pack("<Q", 1 << 40) + b"{}" + b"\0" * 64),
        "st-no-utf8": ("m.safetensors", safetensors(None, 8, b'{"\xff\xfe":{}}')),
        "st-deep": ("m.safetensors", safetensors(None, 0, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
        "gguf-string": ("m.gguf", b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62) + b"x" * 64),
        "gguf-version": ("m.gguf", b"GGUF" + struct.pack("<IQQ", 99, 0, 0)),
        "gguf-array": ("m.gguf", b"GGUF" + array),
        "onnx-cut": ("m.onnx", onnx()[:-10]),
        "h5-noise": ("m.h5", b"no such format \x00\x01\x02" * 20),
        "config-broken": ("config.json", b'{"auto_map": {'),
    }


def _configs() -> dict[str, tuple[str, bytes]]:
    told: dict[str, tuple[str, object]] = {
        "auto-map": ("config.json", {"auto_map": {"AutoModel": "modeling_x.Model"}}),
        "auto-map-elsewhere": ("config.json", {"auto_map": {"AutoModel": "someone/else--modeling_x.Model"}}),
        "auto-map-tokenizer": ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["tok.Tok", None]}}),
        "auto-map-nested": ("config.json", {"text_config": {"auto_map": {"AutoConfig": "c.Config"}}}),
        "pipeline": ("model_index.json", {"_class_name": "Pipe", "unet": ["my_unet", "Unet"]}),
        "custom-pipeline": ("config.json", {"custom_pipelines": {"x": {"impl": "pipe.Pipe"}}}),
        "modules": ("modules.json", [{"idx": 0, "type": "custom_st.Transformer"}]),
        "index-traversal": ("pytorch_model.bin.index.json", {"weight_map": {"w": "../../outside.bin"}}),
    }
    return {name: (file, json.dumps(value).encode()) for name, (file, value) in told.items()}


def cases() -> list[Case]:
    """By format; the last are such that no loader gets far with them."""
    groups = {"keras": _keras(), "graph": _graphs(), "header": _headers(), "config": _configs()}
    made = [
        Case(f"{group}-{name}", group, {file: data})
        for group, told in groups.items()
        for name, (file, data) in told.items()
    ]
    for name, (file, data) in _unreadable().items():
        made.append(Case(f"unreadable-{name}", "truncated", {file: data}, broken=True))
    return made
