"""Comments that accept a finding: ``# threatloop: accept RULE because …``."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_COMMENT: Final = re.compile(r"#\s*threatloop:\s*(?P<rest>.*)", re.IGNORECASE)
_FORM: Final = re.compile(
    r"accept\s+(?P<rules>[a-z0-9-]+(?:\s*,\s*[a-z0-9-]+)*)\s+because\s+(?P<reason>\S.*)", re.IGNORECASE
)
HOW: Final = "write `# threatloop: accept RULE because …`"


@dataclass(frozen=True)
class Comment:
    """An accepting comment.

    Attributes:
        line: on which it stands, from 1.
        alone: nothing else stands on that line, so it speaks of the next one with code.
        rules: that it accepts.
        reason: why.
    """

    line: int
    alone: bool
    rules: tuple[str, ...]
    reason: str


def comments(text: str, known: Iterable[str]) -> tuple[list[Comment], list[tuple[int, str]]]:
    """The accepting comments of a text, and line and reason of those that are not understood.

    Args:
        text: of a Python file.
        known: ids of rules.
    """
    if "threatloop:" not in text.lower():
        return [], []
    found: list[Comment] = []
    broken: list[tuple[int, str]] = []
    ids = frozenset(known)
    for line, column, comment in _comments_of(text):
        begun = _COMMENT.match(comment)
        if not begun:
            continue
        form = _FORM.match(begun["rest"])
        if not form:
            broken.append((line, f"the comment accepts nothing: {HOW}; the reason is required"))
            continue
        rules = tuple(rule.strip().lower() for rule in form["rules"].split(","))
        unknown = [rule for rule in rules if rule not in ids]
        broken += [(line, f"the comment accepts {rule!r}, which is no rule of the code pass") for rule in unknown]
        alone = not text.split("\n")[line - 1][:column].strip()
        found.append(Comment(line, alone, tuple(rule for rule in rules if rule in ids), form["reason"].strip()))
    return found, broken


def accepting(found: Iterable[Comment], rule: str, first: int, last: int, lines: list[str]) -> Comment | None:
    """The comment that accepts a finding of this rule in these lines: on one of them, or alone above the first."""
    for comment in found:
        if rule not in comment.rules:
            continue
        if first <= comment.line <= last or (comment.alone and _reaches(comment.line, first, lines)):
            return comment
    return None


def _reaches(line: int, first: int, lines: list[str]) -> bool:
    """Whether only comments and decorators stand between the comment and the code."""
    between = lines[line : first - 1]
    return line < first and all(part.strip().startswith(("#", "@")) for part in between)


def _comments_of(text: str) -> list[tuple[int, int, str]]:
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                found.append((token.start[0], token.start[1], token.string))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pass  # What was read up to there stands; the tree has its own errors.
    return found
