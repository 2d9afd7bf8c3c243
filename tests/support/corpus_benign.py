"""Benign files as libraries write them, and as their formats are specified."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import pathlib
import pickle
import uuid
from collections import OrderedDict, defaultdict
from typing import Any

import joblib
import numpy as np
import torch
from safetensors.numpy import save as save_safetensors
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from corpus_archives import tarred, zipped
from corpus_formats import keras_zip, layer
from corpus_templates import CHATML
from model_corpus import Case
from model_writers import gguf, graph_def, onnx, onnx_external, saved_model

_DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool, torch.complex64,
    torch.float8_e4m3fn,
)  # fmt: skip
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
    "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + "
    "message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)
TOOLS = (
    "{%- macro show(tool) %}{{ tool | tojson(indent=2) }}{%- endmacro %}"
    "{%- if tools %}{{- '<|im_start|>system\nYou may call functions. Signatures are within <tools></tools>:\n' }}"
    "{%- for tool in tools %}{{- show(tool) }}{%- endfor %}{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- set ns = namespace(last=messages|length - 1) %}{%- for message in messages[::-1] %}"
    "{%- if message.content is string and '</think>' in message.content %}"
    "{%- set content = message.content.split('</think>')[-1].lstrip('\n') %}{%- else %}"
    "{%- set content = message.content or '' %}{%- endif %}{%- generation %}{{- '<|im_start|>' + message.role + '\n' + "
    "content + '<|im_end|>\n' }}{%- endgeneration %}{%- endfor %}{{- strftime_now('%d %b %Y') }}"
)


class Mine:
    """A user's own class: nothing is known of it, so that a scanner may well object."""

    def __init__(self) -> None:
        self.weights = [1.0, 2.0]


def _saved(value: Any, legacy: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def _torch() -> dict[str, tuple[str, bytes]]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 5, generator=generator) * 3
    made = {}
    for dtype in _DTYPES:
        state = OrderedDict(weight=values.to(dtype), bias=torch.ones(7).to(dtype))
        name = str(dtype).removeprefix("torch.")
        made[f"zip-{name}"] = (f"{name}.pt", _saved(state))
        if name != "float8_e4m3fn":
            made[f"legacy-{name}"] = (f"{name}.pth", _saved(state, legacy=True))
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU(), torch.nn.Dropout(0.1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(5, 4)).sum().backward()
    optimizer.step()
    checkpoint = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "path": pathlib.Path("a")}
    made["checkpoint"] = ("last.ckpt", _saved(checkpoint))
    made["module"] = ("module.pt", _saved(net))
    made["module-legacy"] = ("module.pth", _saved(net, legacy=True))
    made["empty"] = ("empty.pt", _saved({}))
    made["bin"] = ("pytorch_model.bin", _saved(net.state_dict()))
    made["plain-pickle"] = ("tensor.pkl", pickle.dumps({"w": torch.ones(3)}))
    made["parameter"] = ("parameter.pt", _saved(torch.nn.Parameter(values)))
    made["sparse"] = ("sparse.pt", _saved(torch.eye(4).to_sparse()))
    return made


def _estimators() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    y = (x[:, 0] + 0.1 * x[:, 1] > 0).astype(int)
    texts = [f"model {word} weights" for word in ("safe", "plain", "small", "open")] * 4
    return {
        "forest": RandomForestClassifier(5, random_state=0).fit(x, y),
        "logistic": LogisticRegression().fit(x, y),
        "svc": SVC().fit(x, y),
        "kmeans": KMeans(3, n_init=1, random_state=0).fit(x),
        "pipeline": make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(x, y),
        "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0).fit(x, y),
        "histogram": HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(x, y),
        "neighbors": KNeighborsClassifier(algorithm="kd_tree").fit(x, y),
        "perceptron": MLPClassifier((4,), max_iter=5, random_state=0).fit(x, y),
        "isolation": IsolationForest(n_estimators=4, random_state=0).fit(x),
        "tree": DecisionTreeClassifier(random_state=0).fit(x, y),
        "bayes": GaussianNB().fit(x, y),
        "gaussian-process": GaussianProcessClassifier().fit(x[:20], y[:20]),
        "sgd": SGDClassifier(random_state=0).fit(x, y),
        "encoder": OneHotEncoder().fit([["a"], ["b"]]),
        "tfidf": TfidfVectorizer().fit(texts),
    }


def _joblib(value: Any, compress: Any = 0) -> bytes:
    out = io.BytesIO()
    joblib.dump(value, out, compress=compress)
    return out.getvalue()


def _sklearn() -> dict[str, tuple[str, bytes]]:
    made = {}
    for place, (name, estimator) in enumerate(_estimators().items()):
        if place % 2:
            made[name] = (f"{name}.pkl", pickle.dumps(estimator, protocol=2 + place % 4))
        else:
            made[name] = (f"{name}.joblib", _joblib(estimator))
    forest = RandomForestClassifier(3, random_state=0).fit(np.eye(4), [0, 1, 0, 1])
    for method in ("zlib", "gzip", "bz2", "xz", "lzma"):
        made[f"joblib-{method}"] = (f"{method}.joblib", _joblib(forest, (method, 3)))
    made["joblib-arrays"] = ("arrays.joblib", _joblib({"a": np.arange(9.0), "b": np.array(["x", None], dtype=object)}))
    made["joblib-structured"] = ("records.joblib", _joblib(np.zeros(3, dtype=[("a", "f8"), ("b", "U4")])))
    return made


