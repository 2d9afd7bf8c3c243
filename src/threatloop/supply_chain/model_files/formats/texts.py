"""Files of text beside or inside models: JSON, chat templates, code and plain text."""

from __future__ import annotations

import codecs

from threatloop.supply_chain.model_files.formats.huggingface import judge_config
from threatloop.supply_chain.model_files.formats.keras import judge_keras
from threatloop.supply_chain.model_files.formats.strict_json import Duplicates, loads
from threatloop.supply_chain.model_files.job import Job
from threatloop.supply_chain.model_files.source import CHUNK, NotUnderstood, Source, Unreadable
from threatloop.supply_chain.model_files.templates.check import check_template

_TORCHSCRIPT = "/code/"
_INSTALLS = ("requirements.txt", "setup.py", "pyproject.toml", "environment.yml", "environment.yaml")


def scan_json(source: Source, job: Job) -> None:
    """Configurations: code hooks, custom layers and chat templates. A JSON of another kind is only parsed.

    Raises:
        Unreadable: no UTF-8 JSON.
        NotUnderstood: larger than what is parsed.
    """
    duplicates = Duplicates()
    try:
        value = loads(_text(source, job), duplicates)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error
    hooks = [name for name in duplicates.names if name in ("auto_map", "chat_template", "class_name", "module")]
    if hooks:
        title = f"{', '.join(sorted(set(hooks)))} stands there twice; readers disagree about which counts"
        job.notes.found("malformed-header", source.place, title, subject="duplicate names")
    judge_config(value, source, job)
    judge_keras(value, source, job)


def scan_template(source: Source, job: Job) -> None:
    """A chat template in a file of its own."""
    check_template(_text(source, job), source.place, source.name, job)


def scan_code(source: Source, job: Job) -> None:
    """Python beside or inside a model: named, since loading the model may run it; judging it is another scan."""
    _decoded(source)
    if _TORCHSCRIPT in source.place:
        raise NotUnderstood("TorchScript code: what it does is not analysed here")
    if source.name in _INSTALLS:
        _judge_install(source, job)
        return
    title = f"Python code comes with the model: {source.name}"
    job.notes.found("code-beside-weights", source.place, title, subject=source.name)


def scan_text(source: Source, job: Job) -> None:
    """Plain text; a list of packages is named, since installing it runs code."""
    _decoded(source)
    _judge_install(source, job)


def _judge_install(source: Source, job: Job) -> None:
    if source.name in _INSTALLS:
        title = f"packages to install come with the model: {source.name}"
        job.notes.found("code-beside-weights", source.place, title, subject=source.name)


def _text(source: Source, job: Job) -> str:
    if source.size > job.limits.text * 16:
        raise NotUnderstood(f"a text of {source.size} bytes is not parsed")
    try:
        return source.exactly(0, source.size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"no UTF-8: {error.reason} at byte {error.start}") from error


def _decoded(source: Source) -> None:
    """Whether all of it is UTF-8.

    Raises:
        NotUnderstood: it is not.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    try:
        while piece := source.read(at, CHUNK):
            decoder.decode(piece)
            at += len(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise NotUnderstood(f"a text that is no UTF-8, near byte {at + error.start}") from error
