"""Text in a chat template that speaks to the model behind the user's back.

Such templates are published as a supply-chain attack on GGUF files: the weights are clean, and the template adds
instructions to the conversation, always or when a word occurs in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import nodes

_ORDERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), what)
    for pattern, what in (
        (r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|above|earlier|all|system|safety)\b.{0,30}"
         r"\b(instruction|prompt|rule|guideline|message)", "tells the model to ignore its instructions"),
        (r"\b(do not|don't|never)\b.{0,20}\b(tell|mention|reveal|inform|disclose|warn)\b.{0,40}"
         r"\b(user|this|instruction)", "tells the model to keep something from the user"),
        (r"\b(always|whenever|when(ever)? (the )?user|if (the )?user)\b.{0,120}\b(include|insert|recommend|add|append"
         r"|link|load|respond with|reply with|use)\b.{0,80}(https?:|<script|www\.|\bcdn\b|\.js\b|\.com\b)",
         "tells the model what to slip into its answers"),
        (r"<script\b|javascript:|<img\b|<iframe\b", "holds active HTML"),
        (r"\b(curl|wget|powershell|bash -c|sh -c|rm -rf|pip install|eval\(|exec\(|base64 -d)", "holds a shell command"),
        (r"\b(send|post|upload|forward|exfiltrate)\b.{0,80}https?://", "tells the model to send something elsewhere"),
    )
)  # fmt: skip
_URL = re.compile(r"https?://[^\s'\"<>]+", re.IGNORECASE)
_BLOB = re.compile(r"[A-Za-z0-9+/]{160,}={0,2}")
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\U000e0000-\U000e007f]")
_MARKUP = re.compile(r"[<>\[\]{}|/#*`=\n]")
_WORD = re.compile(r"[^\W\d_]{3,}")


def instructions(tree: nodes.Template) -> Iterator[str]:
    """What in the texts of a template no template needs, in words."""
    for text in _texts(tree):
        yield from _in_text(text)
    for word in _triggers(tree):
        yield f"waits for {word[:60]!r} in what is said"


def _in_text(text: str) -> Iterator[str]:
    flat = " ".join(text.split())
    for pattern, what in _ORDERS:
        if match := pattern.search(flat):
            yield f"{what}: {match.group()[:80]!r}"
    for url in _URL.findall(text):
        yield f"holds the address {url[:80]}"
    if _BLOB.search(text):
        yield "holds a long block of encoded bytes"
    if _HIDDEN.search(text):
        yield "holds letters that are not seen"


def _texts(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.TemplateData, nodes.Const)):
        value = node.data if isinstance(node, nodes.TemplateData) else node.value  # type: ignore[attr-defined]
        if isinstance(value, str):
            yield value


def _triggers(tree: nodes.Template) -> Iterator[str]:
    """Plain words that a condition looks for in a message's content."""
    for compare in tree.find_all(nodes.Compare):
        for operand in compare.ops:
            if operand.op in ("in", "notin") and isinstance(compare.expr, nodes.Const) and _content(operand.expr):
                yield from _plain(compare.expr.value)
    for call in tree.find_all(nodes.Call):
        target = call.node
        if isinstance(target, nodes.Getattr) and target.attr in ("find", "count", "index") and _content(target.node):
            for value in call.args:
                if isinstance(value, nodes.Const):
                    yield from _plain(value.value)


def _plain(value: object) -> Iterator[str]:
    if isinstance(value, str) and _WORD.search(value) and not _MARKUP.search(value):
        yield value


def _content(node: nodes.Expr) -> bool:
    """Whether an expression is the content of a message, perhaps in lower case or cut."""
    names = [part.attr for part in [node, *node.find_all(nodes.Getattr)] if isinstance(part, nodes.Getattr)]
    names += [part.name for part in [node, *node.find_all(nodes.Name)] if isinstance(part, nodes.Name)]
    for part in [node, *node.find_all(nodes.Getitem)]:
        if isinstance(part, nodes.Getitem) and isinstance(part.arg, nodes.Const):
            names.append(str(part.arg.value))
    return any(name in ("content", "text", "query", "prompt") for name in names)
