"""The reference page of attacks and protections, made from their docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

from threatloop.cli.catalogue import ACCESS, access
from threatloop.core.attack import Direction, Step
from threatloop.core.catalogue import ATTACKS, DEFENCES

INTRODUCTION = """# Attacks

Made from the docstrings by `threatloop catalogue --markdown`. Every attack is named in a spec by its heading, alone or
with parameters: `attack: {name: badnets, rate: 0.2}`. Attacks stand by direction and by the most that they ask of a
model; a configuration may ask for less.
"""
WORDS = {
    Direction.DATA_TO_DATA: "protected data in, unprotected data out",
    Direction.DATA_TO_MODEL: "influence on training data",
    Direction.MODEL_TO_DATA: "a model gives away its training data",
    Direction.MODEL_TO_MODEL: "a model is copied",
}


def page() -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION]
    rows = [(name, ATTACKS.load(name)) for name in ATTACKS.names()]
    for direction, words in WORDS.items():
        parts.append(f"## {direction.value}: {words}\n")
        for level in ACCESS:
            found = [(n, c) for n, c in rows if c.info.direction is direction and access(c.info) == level]
            if found:
                parts.append(f"### Needs: {level}\n")
                parts += [_attack(name, cls) for name, cls in found]
    parts.append("## Defences\n")
    parts += [_defence(name) for name in DEFENCES.names()]
    return "\n".join(parts)


def _attack(name: str, cls: type[Step[Any]]) -> str:
    info = cls.info
    facts = [
        ("assumes", info.knowledge),
        ("records", ", ".join(sorted(info.modalities))),
        ("graded by", ", ".join(f"`{metric}`" for metric in info.metrics)),
        ("baseline", f"`{info.baseline}`"),
        ("undoes", ", ".join(f"`{one}`" for one in info.undoes)),
        ("varied by `sweep`", f"`{info.sweep}`" if info.sweep else ""),
        ("ATLAS", ", ".join(info.atlas)),
    ]
    return _section(name, info.title, facts, cls)


def _defence(name: str) -> str:
    cls = DEFENCES.load(name)
    info = cls.info
    facts = [("stage", info.stage.value), ("records", ", ".join(sorted(info.modalities)))]
    return _section(name, info.title, facts, cls)


def _section(name: str, title: str, facts: list[tuple[str, str]], cls: type[Any]) -> str:
    lines = [f"#### `{name}` – {title}\n", _prose(inspect.getdoc(cls) or ""), ""]
    lines += [f"- {label}: {value}" for label, value in facts if value]
    defaults = [f"`{field}: {_shown(one)}`" for field, one in cls.model_fields.items()]
    if defaults:
        lines.append(f"- parameters: {', '.join(defaults)}")
    return "\n".join([*lines, ""])


def _shown(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _prose(text: str) -> str:
    """A docstring as Markdown: its sections as bold words, what belongs to them as a list."""
    lines, inside = [], False
    for line in text.splitlines():
        if re.fullmatch(r"(Attributes|Raises|Returns|Args|Readings):", line):
            lines += [f"**{line[:-1]}**", ""]
            inside = True
        elif inside and re.match(r" {4}\S", line):
            lines.append(f"- {line.strip()}")
        elif inside and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            inside = inside and not line.strip()
            lines.append(line)
    return re.sub(r"``(.+?)``", r"`\1`", "\n".join(lines))
