"""Compares the evaluation of version ranges with the lists of versions that the advisories themselves enumerate.

    python benchmarks/advisory_ranges.py shared/data/pypa_advisories_2024-10.zip [--examples 3]

Three parts, each over everything there is, so without sampling error:

1. every version that an advisory lists: do its ranges hold it?
2. every version of the same package that only *other* advisories list: is it outside of the ranges?
3. versions made up beside every event and at the ends of every list (pre-, post-, development and local releases, next
   patch): does the answer equal that of ``univers``, and what the listed versions on both sides say?

The product answers with the union of list and ranges, as the OSV schema asks; here both are compared apart. Target:
no difference without an explanation.
"""

from __future__ import annotations

import argparse
import bisect
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from packaging.version import InvalidVersion, Version
from univers.version_constraint import VersionConstraint
from univers.version_range import PypiVersionRange
from univers.versions import PypiVersion

from threatloop.supply_chain.ranges import AffectedVersions
from threatloop.threats.advisories import Advisory, AdvisorySet, Affected, package_key, read_advisories

Listing = dict[tuple[str, str], dict[str, list[Advisory]]]
"""By package: each version, and the advisories that list it."""


class Tally:
    """Counts of each class, with a few examples."""

    def __init__(self, title: str) -> None:
        self.title, self.counts = title, Counter[str]()
        self.examples: defaultdict[str, list[str]] = defaultdict(list)
        self.advisories: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, kind: str, advisory: Advisory, affected: Affected, version: str) -> None:
        """One more of a class."""
        self.counts[kind] += 1
        self.advisories[kind].add(advisory.id)
        self.examples[kind].append(f"{advisory.id} {affected.package} {version}")

    def show(self, examples: int) -> None:
        """Print all classes, the most frequent first."""
        total = sum(self.counts.values())
        print(f"\n{self.title}: n = {total:,}")
        for kind, count in self.counts.most_common():
            print(f"  {count:>9,}  {kind}  ({len(self.advisories[kind]):,} advisories)")
            if not kind.startswith("="):
                found = self.examples[kind]
                for example in found[:: max(1, len(found) // examples)][:examples]:
                    print(f"             {example}")


def version_of(text: str) -> Version | None:
    """The version, or nothing where it is none in the sense of PEP 440."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def events(affected: Affected) -> list[tuple[str, Version | None]]:
    """Kind and version of all events that order versions; nothing stands for before all."""
    return [
        (event.kind, None if event.version == "0" else version_of(event.version))
        for one in affected.ranges
        if one.type != "GIT"
        for event in one.events
    ]


def listed(ready: AffectedVersions, affected: Affected, version: str) -> str:
    """The class of a listed version."""
    if not ready.has_ranges:
        return "listed, and the advisory has no ranges"
    place = version_of(version)
    if ready.spans(version):
        return (
            "= listed and in a range" if place else "= listed, no PEP 440 version, in a range from the first version on"
        )
    if place is None:
        return "DIFFERENCE: listed, no PEP 440 version, in no range"
    found = events(affected)
    if place.is_prerelease and any(kind == "introduced" and at == Version(place.base_version) for kind, at in found):
        return "listed, a pre-release of the version that the range begins with"
    if any(kind == "fixed" and at and at.base_version == place.base_version and at <= place for kind, at in found):
        pieces = zip(found[::2], found[1::2], strict=False)
        if any((low[1] is None or low[1] <= place) and high[1] and place < high[1] for low, high in pieces):
            return "listed, in one piece of a range whose pieces overlap: the schema's algorithm stops at the first fix"
        return "listed, the very version that the range calls fixed, or a post-release of it"
    return "DIFFERENCE: listed, in no range"


def unlisted(ready: AffectedVersions, advisory: Advisory, version: str, others: list[Advisory]) -> str:
    """The class of a version that only other advisories list."""
    if ready.lists(version):
        return "= listed in another spelling"
    if not ready.has_ranges:
        return "= unlisted, and the advisory has no ranges"
    if not ready.spans(version):
        return "= unlisted and in no range"
    times = [other.modified for other in others if other.modified and advisory.modified]
    later = sum(time > advisory.modified for time in times if advisory.modified)
    if later == len(times):
        return (
            "unlisted, in a range: only advisories of later date list it, so it was not there when this list was made"
        )
    if later == 0:
        return "unlisted, in a range: only advisories of earlier date list it, so it had left the index by then"
    return "unlisted, in a range: left out of this list, while advisories of earlier and of later date list it"


def neighbours(version: Version) -> Iterator[str]:
    """Versions around one, whether or not they were ever released."""
    base, release = version.public, version.release
    yield from (f"{base}+local.1", f"{version.base_version}.post1", f"{version.base_version}.1")
    yield from (f"{version.base_version}.dev1", f"{version.base_version}a1", f"{version.base_version}rc1")
    for place in range(len(release)):
        yield ".".join(map(str, (*release[:place], release[place] + 1)))


def oracle(affected: Affected) -> PypiVersionRange | None:
    """The ranges as ``univers`` reads them; nothing where it cannot."""
    words = {"introduced": ">=", "fixed": "<", "last_affected": "<="}
    found = [(words[kind], at) for kind, at in events(affected) if kind in words]
    if any(at is None and word != ">=" for word, at in found):
        return None
    constraints = [
        VersionConstraint(comparator=word, version=PypiVersion(str(at) if at else "0.dev0")) for word, at in found
    ]
    places = sorted(constraint.version for constraint in constraints)
    words_in_order = [one.comparator for one in sorted(constraints, key=lambda one: one.version)]
    if len(set(places)) < len(places) or any(a == b for a, b in pairwise(words_in_order)):
        return None  # Overlapping pieces: no range in the sense of the vers specification.
    return PypiVersionRange(constraints=tuple(sorted(constraints)))


def made_up(
    ready: AffectedVersions, affected: Affected, known: list[Version], real: frozenset[Version]
) -> Iterator[tuple[str, str]]:
    """Class and version of every version made up around the events and the ends of the list."""
    own = sorted(place for text in affected.versions if (place := version_of(text)))
    around = {at for _, at in events(affected) if at} | set(own[:1]) | set(own[-1:])
    names = sorted({name for place in around for name in neighbours(place) if Version(name) not in real})
    slow, listed_versions = oracle(affected), frozenset(own)
    for name in names:
        answer, place = ready.spans(name), Version(name)
        if slow is None:
            yield "not compared: the pieces of the range overlap, which univers does not take", name
        elif (PypiVersion(place.public) in slow) != answer:
            yield "DIFFERENCE: univers answers otherwise", name
        else:
            yield sides(answer, place, known, listed_versions, affected), name


def sides(answer: bool, place: Version, known: list[Version], own: frozenset[Version], affected: Affected) -> str:
    """Whether the answer is that of the known versions next to it."""
    at = bisect.bisect(known, Version(place.public))
    below, above = known[max(0, at - 1) : at], known[at : at + 1]
    said = {one in own for one in (*below, *above)}
    if len(below) + len(above) < 2 or len(said) == 2:
        return "= as univers; the known versions next to it differ, or there is one only"
    if answer in said:
        return "= as univers and as the known versions on both sides"
    if any(at and below[0] <= at <= above[0] for _, at in events(affected)):
        return "as univers, unlike both sides: an event lies between the known versions"
    return "as univers, unlike both sides: the list differs from the range there, see part 1 and 2"


def listings(advisories: AdvisorySet) -> Listing:
    """Which advisories list each version of each package."""
    found: Listing = defaultdict(lambda: defaultdict(list))
    for advisory in advisories.advisories:
        for affected in advisory.affected:
            for version in affected.versions:
                found[package_key(affected.ecosystem, affected.package)][version].append(advisory)
    return found


def main() -> None:
    """Print the classes of all three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("advisories", type=Path)
    parser.add_argument("--examples", type=int, default=3)
    options = parser.parse_args()
    advisories = read_advisories(options.advisories)
    parts = Tally("1. listed versions"), Tally("2. versions that only other advisories list"), Tally("3. made up")
    versions = listings(advisories)
    begun = time.perf_counter()
    for advisory in advisories.advisories:
        for affected in advisory.affected:
            names = versions[package_key(affected.ecosystem, affected.package)]
            ready, own = AffectedVersions(affected), set(affected.versions)
            for version in affected.versions:
                parts[0].add(listed(ready, affected, version), advisory, affected, version)
                if not ready.verdict(version).affected:
                    parts[0].add("DIFFERENCE: listed, and yet the answer is not affected", advisory, affected, version)
            for version in names.keys() - own:
                parts[1].add(unlisted(ready, advisory, version, names[version]), advisory, affected, version)
            if ready.has_ranges:
                known = sorted({place for text in names if (place := version_of(text))})
                for kind, version in made_up(ready, affected, known, frozenset(known)):
                    parts[2].add(kind, advisory, affected, version)
    print(f"{len(advisories.advisories):,} advisories, {len(advisories.problems)} problems")
    for part in parts:
        part.show(options.examples)
    wrong = sum(count for part in parts for kind, count in part.counts.items() if kind.startswith("DIFFERENCE"))
    print(f"\ndifferences without an explanation: {wrong}   target 0   ({time.perf_counter() - begun:.1f} s)")


if __name__ == "__main__":
    main()
