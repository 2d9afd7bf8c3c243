"""What a rule is: what it looks for, how bad that is, which threat it serves, and what to do."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from threatloop.core.step import Direction
from threatloop.supply_chain.code.facts import Call, Facts, Matcher
from threatloop.supply_chain.result import Severity
from threatloop.threats.ontology import Stage

LONGEST_SUBJECT: Final = 90


@dataclass(frozen=True)
class Match:
    """A place that a rule objects to.

    Attributes:
        node: where.
        subject: what is affected, as the code has it; made from the node where empty.
        detail: what supports it.
        severity, threat, title, direction, stage: instead of the rule's, where the place asks for it.
    """

    node: ast.AST
    subject: str = ""
    detail: str = ""
    severity: Severity | None = None
    threat: str = ""
    title: str = ""
    direction: Direction | None = None
    stage: Stage | None = None


@dataclass(frozen=True)
class Unsure:
    """A place that the rule could not judge, and why; it is listed among what was skipped."""

    node: ast.AST
    reason: str


@dataclass(frozen=True)
class Module:
    """What a rule looks at.

    Attributes:
        facts: of the module.
        safe_torch: whether `torch.load` of every version that the repository allows unpickles no code by default;
            nothing where the repository does not say.
    """

    facts: Facts
    safe_torch: bool | None = None


Check = Callable[[Module], Iterator[Match | Unsure]]
Judge = Callable[[Call, str, Module], Match | Unsure | None]


@dataclass(frozen=True)
class Rule:
    """One thing to look for.

    Attributes:
        id: stable, ``kebab-case``.
        title: one line.
        severity: usual one.
        threat: slug of the threat in the catalogue of threats.
        direction: of that threat; nothing where it is no arrow between data and models.
        stage: of the lifecycle where it bites.
        fix: what to do, one line.
        reference: where to read on.
        glimpse: patterns, all of which are somewhere in the text of a file that the rule has anything to look at.
        check: finds the places.
    """

    id: str
    title: str
    severity: Severity
    threat: str
    direction: Direction | None
    stage: Stage
    fix: str
    reference: str
    glimpse: tuple[str, ...]
    check: Check


def on_calls(judge: Judge, *names: str) -> Check:
    """A check of calls: exact dotted names, or endings written ``*.ending``."""
    matcher = Matcher(*names)

    def check(module: Module) -> Iterator[Match | Unsure]:
        for call, name in module.facts.named(matcher):
            found = judge(call, name, module)
            if found is not None:
                yield found

    return check


def shortened(text: str) -> str:
    """On one line and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1] + "…"