def _numpy() -> dict[str, tuple[str, bytes]]:
    def saved(save: Any, *values: Any, **named: Any) -> bytes:
        out = io.BytesIO()
        save(out, *values, **named)
        return out.getvalue()

    return {
        "npy": ("a.npy", saved(np.save, np.arange(12.0).reshape(3, 4))),
        "npy-structured": ("s.npy", saved(np.save, np.zeros(3, dtype=[("a", "f8"), ("b", "U4")]))),
        "npy-objects": ("o.npy", saved(np.save, np.array([{"a": 1}, "x", None], dtype=object))),
        "npz": ("a.npz", saved(np.savez, x=np.eye(3), y=np.arange(3))),
        "npz-compressed": ("c.npz", saved(np.savez_compressed, x=np.zeros((50, 50)))),
        "array-pickle": ("a.pkl", pickle.dumps([np.float32(1), np.arange(3), np.random.default_rng(0)])),
        "safetensors": ("m.safetensors", save_safetensors({"a": np.eye(3, dtype=np.float32), "b": np.arange(4)})),
        "safetensors-metadata": ("n.safetensors", save_safetensors({"a": np.ones(2)}, {"format": "pt"})),
    }


def _data() -> dict[str, tuple[str, bytes]]:
    value = {
        "name": "x", "steps": [1, 2.5, None, True], "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "rate": decimal.Decimal("0.1"), "id": uuid.UUID(int=7), "where": pathlib.PurePosixPath("a/b"), "set": {1, 2},
        "complex": 1 + 2j, "bytes": b"\x80\x04plain", "counts": defaultdict(int, a=1), "range": range(3),
    }  # fmt: skip
    made = {f"protocol-{number}": (f"p{number}.pkl", pickle.dumps(value, number)) for number in range(6)}
    made["own-class"] = ("own.pkl", pickle.dumps(Mine()))
    made["two-pickles"] = ("log.pkl", pickle.dumps([1]) + pickle.dumps([2]))
    return made


def _formats() -> dict[str, tuple[str, bytes]]:
    tokenizer = {"chat_template": LLAMA2, "bos_token": "<s>", "model_max_length": 4096}
    named = {"chat_template": [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": TOOLS}]}
    start = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None}}
    dense = layer("Dense", units=3, activation="relu", kernel_initializer=start)
    return {
        "gguf-chatml": ("a.gguf", gguf([("general.architecture", "llama"), ("tokenizer.chat_template", CHATML)])),
        "gguf-llama2": ("b.gguf", gguf([("tokenizer.chat_template", LLAMA2)])),
        "gguf-tools": ("c.gguf", gguf([("tokenizer.chat_template", TOOLS)])),
        "gguf-tensors": ("d.gguf", gguf(tensors=[("a", (16,), 0, 0), ("b", (32,), 8, 64)], data=128)),
        "tokenizer": ("tokenizer_config.json", json.dumps(tokenizer).encode()),
        "tokenizer-named": ("tokenizer_config.json", json.dumps(named).encode()),
        "jinja": ("chat_template.jinja", TOOLS.encode()),
        "keras-json": ("model.json", json.dumps({"module": "keras", "class_name": "Sequential",
                                                 "config": {"layers": [dense]}}).encode()),
        "onnx": ("m.onnx", onnx([("Conv", ""), ("Relu", ""), ("FusedConv", "com.microsoft")])),
        "saved-model": ("saved_model.pb", saved_model(["Const", "MatMul", "SaveV2", "RestoreV2"], ["Identity"])),
        "frozen-graph": ("frozen.pb", graph_def(["Placeholder", "Const", "Conv2D"])),
        "config": ("config.json", json.dumps({"architectures": ["LlamaForCausalLM"], "hidden_size": 64}).encode()),
        "weights-index": ("model.safetensors.index.json", b'{"weight_map": {"a": "model-00001.safetensors"}}'),
        "diffusers": ("model_index.json", b'{"_class_name": "P", "unet": ["diffusers", "UNet2DConditionModel"]}'),
        "modules": ("modules.json", b'[{"idx": 0, "type": "sentence_transformers.models.Transformer"}]'),
    }  # fmt: skip


def _plain() -> dict[str, tuple[str, bytes]]:
    readme = b"# A model\n\nLoad it with `torch.load(path, weights_only=True)`; never eval() what you read.\n"
    return {
        "readme": ("README.md", readme),
        "text": ("vocab.txt", "the\nof\nand\ncos\nsystem\nnaïve\n".encode()),
        "csv": ("data.csv", b"a,b\n1,2\n"),
        "yaml": ("params.yaml", b"lr: 0.1\nsteps: 10\n"),
        "json": ("metrics.json", b'{"accuracy": 0.9, "curve": [1, 2, 3]}'),
        "zip": ("docs.zip", zipped({"a.txt": b"text", "b/c.json": b"{}"}, 8)),
        "tar-gz": ("data.tar.gz", gzip.compress(tarred({"a.txt": b"text", "b.csv": b"1,2\n"}))),
        "empty-text": ("notes.txt", b""),
    }


def cases() -> list[Case]:
    """By library."""
    groups = {
        "torch": _torch(), "scikit-learn": _sklearn(), "numpy": _numpy(), "data": _data(), "format": _formats(),
        "plain": _plain(),
    }  # fmt: skip
    made = [
        Case(f"{group}-{name}", group, {file: data})
        for group, told in groups.items()
        for name, (file, data) in told.items()
    ]
    beside = onnx(tensors=onnx_external("w", location="weights.bin", offset="0", length="16"))
    made.append(Case("format-onnx-external", "format", {"m.onnx": beside, "weights.bin": b"\0" * 16}))
    weights = keras_zip(layer("Dense", units=3))
    made.append(Case("format-keras", "format", {"model.keras": weights}))
    return made
