"""ONNX models: tensors that are read from other files, operations of other domains, and functions.

Messages: onnx/onnx.proto3 of IR version 13, read from the wire format alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from threatloop.supply_chain.model_files.archives.names import escapes
from threatloop.supply_chain.model_files.formats.protobuf import fields, inside, text
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import Source
from threatloop.supply_chain.result import Severity

_KNOWN = (
    "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft",
    "com.microsoft.nchwc", "pkg.onnxscript.torch_lib", "pkg.onnxscript.torch_lib.common",
)  # fmt: skip
_PYTHON = ("ai.onnx.contrib", "com.microsoft.extensions")
_GRAPH, _IMPORTS, _FUNCTIONS, _TRAINING = 7, 8, 25, 20
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_OPERATION, _DOMAIN, _ATTRIBUTE = 4, 7, 5
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN = 1, 7, 10
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS = 5, 6, 10, 11
_NAME, _EXTERNAL, _LOCATION = 8, 13, 14


def scan_onnx(source: Source, job: Job) -> None:
    """Judge the operations and the tensors of all graphs.

    Raises:
        Unreadable: cut off, or no protocol buffer.
    """
    own: set[tuple[str, str]] = set()
    graphs: list[Source] = []
    functions: list[Source] = []
    for field in fields(source):
        if field.body is None:
            continue
        if field.number == _GRAPH:
            graphs.append(field.body)
        elif field.number == _FUNCTIONS:
            own.add((_joined(field.body, _FUNCTION_DOMAIN), _joined(field.body, _FUNCTION_NAME)))
            functions.append(field.body)
        elif field.number == _TRAINING:
            graphs += [*inside(field.body, 1), *inside(field.body, 2)]
    for function in functions:
        graphs += _judge_nodes(list(inside(function, _FUNCTION_NODE)), own, source, job)
    for graph in graphs:
        _judge_graph(graph, own, source, job)


def _joined(message: Source, number: int) -> str:
    return "".join(text(one) for one in inside(message, number))


def _judge_graph(graph: Source, own: set[tuple[str, str]], source: Source, job: Job, depth: int = 0) -> None:
    if depth > 32:
        job.notes.skip(source.place, "graphs nested more than 32 deep")
        return
    for field in fields(graph):
        if field.number == _NODE and field.body is not None:
            for inner in _judge_nodes([field.body], own, source, job):
                _judge_graph(inner, own, source, job, depth + 1)
        elif field.number == _INITIALIZER and field.body is not None:
            _judge_tensor(field.body, source, job)
        elif field.number == _SPARSE and field.body is not None:
            for tensor in [*inside(field.body, 1), *inside(field.body, 2)]:
                _judge_tensor(tensor, source, job)


def _judge_nodes(nodes: list[Source], own: set[tuple[str, str]], source: Source, job: Job) -> list[Source]:
    """Findings of these nodes, and the graphs inside their attributes."""
    graphs: list[Source] = []
    for node in nodes:
        operation = domain = ""
        for field in fields(node):
            if field.number == _OPERATION:
                operation = text(field.body)
            elif field.number == _DOMAIN:
                domain = text(field.body)
            elif field.number == _ATTRIBUTE and field.body is not None:
                graphs += _judge_attribute(field.body, source, job)
        _judge_operation(operation, domain, own, source, job)
    return graphs


def _judge_attribute(attribute: Source, source: Source, job: Job) -> Iterator[Source]:
    for field in fields(attribute):
        if field.number in (_TENSOR, _TENSORS) and field.body is not None:
            _judge_tensor(field.body, source, job)
        elif field.number in (_SUBGRAPH, _SUBGRAPHS) and field.body is not None:
            yield field.body


def _judge_operation(operation: str, domain: str, own: set[tuple[str, str]], source: Source, job: Job) -> None:
    if domain in _KNOWN or (domain, operation) in own:
        return
    name = f"{domain}::{operation}"
    if domain in _PYTHON or operation in ("PyOp", "PythonOp", "PyCustomOp"):
        title = f"the operation {name} may run Python"
        job.notes.found("custom-operation", source.place, title, subject=name, severity=Severity.HIGH)
        return
    title = f"the operation {name} needs a library that is not ONNX's"
    job.notes.found("custom-operation", source.place, title, subject=name)


def _judge_tensor(tensor: Source, source: Source, job: Job) -> None:
    entries: dict[str, str] = {}
    name = ""
    for field in fields(tensor):
        if field.number == _NAME:
            name = text(field.body)
        elif field.number == _EXTERNAL and field.body is not None:
            key = "".join(text(part) for part in inside(field.body, 1))
            entries[key] = "".join(text(part) for part in inside(field.body, 2))
    if entries:
        _judge_location(name, entries, source, job)


def _judge_location(name: str, entries: dict[str, str], source: Source, job: Job) -> None:
    location = entries.get("location", "")
    if why := escapes(location):
        title = f"the tensor {name} is read from {location}: {why}"
        job.notes.found("external-data", source.place, title, subject=location, severity=Severity.CRITICAL)
        return
    if source.folder is None:
        job.notes.skip(source.place, f"the data of {name} lie in {location}, which was not looked for in the archive")
        return
    beside = os.path.join(source.folder, location)
    if os.path.islink(beside):
        job.notes.found("external-data", source.place, f"the data file {location} is a symbolic link", subject=location)
    elif not os.path.isfile(beside):
        job.notes.skip(source.place, f"the data file {location} is not there")
    else:
        _judge_range(name, entries, os.path.getsize(beside), source, job)


def _judge_range(name: str, entries: dict[str, str], size: int, source: Source, job: Job) -> None:
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or 0)
    except ValueError:
        offset = length = -1
    if offset < 0 or length < 0 or offset + length > size:
        title = f"the tensor {name} lies outside of its data file of {size} bytes"
        job.notes.found("malformed-header", source.place, title, subject=name)
