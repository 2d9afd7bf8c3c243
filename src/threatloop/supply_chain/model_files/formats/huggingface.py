"""Configurations of Hugging Face folders: hooks that run code, templates, and indices of weight files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from threatloop.supply_chain.model_files.archives.names import escapes
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import Source
from threatloop.supply_chain.model_files.templates.check import check_template
from threatloop.supply_chain.result import Severity

_HOOKS = ("auto_map", "auto_mapping", "custom_pipelines", "custom_pipeline", "trust_remote_code")
_PATH = 200
_LIBRARIES = ("diffusers", "transformers", "onnxruntime", "sentence_transformers", "tokenizers", "torch", "flax")


def judge_config(value: object, source: Source, job: Job) -> None:
    """Findings of one configuration; what is no configuration of theirs has none."""
    if isinstance(value, list):
        _judge_modules(value, source, job)
        return
    if not isinstance(value, dict):
        return
    for path, told in _hooks(value):
        _judge_hook(path, told, source, job)
    _judge_templates(value, source, job)
    _judge_index(value, source, job)
    if source.name == "model_index.json":
        _judge_pipeline(value, source, job)


def _hooks(value: object) -> Iterator[tuple[str, object]]:
    """Every hook of a configuration, those of nested ones too, with the path to it."""
    waiting = [("", value)]
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, dict):
            for name, inner in one.items():
                here = f"{path}.{name}"[-_PATH:].removeprefix(".")
                if name in _HOOKS and inner:
                    yield here, inner
                else:
                    waiting.append((here, inner))
        elif isinstance(one, list):
            waiting += ((f"{path}[{number}]", inner) for number, inner in enumerate(one))


def _judge_hook(path: str, told: object, source: Source, job: Job) -> None:
    targets = ", ".join(str(target) for target in _leaves(told))
    foreign = "--" in targets
    title = f"{path}: code of the repository runs when the model is loaded: {targets}"
    if foreign:
        title = f"{path}: code of another repository runs when the model is loaded: {targets}"
    job.notes.found("remote-code", source.place, title, subject=path, severity=Severity.CRITICAL if foreign else None)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _leaves(inner)
    elif value is not None:
        yield value


def _judge_templates(value: Mapping[str, object], source: Source, job: Job) -> None:
    told = value.get("chat_template")
    if isinstance(told, str):
        check_template(told, source.place, "chat_template", job)
    elif isinstance(told, Mapping):
        for name, text in told.items():
            if isinstance(text, str):
                check_template(text, source.place, f"chat_template {name}", job)
    elif isinstance(told, list):
        for entry in told:
            if isinstance(entry, Mapping) and isinstance(entry.get("template"), str):
                check_template(entry["template"], source.place, f"chat_template {entry.get('name')}", job)


def _judge_index(value: Mapping[str, object], source: Source, job: Job) -> None:
    files = value.get("weight_map")
    if not isinstance(files, Mapping):
        return
    for file in sorted({str(file) for file in files.values()}):
        if why := escapes(file):
            job.notes.found("external-data", source.place, f"weights are read from {file}: {why}", subject=file)


def _judge_pipeline(value: Mapping[str, object], source: Source, job: Job) -> None:
    """A diffusers pipeline names, for each part, a library and a class; another library is code of its own."""
    for part, told in value.items():
        library = told[0] if isinstance(told, list) and told else None
        if isinstance(library, str) and library.split(".")[0] not in _LIBRARIES:
            title = f"{part} is loaded from the module {library}, which is no library of pipelines"
            job.notes.found("remote-code", source.place, title, subject=part)


def _judge_modules(value: list[object], source: Source, job: Job) -> None:
    """``modules.json`` of Sentence Transformers: each part's class by its dotted path."""
    if source.name != "modules.json":
        return
    for entry in value:
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if isinstance(kind, str) and not kind.startswith("sentence_transformers."):
            title = f"a part is of the class {kind}, which is not Sentence Transformers'"
            job.notes.found("remote-code", source.place, title, subject=kind)
