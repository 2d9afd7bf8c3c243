"""How models and data travel: connections that prove nothing, addresses without encryption."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

_LEARNING: Final = frozenset({"torch", "tensorflow", "transformers", "keras", "sklearn", "joblib", "onnx", "datasets",
                              "huggingface_hub", "onnxruntime", "jax", "numpy", "pandas", "pickle", "safetensors",
                              "torchvision", "diffusers", "xgboost", "lightgbm", "openai", "llama_cpp"})  # fmt: skip
_MODEL_FILE: Final = re.compile(
    r"\.(pt|pth|bin|ckpt|h5|hdf5|keras|onnx|pb|tflite|pkl|pickle|joblib|safetensors|gguf|npz|npy|"
    r"caffemodel|weights|model|tar|tgz|tar\.gz|zip|parquet|jsonl)(\?|#|$)",
    re.IGNORECASE,
)
_PLAIN: Final = re.compile(r"(http|ftp)://(?!localhost|127\.|0\.0\.0\.0|\[::1\]|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)"
                           r"[^\s'\"<>]+", re.IGNORECASE)  # fmt: skip
_FETCHES: Final = re.compile(
    r"get|urlopen|urlretrieve|download|load_url|load_state_dict_from_url|get_file|retrieve|read_\w+"
)
_VERBS: Final = frozenset({"get", "post", "put", "head", "request", "stream", "download"})
_NO_CHECK: Final = ("ssl._create_unverified_context", "ssl.CERT_NONE")
_SWITCHES: Final = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "HF_HUB_DISABLE_SSL_VERIFY", "PYTHONHTTPSVERIFY")
_OFF: Final = frozenset({"", "0", "1", "true", "True"})


def _unverified(module: Module) -> Iterator[Match | Unsure]:
    learning = bool(module.facts.imports & _LEARNING)
    severity = Severity.HIGH if learning else Severity.MEDIUM
    for call in module.facts.calls.values():
        if any(keyword.arg in {"verify", "verify_ssl", "ssl_verify"} for keyword in call.node.keywords):
            given = call.argument(None, "verify", "verify_ssl", "ssl_verify")
            if given is not None and given.only() is False and _is_web(call.callee.names):
                yield Match(call.node, "", "the certificate of the server is not checked", severity)
        elif _NO_CHECK[0] in call.callee.names:
            yield Match(call.node, "", "this context checks no certificate", severity)
    for node, name, value in module.facts.attributes:
        last = name.rpartition(".")[2]
        if last == "_create_default_https_context" and _NO_CHECK[0] in value.names:
            yield Match(node, name, "checks are off for every https request of the process", severity)
        elif last == "verify" and value.only() is False and "Session" in name:
            yield Match(node, name, "checks are off for every request of the session", severity)
        elif last == "verify_mode" and _NO_CHECK[1] in value.names:
            yield Match(node, name, "this context checks no certificate", severity)
    for assigned in module.facts.assigned.values():
        if assigned.name in _SWITCHES and assigned.value in _OFF:
            yield Match(assigned.node, assigned.name, "turns checks off through the environment", severity)


def _is_web(names: frozenset[str]) -> bool:
    """Whether a call speaks to a server: by its library, or, of an unknown object, by a verb of HTTP."""
    known = ("requests.", "httpx.", "aiohttp.", "boto3.", "gdown.", "urllib3.", "elasticsearch.", "curl_cffi.")
    return any(name.startswith(known) or (name.startswith("?.") and name[2:] in _VERBS) for name in names)


def _plain(module: Module) -> Iterator[Match | Unsure]:
    """Addresses of model and data files, and whatever a download is given, without encryption."""
    fetched = {
        id(node)
        for call in module.facts.calls.values()
        if any(_FETCHES.fullmatch(name.rpartition(".")[2]) for name in call.callee.names)
        for node in (*call.node.args, *(keyword.value for keyword in call.node.keywords))
    }
    for text in module.facts.texts.values():
        value = text.value
        if not isinstance(value, str) or not _PLAIN.fullmatch(value.strip()) or "example." in value:
            continue
        if _MODEL_FILE.search(value.strip()) or id(text) in fetched:
            yield Match(text, value.strip()[:90], "whoever sits on the way can put another file in its place")


RULES: Final = (
    Rule(
        id="unverified-tls",
        title="A certificate check is turned off",
        severity=Severity.HIGH,
        threat="unsafe-download-deserialisation",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="leave verification on; give a private authority's certificate with verify='ca.pem'",
        reference="https://cwe.mitre.org/data/definitions/295.html",
        glimpse=(r"\bverify|ssl|CA_BUNDLE|PYTHONHTTPSVERIFY",),
        check=_unverified,
    ),
    Rule(
        id="plain-http-artefact",
        title="A model or data file comes over plain HTTP",
        severity=Severity.MEDIUM,
        threat="unsafe-download-deserialisation",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="use https, and compare the file with a known hash",
        reference="https://cwe.mitre.org/data/definitions/319.html",
        glimpse=(r"(?i)(http|ftp)://",),
        check=_plain,
    ),
)
