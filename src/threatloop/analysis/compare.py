"""What got better or worse between two runs, beyond noise.

Families, declared here and so before any run: headline figures; other figures with a worst case; the victims' accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from threatloop.analysis.changes import VICTIM, Change, Key, Reading, Side, harm, sides, tested
from threatloop.analysis.comparable import obstacles, paired_targets, remarks
from threatloop.analysis.effects import Tested, judge_tested
from threatloop.analysis.estimates import estimate, upright
from threatloop.core.errors import Problems
from threatloop.core.measurement import Measurement, RunRecord
from threatloop.core.seeds import Streams
from threatloop.numerics.undefined import Undefined

Run = tuple[RunRecord, Sequence[Measurement]]
_READINGS: Final[Mapping[str, Reading]] = {
    "amplifies": "worse",
    "weakens": "better",
    "no effect": "unchanged",
    "unresolved": "unresolved",
    "too few seeds": "too few seeds",
}
_ORDER: Final = ("worse", "lost", "better", "unresolved", "too few seeds", "new", "unchanged", "identical")


@dataclass(frozen=True)
class Comparison:
    """Two runs, figure by figure.

    Attributes:
        before, after: identifiers of the runs.
        changes: the worst first.
        remarks: what the runs do not share.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    remarks: tuple[str, ...]

    def of(self, *readings: Reading) -> tuple[Change, ...]:
        """The changes with one of these readings."""
        return tuple(change for change in self.changes if change.reading in readings)

    @property
    def undecided(self) -> bool:
        """Whether every figure that could be tested has too few seeds for a verdict."""
        open_ones = [c for c in self.changes if c.reading not in ("lost", "new", "identical")]
        return bool(open_ones) and all(c.reading == "too few seeds" for c in open_ones)

    def failed(self, allow_unresolved: bool = False) -> bool:
        """Whether something got worse; what was lost, or cannot be decided at all, counts too unless allowed."""
        return bool(self.of("worse")) or (not allow_unresolved and (bool(self.of("lost")) or self.undecided))


def compare(before: Run, after: Run) -> Comparison:
    """Compare two runs.

    Args:
        before, after: record and rows of each.

    Raises:
        Problems: data, attacks or code differ in a way that makes a comparison meaningless; every difference.
    """
    if found := obstacles(before[0], after[0]):
        raise Problems(f"{before[0].run} and {after[0].run} cannot be compared", found)
    pairs = paired_targets(before[0], after[0], (before[1], after[1]))
    a, b = sides(*before), sides(*after)
    streams = Streams(before[0].run_seed, ("compare",))
    drafts: list[Change] = []
    tests: dict[str, Tested] = {}
    for key in dict.fromkeys((*a, *b)):
        if _in_both(key, before[0], after[0]):
            draft = _draft(key, a.get(key), b.get(key), key.target in pairs, streams)
            drafts.append(draft)
            if draft.reading == "unresolved" and key in a and key in b and a[key].values and b[key].values:
                rng = streams.numpy(f"test {key.label}")
                tests[key.label] = tested(key.label, a[key], b[key], draft.paired, rng)
    changes = [change for family in ("headline", "other", "victim") for change in _judged(family, drafts, tests, a, b)]
    lines = (
        *remarks(before[0], after[0]),
        *_unpaired(before[0], after[0], pairs),
        *_shared(before[0], after[0], pairs),
    )
    return Comparison(before[0].run, after[0].run, tuple(sorted(changes, key=_rank)), lines)


def _in_both(key: Key, a: RunRecord, b: RunRecord) -> bool:
    """Whether both runs were asked for this figure."""
    known = not key.condition or (key.condition in a.conditions and key.condition in b.conditions)
    scenario = key.scenario == VICTIM or (key.scenario in a.scenarios and key.scenario in b.scenarios)
    return known and scenario and key.target in a.targets and key.target in b.targets


def _draft(key: Key, a: Side | None, b: Side | None, paired: bool, streams: Streams) -> Change:
    """The figure in both runs; its reading is *unresolved* until it is judged, where there is something to judge."""
    side = a or b
    assert side is not None
    x, y = (dict(one.values) if one is not None else {} for one in (a, b))
    before, after = (
        estimate(values, side.note.unit, streams, f"{name} {key.label}") for name, values in (("a", x), ("b", y))
    )
    gates = ("" if a is None else a.gate, "" if b is None else b.gate)
    reading, why = _without_a_test(x, y, paired)
    return Change(
        key,
        side.family,
        side.note.unit,
        before,
        after,
        paired and bool(x.keys() & y.keys()),
        Undefined(why or "its family has not been judged yet"),
        reading,
        gates if x and y and gates[0] != gates[1] else ("", ""),
        tuple(name for name, one in (("first", a), ("second", b)) if one is not None and one.suspect),
        why,
    )


def _without_a_test(x: Mapping[int, float], y: Mapping[int, float], paired: bool) -> tuple[Reading, str]:
    """What needs no test: a figure that one run lacks, or that is the same in every seed."""
    if not x and not y:
        return "unresolved", "neither run has a value"
    if not y:
        return "lost", "the second run has no value"
    if not x:
        return "new", "the first run has no value"
    if paired and x == y:
        return "identical", f"equal in each of {len(x)} seeds"
    return "unresolved", ""


def _judged(
    family: str,
    drafts: Sequence[Change],
    tests: Mapping[str, Tested],
    a: Mapping[Key, Side],
    b: Mapping[Key, Side],
) -> list[Change]:
    """The members of one family with their verdicts."""
    members = [draft for draft in drafts if draft.family == family]
    effects = judge_tested([tests[draft.key.label] for draft in members if draft.key.label in tests])
    changes = []
    for draft in members:
        if draft.key.label in effects:
            effect = effects[draft.key.label]
            turned = upright(effect, harm(a[draft.key], b[draft.key]))
            draft = replace(draft, effect=turned, reading=_READINGS[effect.verdict], why=effect.why)
        changes.append(draft)
    return changes


def _unpaired(a: RunRecord, b: RunRecord, pairs: frozenset[str]) -> list[str]:
    """Why seeds are not pairs."""
    if a.run_seed != b.run_seed:
        return [f"run seeds {a.run_seed} and {b.run_seed}: the runs are compared as independent samples"]
    split = [name for name in a.targets if name in b.targets and name not in pairs]
    return [
        f"{name}: the seeds split the data differently, so they are compared as independent samples" for name in split
    ]


def _shared(a: RunRecord, b: RunRecord, pairs: frozenset[str]) -> list[str]:
    """That means and differences rest on other seeds where one run has more of them."""
    if a.seeds == b.seeds or not pairs:
        return []
    few = min(a.seeds, b.seeds)
    return [f"seeds {a.seeds} and {b.seeds}: a mean is over all seeds of its run, a difference over the {few} of both"]


def _rank(change: Change) -> tuple[int, Key]:
    return _ORDER.index(change.reading), change.key
