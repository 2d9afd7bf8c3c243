"""The language of ``--fail-on``, parsed by hand: nothing is evaluated as code.

::

    expression := term ("or" term)*          "and" binds tighter than "or"
    term       := factor ("and" factor)*
    factor     := "(" expression ")" | comparison
    comparison := subject (">" | ">=" | "<" | "<=") number
    subject    := [target "/"] figure | [target "/"] "risk(" direction ")" | "errors" | "not_assessed"
    figure     := metric | scenario "." metric | attack "." metric      a space may stand for a dot
    direction  := D→D | D→M | M→D | M→M                                 "->" may stand for the arrow

Names with spaces, slashes, brackets or operators in them are written in quotes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from threatloop.core.errors import InputError

Operator = Literal[">", ">=", "<", "<="]
Kind = Literal["figure", "risk", "errors", "not_assessed"]

_SPACE: Final = re.compile(r"\s*")
_OPERATOR: Final = re.compile(r"<=|>=|<|>")
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])")
_WORD: Final = re.compile(r"[^\s<>=()\"'/]+|/")
_QUOTED: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_RISK: Final = re.compile(r"risk\s*\(\s*([DM])\s*(?:→|->)\s*([DM])\s*\)")
_JOIN: Final = re.compile(r"(and|or)(?![^\s()])")
_COUNTS: Final = ("errors", "not_assessed")


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Attributes:
        target: the target it is limited to; empty for all.
        name: the figure as ``metric`` or ``scenario-or-attack.metric``; the direction for risks.
        text: as written.
        start: where it starts in the expression, for error messages.
    """

    kind: Kind
    target: str
    name: str
    operator: Operator
    limit: float
    text: str
    start: int


@dataclass(frozen=True)
class Group:
    """Expressions joined by ``and`` or ``or``."""

    join: Literal["and", "or"]
    parts: tuple[Expression, ...]


Expression = Comparison | Group


@dataclass(frozen=True)
class Names:
    """What an expression may name.

    Attributes:
        targets: names of the audited data and models.
        scenarios: the attacks of each scenario, in order.
        attacks: the metrics of each attack.
    """

    targets: tuple[str, ...]
    scenarios: Mapping[str, tuple[str, ...]]
    attacks: Mapping[str, tuple[str, ...]]

    def resolve(self, name: str) -> list[tuple[str, str, str]]:
        """Every (scenario, attack, metric) that ``name`` can mean; a secondary metric by its first metric's name."""
        return [
            (scenario, attack, metric + plain(name)[len(form) :])
            for scenario, attacks in self.scenarios.items()
            for attack in attacks
            for metric in self.attacks.get(attack, ())
            for form in _forms(scenario, attack, metric)
            if plain(name) == form or plain(name).startswith(f"{form}.")
        ]

    def figures(self) -> list[str]:
        """Every name of a figure."""
        triples = ((s, a, m) for s, attacks in self.scenarios.items() for a in attacks for m in self.attacks.get(a, ()))
        return list(dict.fromkeys(form for triple in triples for form in _forms(*triple)))


def plain(name: str) -> str:
    """The form in which names are compared: every run of spaces is a dot."""
    return re.sub(r"\s+", ".", name.strip())


def parse(text: str, names: Names | None = None) -> Expression:
    """Parse an expression and, where ``names`` are given, check every name in it.

    Raises:
        InputError: one line with the position, marked by a caret, and what is allowed there.
    """
    parser = _Parser(text)
    expression = parser.expression()
    parser.end()
    for comparison in comparisons(expression):
        if names is not None:
            _check(text, comparison, names)
    return expression


