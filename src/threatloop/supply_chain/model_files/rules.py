"""What is looked for in model files: one row for each rule, with its threat, its stage and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

MALICIOUS = "threat:malicious-model-file"
REMOTE_CODE = "threat:remote-code-in-model-repository"
TEMPLATE = "threat:chat-template-injection"


@dataclass(frozen=True)
class Rule:
    """One row. The severity is the usual one; a scanner may grade a case otherwise.

    None has a direction: such a file attacks the machine that opens it or the one who talks to the model, and its
    weights may be honest.
    """

    severity: Severity
    fix: str
    threat: str = MALICIOUS
    stage: Stage = Stage.DEPLOYMENT


_DO_NOT_LOAD = "Do not load this file. Ask its publisher for safetensors, or take it from a source you trust."
_REVIEW = "Review where this name comes from before loading; prefer safetensors, or torch.load(weights_only=True)."
_REBUILD = "Do not unpack or load it; get the file again from its publisher and compare its checksum."
_CODE = "Read the code, pin the revision, and keep trust_remote_code off."

RULES: Mapping[str, Rule] = {
    "unsafe-pickle": Rule(Severity.CRITICAL, _DO_NOT_LOAD),
    "unknown-global": Rule(Severity.MEDIUM, _REVIEW),
    "computed-global": Rule(Severity.CRITICAL, _DO_NOT_LOAD),
    "pickle-extension": Rule(Severity.HIGH, _DO_NOT_LOAD),
    "odd-pickle": Rule(Severity.MEDIUM, _REVIEW),
    "second-opinion": Rule(Severity.LOW, _REVIEW),
    "renamed-extension": Rule(Severity.MEDIUM, "Load it as what it is; loaders may trust the extension."),
    "hidden-content": Rule(Severity.MEDIUM, _REBUILD),
    "archive-traversal": Rule(Severity.HIGH, _REBUILD),
    "archive-link": Rule(Severity.HIGH, _REBUILD),
    "archive-bomb": Rule(Severity.HIGH, _REBUILD),
    "archive-mismatch": Rule(Severity.HIGH, _REBUILD),
    "duplicate-member": Rule(Severity.HIGH, _REBUILD),
    "encrypted-member": Rule(Severity.MEDIUM, "Unpack it with its password and scan what it holds."),
    "malformed-header": Rule(Severity.HIGH, _REBUILD),
    "keras-lambda": Rule(Severity.CRITICAL, "Do not load it; rebuild the model from code and load its weights alone."),
    "keras-code": Rule(Severity.HIGH, "Load only with safe_mode, in a Keras release that enforces it."),
    "dangerous-operation": Rule(Severity.HIGH, "Run it in a sandbox without files and network, or not at all."),
    "custom-operation": Rule(Severity.MEDIUM, "Find the library that registers this operation and review it."),
    "external-data": Rule(Severity.HIGH, "Do not load it; the file reads from outside its own folder."),
    "template-escape": Rule(
        Severity.CRITICAL, "Replace the template; render only in a sandbox.", TEMPLATE, stage=Stage.INFERENCE
    ),
    "template-unknown": Rule(
        Severity.MEDIUM, "Review the template by hand before use.", TEMPLATE, stage=Stage.INFERENCE
    ),
    "template-instructions": Rule(
        Severity.HIGH,
        "Compare it with the publisher's template; remove what speaks to the model.",
        TEMPLATE,
        stage=Stage.INFERENCE,
    ),
    "remote-code": Rule(Severity.HIGH, _CODE, REMOTE_CODE),
    "code-beside-weights": Rule(Severity.LOW, _CODE, REMOTE_CODE),
}
