"""Keys and tokens written into the code. They are never printed: a digest stands for them."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from threatloop.supply_chain.code.facts import Assigned
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

_FORMS: Final = tuple(
    (name, re.compile(rf"(?<![A-Za-z0-9_-]){pattern}(?![A-Za-z0-9_-])"))
    for name, pattern in (
        ("Hugging Face token", r"hf_[A-Za-z0-9]{30,}"),
        ("Hugging Face organisation token", r"api_org_[A-Za-z0-9]{30,}"),
        ("Anthropic key", r"sk-ant-[A-Za-z0-9_-]{32,}"),
        ("OpenAI key", r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}"),
        ("AWS access key", r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
        ("GitHub token", r"(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
        ("Google API key", r"AIza[0-9A-Za-z_-]{35}"),
        ("Slack token", r"xox[abprs]-[0-9A-Za-z-]{20,}"),
        ("GitLab token", r"glpat-[0-9A-Za-z_-]{20,}"),
        ("Replicate token", r"r8_[0-9A-Za-z]{37,}"),
        ("PyPI token", r"pypi-[A-Za-z0-9_-]{80,}"),
        ("Groq key", r"gsk_[A-Za-z0-9]{40,}"),
        ("Weights & Biases key", r"wandb_v1_[A-Za-z0-9_]{40,}"),
        ("private key", r"-----BEGIN (?:RSA |EC |OPENSSH |)PRIVATE KEY-----[\s\S]{40,}"),
    )
)
_NAMES: Final = re.compile(
    r"(?:^|_|-)(?:api_?key|apikey|auth_?token|access_?token|secret(?:_?access)?_?key|client_?secret|hf_?token|wandb_?key|"
    r"openai_?key|password|passwd|private_?token)$",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(
    r"your|example|dummy|fake|test|xxx|placeholder|change|todo|insert|<|\{|\$|\*\*|\.\.\.|…|none|null|secret|token|"
    r"password|abc123|123456|sample|default|not[-_ ]|empty|mock|redacted|user",
    re.IGNORECASE,
)
_LEAST_LENGTH: Final = 20
_LEAST_BITS: Final = 3.5
"""Entropy per character of a text that is a key rather than a word or a path."""


def _secrets(module: Module) -> Iterator[Match | Unsure]:
    told = set()
    for text in module.facts.texts.values():
        kind, secret = _known(text.value if isinstance(text.value, str) else "")
        if kind:
            told.add(secret)
            yield Match(text, f"{kind}, {shown(secret)}", "whoever reads the repository can use it")
    for assigned in module.facts.assigned.values():
        if assigned.value not in told and _looks_like_key(assigned):
            told.add(assigned.value)
            detail = f"a text without pattern is given to {assigned.name[:60]!r}"
            yield Match(assigned.node, f"{assigned.name[:60]}, {shown(assigned.value)}", detail, Severity.MEDIUM)


def _known(text: str) -> tuple[str, str]:
    if not 16 <= len(text) <= 20_000:
        return "", ""
    for kind, form in _FORMS:
        found = form.search(text)
        if (
            found
            and _entropy(found[0]) > 3
            and not _repeats(found[0])
            and not re.search("example|xxxx|your", found[0], re.I)
        ):
            return kind, found[0]
    return "", ""


def _repeats(text: str) -> bool:
    """Whether it is filled up with one character, or counts upwards, as examples are."""
    return Counter(text).most_common(1)[0][1] > len(text) / 3 or "abcdefgh" in text.lower() or "12345678" in text


def _looks_like_key(assigned: Assigned) -> bool:
    text = assigned.value
    return (
        _NAMES.search(assigned.name) is not None
        and _LEAST_LENGTH <= len(text) <= 200
        and re.fullmatch(r"[A-Za-z0-9+/=_.-]+", text) is not None
        and re.search(r"\d", text) is not None
        and not _PLACEHOLDER.search(text)
        and _entropy(text) >= _LEAST_BITS
        and not _repeats(text)
    )


def _entropy(text: str) -> float:
    """Bits per character of the text's own distribution."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def shown(secret: str) -> str:
    """What stands for a secret: its length and the beginning of its SHA-256."""
    return f"{len(secret)} characters, sha256 {hashlib.sha256(secret.encode()).hexdigest()[:12]}"


_GLIMPSE: Final = (
    r"hf_|api_org_|sk-|AKIA|ASIA|gh[pousr]_|github_pat_|AIza|xox|glpat-|r8_|pypi-|gsk_|wandb_v1_|PRIVATE KEY|"
    r"(?i:key|token|secret|passw\w{0,12})[\"']?\]?\s*[=:(,]\s*[\"'][A-Za-z0-9+/=_.-]{20,200}[\"']"
)
"""How a file looks that may hold a secret."""

RULES: Final = (
    Rule(
        id="leaked-secret",
        title="A key or token is written into the code",
        severity=Severity.HIGH,
        threat="leaked-secret-in-code",
        direction=None,
        stage=Stage.SYSTEM_DEVELOPMENT,
        fix="revoke it, take it from the environment or a secret store, and remove it from the history",
        reference="https://cwe.mitre.org/data/definitions/798.html",
        glimpse=(_GLIMPSE,),
        check=_secrets,
    ),
)


def redactor(module: Module) -> Callable[[str], str]:
    """What takes every secret of this module out of a text."""
    secrets = [one.value for one in module.facts.assigned.values() if _looks_like_key(one)]
    texts = (one.value for one in module.facts.texts.values() if isinstance(one.value, str))
    if not secrets and not any(form.search(text) for text in texts for _, form in _FORMS):
        return lambda text: text

    def redacted(text: str) -> str:
        for _, form in _FORMS:
            text = form.sub("[redacted]", text)
        for secret in secrets:
            text = text.replace(secret, "[redacted]")
        return text

    return redacted