def comparisons(expression: Expression) -> Iterable[Comparison]:
    """The comparisons of an expression, from left to right."""
    if isinstance(expression, Comparison):
        yield expression
    else:
        for part in expression.parts:
            yield from comparisons(part)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def expression(self) -> Expression:
        return self._joined("or")

    def end(self) -> None:
        self._skip()
        if self.at < len(self.text):
            raise _problem(self.text, self.at, "expected 'and', 'or' or the end")

    def _joined(self, join: Literal["and", "or"]) -> Expression:
        parts = [self._part(join)]
        while self._word(join):
            parts.append(self._part(join))
        return parts[0] if len(parts) == 1 else Group(join, tuple(parts))

    def _part(self, join: Literal["and", "or"]) -> Expression:
        return self._joined("and") if join == "or" else self._factor()

    def _factor(self) -> Expression:
        if self._take("("):
            inside = self.expression()
            if not self._take(")"):
                raise _problem(self.text, self.at, "expected ')'")
            return inside
        return self._comparison()

    def _comparison(self) -> Comparison:
        self._skip()
        start = self.at
        target, kind, name = self._subject()
        if not (found := self._match(_OPERATOR)):
            raise _problem(self.text, self.at, "expected one of > >= < <=")
        operator: Operator = found.group()  # type: ignore[assignment]  # the pattern holds just these four
        if not (number := self._match(_NUMBER)):
            raise _problem(self.text, self.at, "expected a number such as 0.6")
        return Comparison(kind, target, name, operator, float(number.group()), self.text[start : self.at], start)

    def _subject(self) -> tuple[str, Kind, str]:
        target, end = "", -1
        pieces: list[str] = []
        while True:
            if not pieces and (risk := self._match(_RISK)):
                return target, "risk", f"{risk[1]}→{risk[2]}"
            self._skip()
            begin, piece = self.at, self._piece()
            if piece is None:
                break
            if piece == "/":
                target, pieces = "".join(pieces), []
                continue
            # Words that touch, such as "my scenario".auc, are one name.
            pieces += [piece] if begin == end or not pieces else [".", piece]
            end = self.at
        name = "".join(pieces)
        if not name:
            raise _problem(self.text, self.at, "expected a figure, risk(D→M), errors or not_assessed")
        return target, (name if name in _COUNTS else "figure"), name  # type: ignore[return-value]

    def _piece(self) -> str | None:
        if _JOIN.match(self.text, self.at):
            return None
        if quoted := self._match(_QUOTED):
            return quoted[1] if quoted[1] is not None else quoted[2]
        word = self._match(_WORD)
        return word.group() if word else None

    def _word(self, join: str) -> bool:
        self._skip()
        found = _JOIN.match(self.text, self.at)
        if found and found[1] == join:
            self.at = found.end()
            return True
        return False

    def _take(self, mark: str) -> bool:
        self._skip()
        if self.text.startswith(mark, self.at):
            self.at += 1
            return True
        return False

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def _skip(self) -> None:
        if found := _SPACE.match(self.text, self.at):
            self.at = found.end()


def _forms(scenario: str, attack: str, metric: str) -> tuple[str, str, str]:
    return plain(metric), plain(f"{scenario}.{metric}"), plain(f"{attack}.{metric}")


def _check(text: str, comparison: Comparison, names: Names) -> None:
    if comparison.target and comparison.target not in names.targets:
        raise _problem(text, comparison.start, _unknown("target", comparison.target, names.targets))
    if comparison.kind == "figure" and not names.resolve(comparison.name):
        allowed = [*names.figures(), *_COUNTS, "risk(D→M)"]
        raise _problem(text, comparison.start, _unknown("figure", comparison.name, allowed))


def _unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    options = list(allowed)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    shown = ", ".join(options[:12]) + (f" and {len(options) - 12} more" if len(options) > 12 else "")
    return f"unknown {what} {name!r}{hint}; known: {shown or 'none'}"


def _problem(text: str, at: int, what: str) -> InputError:
    shown = " ".join(text.splitlines()) or " "
    return InputError(f"--fail-on: {shown[:at]}‸{shown[at:]} (at character {at + 1}): {what}")
