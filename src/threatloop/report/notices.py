"""Notices that say the same, told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from threatloop.core.measurement import Notice


@dataclass(frozen=True)
class Grouped:
    """Notices that say the same of several seeds.

    Attributes:
        notice: the first one; of the failed ones where any failed.
        times: how many there are.
        failed: how many of them are failed self-checks.
    """

    notice: Notice
    times: int
    failed: int


@dataclass(frozen=True)
class Subject:
    """What notices are about: an attack or task, the scenarios where it stands, and how often it is named."""

    what: str
    scenarios: tuple[str, ...]
    times: int

    def __str__(self) -> str:
        return self.what if self.times == 1 else f"{self.what} ×{self.times}"


@dataclass(frozen=True)
class Reason:
    """One reason on one target, and everything that it holds for."""

    target: str
    why: str
    subjects: tuple[Subject, ...]


def grouped(notices: Sequence[Notice]) -> tuple[Grouped, ...]:
    """Notices of one target, scenario and subject together, the failed ones first."""
    groups: dict[tuple[str, ...], list[Notice]] = {}
    for notice in notices:
        groups.setdefault((notice.target, notice.scenario, notice.what), []).append(notice)
    found = []
    for members in groups.values():
        failed = [notice for notice in members if notice.passed is False]
        found.append(Grouped((failed or members)[0], len(members), len(failed)))
    return tuple(sorted(found, key=lambda group: not group.failed))


def by_reason(notices: Iterable[Notice], titles: Mapping[str, str]) -> tuple[Reason, ...]:
    """Notices of one target and reason together, in the order of the first.

    Args:
        titles: of attacks by name. A reason that starts with a title loses it, so that it is the same for all.
    """
    groups: dict[tuple[str, str], list[Notice]] = {}
    for notice in notices:
        groups.setdefault((notice.target, _bare(notice, titles)), []).append(notice)
    return tuple(Reason(target, why, _subjects(group)) for (target, why), group in groups.items())


def _bare(notice: Notice, titles: Mapping[str, str]) -> str:
    why = notice.why.removeprefix(f"{notice.what}: ")
    titled = max((title for title in titles.values() if why.startswith(f"{title} ")), key=len, default="")
    return why.removeprefix(titled).lstrip()


def _subjects(notices: Sequence[Notice]) -> tuple[Subject, ...]:
    found: dict[str, list[Notice]] = {}
    for notice in notices:
        found.setdefault(notice.what, []).append(notice)
    return tuple(
        Subject(what, tuple(dict.fromkeys(n.scenario for n in group if n.scenario not in ("", what))), len(group))
        for what, group in found.items()
    )
