"""The reference page of attacks and protections, made from their docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

from threatloop.cli.catalogue import ACCESS, access
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.step import Direction, Step

INTRODUCTION = """# Attacks

Made from the docstrings by `threatloop catalogue --markdown`. Every attack is named in a spec by its heading, alone or
with parameters: `attack: {name: badnets, rate: 0.2}`. Attacks stand by direction and by the most that they ask of a
model; a configuration may ask for less.
"""
WORDS = {
    Direction.DATA_TO_DATA: "marks are removed, encodings undone, records moved until a model errs",
    Direction.DATA_TO_MODEL: "influence on training data",
    Direction.MODEL_TO_DATA: "a model gives away its training data",
    Direction.MODEL_TO_MODEL: "a model is copied",
}

HEADINGS = {"Attributes": "Parameters", "Args": "Parameters"}


def page() -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION, *_index(), ""]
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


def _index() -> list[str]:
    """Every attack in a line, with a link."""
    lines = ["| direction | attack | what it is | needs of a model | records |", "|---|---|---|---|---|"]
    for direction in WORDS:
        found = [
            (name, cls.info) for name in ATTACKS.names() if (cls := ATTACKS.load(name)).info.direction is direction
        ]
        for name, info in sorted(found, key=lambda row: (ACCESS.index(access(row[1])), row[0])):
            needs = ", ".join(sorted(info.needs, key=ACCESS.index)) or "–"
            link = f"[`{name}`](#{_anchor(name, info.title)})"
            kinds = ", ".join(sorted(info.modalities))
            lines.append(f"| {direction.value} | {link} | {info.title} | {needs} | {kinds} |")
    return lines


def _anchor(name: str, title: str) -> str:
    """The fragment that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", f"{name} – {title}".lower()).replace(" ", "-")


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
    lines = [f"#### `{name}` – {title}\n", prose(inspect.getdoc(cls) or ""), ""]
    lines += [f"- {label}: {value}" for label, value in facts if value]
    defaults = [f"`{field}: {_shown(one)}`" for field, one in cls.model_fields.items()]
    if defaults:
        lines.append(f"- parameters and defaults: {', '.join(defaults)}")
    return "\n".join([*lines, ""])


def _shown(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def prose(text: str) -> str:
    """A docstring as Markdown: its sections as bold words, what belongs to them as a list."""
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        if found := re.fullmatch(r"(\w+):", line):
            section = HEADINGS.get(found[1], found[1])
            lines += [*([""] if lines and lines[-1] else []), f"**{section}**", ""]
        elif section and re.match(r" {4}\S", line):
            lines.append(f"- {_item(line.strip())}")
        elif section and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            if section and line and lines[-1]:
                lines.append("")
            section = section if not line else ""
            lines.append(re.sub(r"^(Threat model|Paper|Papers|Notes?|Returns)\b:?", _leading, line))
    return re.sub(r"``(.+?)``", r"`\1`", "\n".join(lines))


def _leading(found: re.Match[str]) -> str:
    """The word that opens a paragraph, in bold; a verb stays without a colon."""
    return f"**{found[0]}**"


def _item(text: str) -> str:
    """``name: meaning`` and ``one, two: meaning`` with their names as code."""
    found = re.match(r"([\w.]+(?:, [\w.]+)*): ", text)
    if found is None:
        return text
    return f"{', '.join(f'`{name}`' for name in found[1].split(', '))}: {text[found.end() :]}"
