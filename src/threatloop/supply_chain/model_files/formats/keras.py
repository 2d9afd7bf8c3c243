"""Keras models as JSON: layers that carry code, and names that are resolved to code when the model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.pickles.known import Grade, grade
from threatloop.supply_chain.model_files.pickles.values import Name
from threatloop.supply_chain.model_files.source import Source
from threatloop.supply_chain.result import Severity

_OWN = ("keras", "keras_nlp", "keras_cv", "keras_hub", "tf_keras", "tensorflow", "builtins")
_NO_LAYERS = (
    "keras.utils", "keras.src.utils", "keras.config", "keras.src.config", "keras.saving", "keras.src.saving",
    "keras.models", "keras.src.models.cloning", "keras.export", "tensorflow.io", "tensorflow.python",
)  # fmt: skip
_UNPICKLING = ("TorchModuleWrapper", "PyFunc", "TFSMLayer", "FlaxLayer", "JaxLayer")
_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")
_MODELS = ("Functional", "Sequential", "Model")


def judge_keras(value: object, source: Source, job: Job) -> None:
    """Findings of a model's configuration, at any depth; other JSON has no ``class_name`` and none."""
    if not isinstance(value, Mapping) or not ("class_name" in value or "model_config" in value or "module" in value):
        return
    for node in _nodes(value):
        _judge_node(node, source, job)


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            if "class_name" in one:
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _judge_node(node: Mapping[str, Any], source: Source, job: Job) -> None:
    kind, module, config = str(node.get("class_name")), node.get("module"), node.get("config")
    named = str(config.get("name", "")) if isinstance(config, Mapping) else ""
    subject = f"{kind} {named}".strip()
    note = job.notes.found
    if kind == "__lambda__":
        note("keras-lambda", source.place, "carries the byte code of a Python function", subject=subject)
    elif kind in ("Lambda", "LambdaLayer"):
        how = "its code lies in the file" if _carries_code(config) else "it names a function that loading resolves"
        severity = Severity.CRITICAL if _carries_code(config) else Severity.HIGH
        note("keras-lambda", source.place, f"Lambda layer {named}: {how}", subject=subject, severity=severity)
    elif kind in _UNPICKLING:
        note("keras-code", source.place, f"layer {subject} unpickles or loads code from its configuration",
             subject=subject, severity=Severity.CRITICAL)  # fmt: skip
    elif kind in _LOOKUPS and isinstance(config, Mapping) and isinstance(config.get("vocabulary"), str):
        note("external-data", source.place, f"layer {subject} reads {config['vocabulary']!r} when it is loaded",
             subject=subject)  # fmt: skip
    _judge_module(kind, module, node, source, job)


def _carries_code(config: object) -> bool:
    function = config.get("function") if isinstance(config, Mapping) else None
    if isinstance(function, Mapping):
        return function.get("class_name") == "__lambda__"
    return isinstance(function, list) and bool(function) and isinstance(function[0], str)


def _judge_module(kind: str, module: object, node: Mapping[str, Any], source: Source, job: Job) -> None:
    target = str(node.get("config")) if kind == "function" else kind
    if isinstance(module, str) and module:
        root = module.split(".")[0]
        name = f"{module}.{target}"
        if any(module == inner or module.startswith(f"{inner}.") for inner in _NO_LAYERS) and kind not in _MODELS:
            job.notes.found("keras-code", source.place, f"names {name}, which is no layer", subject=name)
        elif root not in _OWN or (root == "builtins" and kind not in ("function", "dict", "slice", "tuple")):
            bad = grade(Name(module, target)) is Grade.DANGEROUS
            title = f"names {name}, which is not Keras's: loading it imports that module"
            severity = Severity.CRITICAL if bad else Severity.MEDIUM
            job.notes.found("keras-code", source.place, title, subject=name, severity=severity)
        return
    registered = node.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        title = f"needs the custom object {registered}, whose code is not in the file"
        job.notes.found("keras-code", source.place, title, subject=registered, severity=Severity.MEDIUM)
