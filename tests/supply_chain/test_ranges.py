"""Version ranges: against a slow evaluation over an order written out, and against the advisories' own lists."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatloop.supply_chain.ranges import AffectedVersions, parsed
from threatloop.threats.advisories import Affected, Event, Range, package_key, read_advisories

ORDER = ["0.9", "1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1.9", "1.10", "2.0b1", "2.0", "2!0.1"]
"""Versions of PyPI in their order."""


def _affected(*events: tuple[str, str], versions: tuple[str, ...] = (), kind: str = "ECOSYSTEM") -> Affected:
    return Affected("PyPI", "x", (Range(kind, tuple(Event(*event) for event in events)),) if events else (), versions)


def _of(ecosystem: str, fixed: str) -> Affected:
    return Affected(ecosystem, "x", (Range("ECOSYSTEM", (Event("introduced", "0"), Event("fixed", fixed))),))


def _slowly(version: str, events: list[tuple[str, str]]) -> bool:
    """The pseudo-code of the OSV schema, on places in ORDER; ``0`` lies before all."""
    place = {name: number for number, name in enumerate(ORDER)} | {"0": -1}
    limits = [place[at] for kind, at in events if kind == "limit"]
    if limits and not any(place[version] < limit for limit in limits):
        return False
    vulnerable = False
    for kind, at in sorted(events, key=lambda event: place[event[1]]):
        if kind == "introduced" and place[version] >= place[at]:
            vulnerable = True
        elif (kind == "fixed" and place[version] >= place[at]) or (
            kind == "last_affected" and place[version] > place[at]
        ):
            vulnerable = False
    return vulnerable


_KINDS = st.sampled_from(["introduced", "fixed", "last_affected", "limit"])
_EVENTS = st.lists(st.tuples(_KINDS, st.sampled_from(ORDER)), max_size=5, unique_by=lambda event: event[1])


@given(_EVENTS, st.booleans(), st.sampled_from(ORDER))
def test_it_equals_the_schemas_algorithm(events: list[tuple[str, str]], from_start: bool, version: str) -> None:
    events = [*events, ("introduced", "0")] if from_start else events
    assert AffectedVersions(_affected(*events)).spans(version) == _slowly(version, events) if events else True


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("1.9", True),
        ("1.09", True),
        ("v1.9", True),
        ("1.10", False),
        ("1.10rc1", True),
        ("1.10.dev3", True),
        ("1.10+cu111", False),
        ("1.9+cu111", True),
        ("0.1-legacy-name", True),
        ("1.9.post1", True),
    ],
)
def test_neighbours_of_a_fix(version: str, affected: bool) -> None:
    assert AffectedVersions(_affected(("introduced", "0"), ("fixed", "1.10"))).verdict(version).affected is affected


def test_a_local_version_is_the_public_one_unless_the_range_names_local_ones() -> None:
    last = AffectedVersions(_affected(("introduced", "0"), ("last_affected", "1.9")))
    assert last.verdict("1.9+cu111").affected
    own = AffectedVersions(_affected(("introduced", "0"), ("fixed", "1.9+fixed.1")))
    assert not own.verdict("1.9+fixed.1").affected
    assert own.verdict("1.9").affected


def test_list_and_range_are_united() -> None:
    ready = AffectedVersions(_affected(("introduced", "2"), versions=("1.0", "2.0.0")))
    verdicts = {version: ready.verdict(version).by for version in ("1", "1.0.0", "1.1", "2.0", "3")}
    assert verdicts == {"1": "list", "1.0.0": "list", "1.1": "", "2.0": "list and range", "3": "range"}


def test_what_cannot_be_evaluated_is_told() -> None:
    broken = AffectedVersions(_affected(("introduced", "0"), ("fixed", "not a version")))
    assert not broken.verdict("1.0").affected
    assert "'not a version' is no version in the sense of PEP 440" in broken.verdict("1.0").unknown[0]
    commits = AffectedVersions(_affected(("introduced", "0"), kind="GIT"))
    assert commits.verdict("1.0").unknown == ("it names commits only",)
    assert AffectedVersions(_affected()).verdict("1").unknown == ("it names neither versions nor ranges",)
    other = AffectedVersions(Affected("Hackage", "x", (Range("ECOSYSTEM", (Event("introduced", "0"),)),)))
    assert other.verdict("1.0").unknown


@pytest.mark.parametrize(
    ("ecosystem", "low", "high"),
    [
        ("npm", "1.2.3-beta.2", "1.2.3"),
        ("crates.io", "0.9.0", "0.10.0"),
        ("Go", "v1.2.3", "v1.10.0"),
        ("Maven", "1.0-alpha-1", "1.0"),
        ("RubyGems", "1.0.a", "1.0"),
        ("NuGet", "1.0.0-rc", "1.0.0"),
        ("Packagist", "1.0.0", "1.0.1"),
        ("Debian:12", "1.0~rc1-1", "1.0-1"),
        ("Alpine:v3.18", "1.0_rc1-r0", "1.0-r0"),
        ("Red Hat", "1.0-1.el8", "1.0-2.el8"),
        ("conda", "1.9", "1.10"),
    ],
)
def test_orders_of_other_ecosystems(ecosystem: str, low: str, high: str) -> None:
    assert parsed(ecosystem, low) < parsed(ecosystem, high)
    ready = AffectedVersions(_of(ecosystem, high))
    assert ready.verdict(low).affected
    assert not ready.verdict(high).affected


@given(
    st.sampled_from(["npm", "Go", "Maven", "RubyGems", "NuGet", "Packagist", "Debian", "Alpine", "Red Hat"]), st.text()
)
def test_no_version_ends_the_scan(ecosystem: str, version: str) -> None:
    ready = AffectedVersions(_of(ecosystem, "1.0.0"))
    assert not ready.verdict("1.0.0").affected
    if not ready.verdict(version).affected:
        assert ready.verdict(version).unknown or parsed(ecosystem, version) is not None


@pytest.mark.slow
def test_every_listed_version_is_affected_and_nearly_all_by_the_ranges_alone(shared_data: Path) -> None:
    found = read_advisories(shared_data / "pypa_advisories_2024-10.zip")
    known: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for advisory in found.advisories:
        for affected in advisory.affected:
            known[package_key(affected.ecosystem, affected.package)].update(affected.versions)
    outside, unlisted = [], 0
    for advisory in found.advisories:
        for affected in advisory.affected:
            ready = AffectedVersions(affected)
            assert all(ready.verdict(version).affected for version in affected.versions)
            outside += [(affected.package, version) for version in affected.versions if not ready.spans(version)]
            others = known[package_key(affected.ecosystem, affected.package)] - set(affected.versions)
            unlisted += sum(ready.spans(version) and not ready.lists(version) for version in others)
    django = [("django", version) for version in ("3.2a1", "3.2b1", "3.2rc1", "4.2a1", "4.2b1", "4.2rc1")]
    gevent = [("gevent", version) for version in ("23.9.0", "23.9.0.post1")]
    assert sorted(outside) == sorted([*django, *gevent, ("gratient", "0.5"), ("wagtail", "2.11.6")])
    assert unlisted == 2186
