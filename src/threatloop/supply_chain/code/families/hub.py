"""What is fetched from a hub: code that comes along, and artefacts that may be others tomorrow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from threatloop.core.step import Direction
from threatloop.supply_chain.code.facts import Call, Matcher
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure, on_calls
from threatloop.supply_chain.code.values import UNKNOWN, Origin, Value
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}", re.IGNORECASE)
_FULL_COMMIT: Final = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_HUB_ID: Final = re.compile(r"(hf[_-]hub:)?[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_LOCAL: Final = re.compile(
    r"[./~\\]|[A-Za-z]:[\\/]|.*\.(bin|pt|pth|json|safetensors|gguf|ckpt|h5|csv|txt|parquet|py|onnx)$"
)
_FORMATS: Final = frozenset({"csv", "json", "jsonl", "parquet", "text", "arrow", "imagefolder", "audiofolder",
                             "webdataset", "pandas", "xml", "videofolder"})  # fmt: skip
"""Names under which `load_dataset` reads local files."""
_FAMILIES: Final = ("transformers.", "diffusers.", "peft.", "sentence_transformers.", "huggingface_hub.", "tokenizers.",
                    "optimum.", "setfit.", "adapters.", "open_clip.", "timm.", "trl.", "unsloth.", "flair.", "gliner.",
                    "auto_gptq.", "awq.", "span_marker.", "ctranslate2.", "speechbrain.", "TTS.", "controlnet_aux.",
                    "datasets.", "evaluate.", "whisper.", "accelerate.", "pytorch_pretrained_bert.",
                    "pytorch_transformers.", "modelscope.", "torchtune.", "mlx_lm.", "keras_nlp.",
                    "keras_hub.")  # fmt: skip
_METHODS: Final = Matcher("*.from_pretrained")
_FUNCTIONS: Final = Matcher(
    "huggingface_hub.hf_hub_download", "huggingface_hub.snapshot_download", "datasets.load_dataset",
    "datasets.load_dataset_builder", "transformers.pipeline", "sentence_transformers.SentenceTransformer",
    "sentence_transformers.CrossEncoder", "huggingface_hub.hf_hub_url", "evaluate.load", "datasets.load_metric",
    "huggingface_hub.HfFileSystem().open", "huggingface_hub.HfApi().hf_hub_download",
    "huggingface_hub.HfApi().snapshot_download", "huggingface_hub.cached_download",
)  # fmt: skip
_SOURCE: Final = ("pretrained_model_name_or_path", "repo_id", "path", "model", "model_name_or_path", "model_id",
                  "model_name", "pretrained_model_link_or_path", "repo")  # fmt: skip
_DATA: Final = ("load_dataset", "load_dataset_builder", "load_metric")


def _remote_code(module: Module) -> Iterator[Match | Unsure]:
    for call in module.facts.calls.values():
        given = call.argument(None, "trust_remote_code")
        if given is None or not _written_here(call, "trust_remote_code"):
            continue
        if given.only() is True:
            pinned = _pinned(call)
            more = "" if pinned is True else "; no commit is pinned, so the code can change under you"
            yield Match(call.node, "", "the repository's own Python is imported and run" + more)
        elif given.constants is None:
            yield Unsure(call.node, "trust_remote_code is decided at run time")


def _written_here(call: Call, name: str) -> bool:
    """Whether the keyword stands in the call, or in a dictionary that is unpacked into it."""
    return any(keyword.arg in {None, name} for keyword in call.node.keywords)


def _unpinned(module: Module) -> Iterator[Match | Unsure]:
    for call in module.facts.calls.values():
        name = _FUNCTIONS.find(call.callee.names) or _method(call)
        if name:
            found = _judge(call, name)
            if found is not None:
                yield found


def _method(call: Call) -> str:
    return _METHODS.find(frozenset(one for one in call.callee.names if one.startswith(_FAMILIES)))
    # A configuration or a processor of a local class is the business of its library.


def _judge(call: Call, name: str) -> Match | Unsure | None:
    last = name.rpartition(".")[2]
    source = _source(call, last)
    if call.flag("local_files_only") is True or _is_local(source, last, call):
        return None
    pinned = _pinned(call)
    if pinned is True or (last == "pipeline" and source is None):
        return None
    if pinned is None:
        return Unsure(call.node, f"{last}: whether a commit is pinned is decided at run time")
    what, match = "artefact", Match(call.node)
    if last in _DATA:
        what = "data"
        match = Match(
            call.node,
            threat="unverified-training-data",
            direction=Direction.DATA_TO_MODEL,
            stage=Stage.DATA_PREPARATION,
        )
    moving = call.argument(None, "revision")
    said = f"revision {moving.only()!r} is a name that can be moved" if moving is not None else "no revision is given"
    texts = source.texts() if source is not None else ()
    if source is None or source.constants is None:
        detail = f"{said}; the source is decided at run time and may be a local folder"
        return replace(match, detail=detail, severity=Severity.LOW)
    return replace(match, detail=f"{said} for the {what} {', '.join(texts)[:80]}")


def _source(call: Call, last: str) -> Value | None:
    """The argument that names the repository."""
    position = 1 if last == "pipeline" else 0
    return call.argument(position, *_SOURCE)


def _is_local(source: Value | None, last: str, call: Call) -> bool:
    if source is None:
        return False
    if Origin.DOWNLOAD in source.origins and source.constants is None:
        return True  # The call that fetched it is judged in its own place.
    if source.names & {"pathlib.Path", "os.path.join", "os.path.abspath", "os.path.expanduser", "pathlib.Path()"}:
        return True
    texts = source.texts()
    if not texts:
        return False
    if last in _DATA and all(text in _FORMATS for text in texts):
        return not _remote_files(call)
    if last == "load" and all("/" not in text for text in texts):
        return True  # Metrics that ship with the library.
    return all(_LOCAL.match(text) or not _HUB_ID.fullmatch(text) for text in texts) and not any(
        "://" in text for text in texts
    )


def _remote_files(call: Call) -> bool:
    files = call.argument(None, "data_files") or UNKNOWN
    values = [files, *(value for _, value in files.items)]
    return any(text.startswith(("http://", "https://", "hf://")) for value in values for text in value.texts())


def _pinned(call: Call) -> bool | None:
    """Whether a commit is named; nothing where that is decided elsewhere."""
    given = call.argument(None, "revision", "code_revision")
    if given is None:
        return None if call.open else False
    if given.constants is None:
        return True
    return all(isinstance(one, str) and _COMMIT.fullmatch(one) for one in given.constants)


def _torch_hub(call: Call, name: str, module: Module) -> Match | None:  # noqa: ARG001
    source = call.argument(None, "source")
    texts = call.first().texts()
    if (source is not None and source.only() == "local") or (texts and all(_LOCAL.match(text) for text in texts)):
        return None
    reference = [text.partition(":")[2] for text in texts]
    if reference and all(_FULL_COMMIT.fullmatch(one) for one in reference):
        return None
    if not texts:
        return Match(call.node, "", "the repository is decided at run time; its code is run", Severity.MEDIUM)
    said = f"the branch or tag {reference[0]!r} can be moved" if reference[0] else "no reference is given"
    return Match(call.node, "", f"{said}; the repository's hubconf.py is run")


def _keyword_literals(module: Module) -> Iterator[Match | Unsure]:
    """``{"trust_remote_code": True}`` that reaches no call here."""
    seen = {id(k.value) for call in module.facts.calls.values() for k in call.node.keywords}
    passed = {id(d) for call in module.facts.calls.values() for d in ast.walk(call.node) if isinstance(d, ast.Dict)}
    for function in module.facts.functions[:1]:
        for node in ast.walk(function.node):
            if isinstance(node, ast.Dict) and id(node) not in seen and id(node) not in passed:
                yield from (
                    Match(value, "trust_remote_code: True", "a setting that loading calls may take")
                    for key, value in zip(node.keys, node.values, strict=True)
                    if _is(key, "trust_remote_code") and _is(value, True)
                )


def _is(node: ast.expr | None, value: object) -> bool:
    return (isinstance(node, ast.Constant) and node.value is value) or getattr(node, "value", None) == value


def _both(module: Module) -> Iterator[Match | Unsure]:
    yield from _remote_code(module)
    yield from _keyword_literals(module)


RULES: Final = (
    Rule(
        id="trust-remote-code",
        title="Python from a model repository is run",
        severity=Severity.HIGH,
        threat="remote-code-in-model-repository",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="use an architecture that the library has, or read the code, pin its commit and vendor it",
        reference="https://huggingface.co/docs/transformers/custom_models",
        glimpse=("trust_remote_code",),
        check=_both,
    ),
    Rule(
        id="remote-code-torch-hub",
        title="torch.hub runs code of a repository that is not pinned",
        severity=Severity.HIGH,
        threat="remote-code-in-model-repository",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="write the full commit: torch.hub.load('owner/name:COMMIT', …)",
        reference="https://docs.pytorch.org/docs/stable/hub.html",
        glimpse=(r"\bhub\b", r"\b(load|list|help)\b"),
        check=on_calls(_torch_hub, "torch.hub.load", "torch.hub.list", "torch.hub.help"),
    ),
    Rule(
        id="unpinned-artefact",
        title="A model or data set is fetched without a pinned commit",
        severity=Severity.MEDIUM,
        threat="unpinned-model-artefact",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="pass revision= with the full commit hash",
        reference="https://huggingface.co/docs/huggingface_hub/guides/download",
        glimpse=(
            r"from_pretrained|hf_hub_|snapshot_download|load_dataset|load_metric|\bpipeline\(|SentenceTransformer|"
            r"CrossEncoder|cached_download|evaluate|HfFileSystem",
        ),
        check=_unpinned,
    ),
)  # fmt: skip
