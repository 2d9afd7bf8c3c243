"""TensorFlow graphs: the operations that reach files, the network or Python, read from the wire format alone.

Messages: tensorflow/core/protobuf/saved_model.proto, meta_graph.proto; tensorflow/core/framework/graph.proto,
function.proto, node_def.proto.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from threatloop.supply_chain.model_files.formats.keras import judge_keras
from threatloop.supply_chain.model_files.formats.protobuf import fields, inside, text
from threatloop.supply_chain.model_files.formats.strict_json import Duplicates, loads
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import Source, Unreadable
from threatloop.supply_chain.result import Severity

_DANGEROUS: Mapping[str, tuple[Severity, str]] = {
    "ReadFile": (Severity.CRITICAL, "reads a file of the machine"),
    "WriteFile": (Severity.CRITICAL, "writes a file of the machine"),
    "PyFunc": (Severity.HIGH, "calls a Python function"),
    "PyFuncStateless": (Severity.HIGH, "calls a Python function"),
    "EagerPyFunc": (Severity.HIGH, "calls a Python function"),
    "MatchingFiles": (Severity.HIGH, "lists files of the machine"),
    "WholeFileReader": (Severity.HIGH, "reads files of the machine"),
    "WholeFileReaderV2": (Severity.HIGH, "reads files of the machine"),
    "TextLineReaderV2": (Severity.HIGH, "reads files of the machine"),
    "TextLineDataset": (Severity.HIGH, "reads files of the machine"),
    "TFRecordDataset": (Severity.HIGH, "reads files of the machine"),
    "FixedLengthRecordDataset": (Severity.HIGH, "reads files of the machine"),
    "ImmutableConst": (Severity.HIGH, "maps a file of the machine into memory"),
    "DebugIdentity": (Severity.MEDIUM, "sends tensors to the addresses it names"),
    "DebugIdentityV2": (Severity.MEDIUM, "sends tensors to the addresses it names"),
    "PrintV2": (Severity.MEDIUM, "writes to the stream or file it names"),
    "RpcClient": (Severity.HIGH, "calls another machine"),
    "RpcServer": (Severity.HIGH, "opens a port"),
    "TryRpc": (Severity.HIGH, "calls another machine"),
    "XlaLaunch": (Severity.LOW, "runs compiled code"),
}
_META_GRAPH, _GRAPH, _LIBRARY, _FUNCTION, _NODES, _OPERATION = 2, 2, 2, 1, 3, 2
_LAYER = re.compile(rb'\{"[^\x00-\x08]{0,200000}"class_name"[^\x00-\x08]{0,200000}')
_SEARCHED = 32 << 20


def scan_saved_model(source: Source, job: Job) -> None:
    """Count the operations of a SavedModel, its functions' included, and judge each kind.

    Raises:
        Unreadable: the file is cut off or no protocol buffer.
    """
    counted: Counter[str] = Counter()
    for meta_graph in inside(source, _META_GRAPH):
        for graph in inside(meta_graph, _GRAPH):
            counted.update(_operations(graph))
    _judge(counted, source, job)


def scan_graph(source: Source, job: Job) -> None:
    """Count the operations of a frozen graph and judge each kind.

    Raises:
        Unreadable: the file is cut off or no protocol buffer.
    """
    _judge(Counter(_operations(source)), source, job)


def _operations(graph: Source) -> Iterator[str]:
    for field in fields(graph):
        if field.number == 1:
            yield from (text(name) for name in inside(field.body, _OPERATION))
        elif field.number == _LIBRARY and field.body is not None:
            for function in inside(field.body, _FUNCTION):
                for node in inside(function, _NODES):
                    yield from (text(name) for name in inside(node, _OPERATION))


def _judge(counted: Counter[str], source: Source, job: Job) -> None:
    if not counted:
        raise Unreadable("a graph without operations")
    for operation, count in sorted(counted.items()):
        if operation in _DANGEROUS:
            severity, deed = _DANGEROUS[operation]
            title = f"{count} × {operation}, which {deed}"
            job.notes.found("dangerous-operation", source.place, title, subject=operation, severity=severity)
        elif ">" in operation:
            title = f"{count} × the custom operation {operation}"
            job.notes.found("custom-operation", source.place, title, subject=operation)
    _judge_layers(source, job)


def _judge_layers(source: Source, job: Job) -> None:
    """Layers that Keras wrote into the file as JSON."""
    if source.size > _SEARCHED:
        reason = f"of {source.size} bytes only the first {_SEARCHED} were searched for layers of Keras"
        job.notes.skip(source.place, reason)
    for match in _LAYER.finditer(source.read(0, _SEARCHED)):
        for end in [place.end() for place in re.finditer(rb"\}", match.group())][::-1][:50]:
            try:
                value = loads(match.group()[:end].decode("utf-8"), Duplicates())
            except (ValueError, RecursionError):
                continue
            judge_keras(value, source, job)
            break
