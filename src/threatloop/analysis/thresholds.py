"""Thresholds of ``--fail-on``: judged on a summary, failing closed.

A comparison is crossed when the end of the interval that is worse for the defender crosses it. A figure that is
undefined, has seeds without a value, comes from an attack whose self-check failed, met an error or was not assessed
counts as crossed too. ``allow_unresolved`` takes only what is certain: both ends of the interval beyond the threshold.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from threatloop.analysis.estimates import Estimate
from threatloop.analysis.findings import Figure, named_attacks
from threatloop.analysis.summary import Summary
from threatloop.analysis.threshold_syntax import Comparison, Expression, Group, Names, parse
from threatloop.core.measurement import Notice, RunRecord
from threatloop.numerics.undefined import Undefined

_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class ThresholdResult:
    """One expression, whether it is crossed, and the comparisons that decided it."""

    expression: str
    crossed: bool
    why: str


@dataclass(frozen=True)
class _Outcome:
    crossed: bool
    why: tuple[str, ...]


def names_of(record: RunRecord) -> Names:
    """What expressions about this run may name."""
    attacks = {name: tuple(facts.get("metrics", ())) for name, facts in record.attacks.items()}
    scenarios = {name: tuple(facts.get("attacks", ())) for name, facts in record.scenarios.items()}
    return Names(tuple(record.targets), scenarios, attacks)


def check_thresholds(
    expressions: Sequence[str], record: RunRecord, summary: Summary, allow_unresolved: bool = False
) -> tuple[ThresholdResult, ...]:
    """Judge every expression.

    Raises:
        InputError: an expression is not well formed or names something that the run does not have.
    """
    judge = _Judge(record, summary, allow_unresolved)
    return tuple(judge.result(text, parse(text, names_of(record))) for text in expressions)


@dataclass(frozen=True)
class _Judge:
    record: RunRecord
    summary: Summary
    allow: bool

    def result(self, text: str, expression: Expression) -> ThresholdResult:
        outcome = self._expression(expression)
        return ThresholdResult(text, outcome.crossed, "; ".join(dict.fromkeys(outcome.why)))

    def _expression(self, expression: Expression) -> _Outcome:
        if isinstance(expression, Group):
            parts = [self._expression(part) for part in expression.parts]
            crossed = (all if expression.join == "and" else any)(part.crossed for part in parts)
            # Just the reasons on the deciding side: what crossed, or what did not.
            return _Outcome(crossed, tuple(why for part in parts if part.crossed == crossed for why in part.why))
        return self._comparison(expression)

    def _comparison(self, wanted: Comparison) -> _Outcome:
        if wanted.kind in ("errors", "not_assessed"):
            return self._count(wanted)
        cells = self._risks(wanted) if wanted.kind == "risk" else self._figures(wanted)
        if not cells:
            known = ", ".join(sorted({f.metric for f in self.summary.figures})) or "none"
            return self._open(f"{wanted.text}: the run has no such figure (it has {known})")
        crossed = tuple(cell.why for cell in cells if cell.crossed)
        kept = tuple(cell.why for cell in cells if not cell.crossed)
        return _Outcome(bool(crossed), tuple(why for group in (crossed or kept) for why in group))

    def _count(self, wanted: Comparison) -> _Outcome:
        notices = self.record.errors if wanted.kind == "errors" else self.record.not_assessed
        count = sum(wanted.target in ("", notice.target) for notice in notices)
        return _Outcome(_COMPARE[wanted.operator](count, wanted.limit), (f"{wanted.text}: there are {count}",))

    def _risks(self, wanted: Comparison) -> list[_Outcome]:
        outcomes = []
        for target in [wanted.target] if wanted.target else self.record.targets:
            found = [f for f in self.summary.figures if f.headline and (f.target, f.direction) == (target, wanted.name)]
            if not found:
                outcomes.append(self._open(f"{target}: {wanted.name} was not assessed"))
            outcomes.extend(
                self._estimate(wanted, f"risk of {_called(f)}", f.risk, self._doubts([f], f.risk.n)) for f in found
            )
            named = {a for a, facts in self.record.attacks.items() if facts.get("direction") == wanted.name}
            outcomes.extend(self._lost(target, "", named))
        return outcomes

    def _figures(self, wanted: Comparison) -> list[_Outcome]:
        triples = names_of(self.record).resolve(wanted.name)
        outcomes: list[_Outcome] = []
        for target in [wanted.target] if wanted.target else list(self.record.targets):
            groups: dict[tuple[str, int, str], list[Figure]] = {}
            for f in self.summary.figures:
                if f.target == target and any((f.scenario, f.attack, name) in triples for name in self._called(f)):
                    groups.setdefault((f.scenario, f.step, f.metric), []).append(f)
            for group in groups.values():
                doubts = self._doubts(group, sum(f.value.n for f in group))
                outcomes.extend(self._estimate(wanted, _called(f), f.value, doubts) for f in group)
            for scenario, attack, _ in triples:
                outcomes.extend(self._lost(target, scenario, {attack}))
        return outcomes

    def _called(self, figure: Figure) -> tuple[str, str]:
        """The metric's name, and with its unit: ``membership.auc`` may stand for ``membership``."""
        return figure.metric, f"{figure.metric}.{self.summary.notes[figure.metric].unit}"

    def _estimate(self, wanted: Comparison, called: str, found: Estimate, doubts: Sequence[str]) -> _Outcome:
        mean, interval = found.mean, found.interval
        if isinstance(mean, Undefined):
            return self._open(f"{called} is {mean}")
        if isinstance(interval, Undefined):
            return self._open(f"{called} is {mean:.3g} without an interval: {interval.reason}")
        shown = f"{called} is {mean:.3g} [{interval.low:.3g}, {interval.high:.3g}]"
        ends = (interval.high, interval.low) if wanted.operator.startswith(">") else (interval.low, interval.high)
        bad, good = (_COMPARE[wanted.operator](end, wanted.limit) for end in ends)
        if good:
            return _Outcome(True, (shown,))
        if bad:
            return self._open(f"{shown}, which straddles {wanted.limit:g}")
        return self._open(f"{shown}, but {doubts[0]}") if doubts else _Outcome(False, (shown,))

    def _doubts(self, group: Sequence[Figure], seeds: int) -> list[str]:
        few = [f"only {seeds} of {self.record.seeds} seeds have a value"] if seeds < self.record.seeds else []
        return few + [f"a self-check failed ({why})" for f in group for why in f.suspect]

    def _lost(self, target: str, scenario: str, attacks: set[str]) -> Iterable[_Outcome]:
        """Errors and gaps that concern these attacks; each leaves the comparison open."""
        for kind, notices in (("errored", self.record.errors), ("not assessed", self.record.not_assessed)):
            for notice in notices:
                if self._concerns(notice, target, scenario, attacks):
                    yield self._open(f"{target} {notice.scenario or notice.what} {kind}: {notice.why}")

    def _concerns(self, notice: Notice, target: str, scenario: str, attacks: set[str]) -> bool:
        if notice.target not in ("", target) or (scenario and notice.scenario not in ("", scenario)):
            return False
        named = named_attacks(self.record, notice)
        if not named and notice.scenario:
            named = set(self.record.scenarios.get(notice.scenario, {}).get("attacks", ()))
        return not named or bool(named & attacks)

    def _open(self, why: str) -> _Outcome:
        if self.allow:
            return _Outcome(False, (f"{why} (unresolved, which was allowed)",))
        return _Outcome(True, (f"{why} (unresolved counts as crossed)",))


def _called(figure: Figure) -> str:
    side = f", gate {figure.gate}" if figure.gate else ""
    return f"{figure.target}/{figure.scenario}.{figure.metric}{side}"
