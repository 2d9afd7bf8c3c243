"""One file through the code pass."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from threatloop.supply_chain.code import text as python
from threatloop.supply_chain.code.accepting import Comment, accepting, comments
from threatloop.supply_chain.code.families import BY_ID, RULES
from threatloop.supply_chain.code.families.secrets import redactor
from threatloop.supply_chain.code.notebook import Notebook, read_notebook
from threatloop.supply_chain.code.reading import read_module
from threatloop.supply_chain.code.rule import Match, Module, Rule, Unsure, shortened
from threatloop.supply_chain.result import COMMENT, Accepted, Failure, Finding, Place, Result, Skipped

SUFFIXES: Final = (".py", ".pyw", ".ipynb")
SCANNER: Final = "code"
MOST: Final = 2_000
"""Places of one rule that are listed of one file."""
_LARGEST: Final = 64 << 20


def scan_code(file: Path, shown: str | None = None, safe_torch: bool | None = None) -> Result:
    """What a Python file or notebook does that opens it to attack. It is read, never run.

    Args:
        file: ``.py``, ``.pyw`` or ``.ipynb``.
        shown: the path to report; the file's own by default.
        safe_torch: whether every torch that the repository allows is 2.6 or newer, whose ``torch.load`` unpickles no
            code by default; nothing where that is not known.

    Returns:
        Findings; syntax errors; what was left out or could not be judged. Findings that a comment accepts are in
        ``accepted``.
    """
    place = Place(shown or str(file))
    try:
        if file.stat().st_size > _LARGEST:
            return Result(skipped=(Skipped(place, f"larger than {_LARGEST >> 20} MiB"),))
        raw = file.read_bytes()
    except OSError as error:
        return Result(errors=(Failure(place, f"cannot be read: {error.strerror or error}"),))
    return scan_bytes(raw, place.path, file.suffix.lower() == ".ipynb", safe_torch)


def scan_bytes(raw: bytes, shown: str, notebook: bool = False, safe_torch: bool | None = None) -> Result:
    """As `scan_code`, of content that was read already."""
    try:
        if notebook:
            return _scan_notebook(read_notebook(raw), shown, safe_torch)
        source = python.decoded(raw)
        tree = python.parsed(source)
        return _Pass(source, tree, lambda line: Place(shown, line), safe_torch).result(Place(shown))
    except python.NotLookedAt as reason:
        return Result(skipped=(Skipped(Place(shown), str(reason)),))
    except python.Unreadable as error:
        return Result(errors=(Failure(Place(shown, error.line), error.reason),))
    except RecursionError:
        return Result(errors=(Failure(Place(shown), "nested too deeply to be understood"),))
    except Exception as error:  # one hostile file must not end the scan of the others, nor pass as read
        said = f"the code pass failed, please report it: {type(error).__name__}: {str(error)[:120]}"
        return Result(errors=(Failure(Place(shown), said),))


def _scan_notebook(book: Notebook, shown: str, safe_torch: bool | None) -> Result:
    def place(line: int) -> Place:
        cell, inner = book.place(line)
        return Place(f"{shown}!/cell {cell}", inner)

    left_out = Result(
        errors=tuple(Failure(Place(f"{shown}!/cell {cell}", line), why) for cell, line, why in book.errors),
        skipped=tuple(Skipped(Place(f"{shown}!/cell {cell}"), why) for cell, why in book.skipped),
    )
    if not book.cells:
        return left_out + Result(read=() if left_out.errors or left_out.skipped else (Place(shown),))
    found = _Pass(book.text, book.tree, place, safe_torch).result(Place(shown))
    if left_out.errors or left_out.skipped:
        found = replace(found, read=())
    return found + left_out


@dataclass
class _Pass:
    """One text through all rules."""

    text: str
    tree: ast.Module
    place: Callable[[int], Place]
    safe_torch: bool | None

    def result(self, whole: Place) -> Result:
        accepted_by, broken = comments(self.text, BY_ID)
        lines = self.text.split("\n")
        rules = [rule for rule in RULES if all(re.search(part, self.text) for part in rule.glimpse)]
        if not rules:
            return Result(errors=tuple(Failure(self.place(line), why) for line, why in broken), read=(whole,))
        module = Module(read_module(self.tree), self.safe_torch)
        redacted = redactor(module)
        findings: list[Finding] = []
        accepted: list[Accepted] = []
        skipped: list[Skipped] = []
        seen: Counter[tuple[str, str, str]] = Counter()
        for rule in rules:
            for number, found in enumerate(sorted(rule.check(module), key=_position)):
                if number == MOST:
                    skipped.append(Skipped(whole, f"more than {MOST:,} places for {rule.id}: the rest is not listed"))
                    break
                first, last = _position(found)[0], getattr(found.node, "end_lineno", None) or _position(found)[0]
                place = replace(self.place(first), column=getattr(found.node, "col_offset", 0) + 1)
                if isinstance(found, Unsure):
                    skipped.append(Skipped(place, redacted(found.reason)))
                    continue
                finding = _finding(rule, found, place, redacted)
                key = (finding.rule, finding.place.path, finding.subject)
                seen[key] += 1
                if seen[key] > 1:
                    finding = replace(finding, subject=f"{finding.subject} ({seen[key]})")
                head = first if isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef) else last
                comment = accepting(accepted_by, rule.id, first, head, lines)
                _put(finding, comment, findings, accepted)
        errors = tuple(Failure(self.place(line), why) for line, why in broken)
        return Result(tuple(findings), errors, tuple(skipped), (whole,), tuple(accepted))


def _put(finding: Finding, comment: Comment | None, findings: list[Finding], accepted: list[Accepted]) -> None:
    if comment is None:
        findings.append(finding)
    else:
        accepted.append(Accepted(finding, comment.reason, COMMENT))


def _position(found: Match | Unsure) -> tuple[int, int]:
    return getattr(found.node, "lineno", 1), getattr(found.node, "col_offset", 0)


def _finding(rule: Rule, found: Match, place: Place, redacted: Callable[[str], str]) -> Finding:
    return Finding(
        rule=rule.id,
        severity=found.severity or rule.severity,
        title=found.title or rule.title,
        place=place,
        threat=f"threat:{found.threat or rule.threat}",
        direction=found.direction or rule.direction,
        stage=found.stage or rule.stage,
        detail=redacted(found.detail),
        fix=rule.fix,
        subject=shortened(redacted(found.subject or ast.unparse(found.node))),
        scanner=SCANNER,
    )
