"""A CycloneDX bill of materials in the graph: a repository, and the packages that it depends on."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from threatloop.threats.importers.cyclonedx import Bill, Component, read_bill
from threatloop.threats.importers.imported import Imported
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation, package_id

_PACKAGES: Final = frozenset({"library", "framework", "application", "", "operating-system", "platform"})
"""Types of components that are packages; others are files, data, models, devices and the like."""


def read_sbom(path: Path, repository: str = "") -> Imported:
    """The repository that a bill describes, its packages and their dependencies.

    The repository depends on every package of the bill, with the length of the shortest chain as ``depth`` (1: direct;
    0: the bill does not say how it comes in), and packages depend on packages as the bill has it.

    Args:
        repository: its name; that of the bill's subject, or of the file, where empty.

    Raises:
        InputError: no such file, or no CycloneDX.
    """
    bill = read_bill(path)
    name = repository or (bill.subject.name if bill.subject else path.stem)
    root = f"repository:{name}"
    packages = {one.ref: one for one in bill.components if one.kind in _PACKAGES}
    nodes = {node.id: node for node in map(_node, packages.values())}
    edges = (*_of_repository(root, bill, packages, path.name), *_between(bill, packages, path.name))
    other = [one for one in bill.components if one.kind not in _PACKAGES]
    left_out = [f"{path}: {one.name} left out, because a {one.kind} is no package" for one in other]
    subject = Node(root, Kind.REPOSITORY, name, attributes={"version": bill.subject.version if bill.subject else ""})
    told = tuple(shortened([*bill.problems, *left_out]))
    return Imported(path.name, (subject, *nodes.values()), edges, told)


def _id(one: Component) -> str:
    return package_id(one.ecosystem or "generic", one.name)


def _node(one: Component) -> Node:
    return Node(_id(one), Kind.PACKAGE, one.name, attributes={"ecosystem": one.ecosystem or "generic"})


def _of_repository(root: str, bill: Bill, packages: Mapping[str, Component], source: str) -> Iterator[Edge]:
    depths = _depths(bill)
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for ref, one in packages.items():
        found[_id(one)].append((depths.get(ref, 0), one.version))
    for target, ways in found.items():
        known = [depth for depth, _ in ways if depth]
        facts: dict[str, Attribute] = {"depth": min(known, default=0), "versions": _sorted(v for _, v in ways)}
        yield Edge(root, Relation.DEPENDS_ON, target, source, Evidence.PUBLISHED, attributes=facts)


def _sorted(versions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({version for version in versions if version}))


def _depths(bill: Bill) -> dict[str, int]:
    """By ref, the length of the shortest chain from the subject; cycles are walked once."""
    if bill.subject is None:
        return {}
    depths, queue = {bill.subject.ref: 0}, deque([bill.subject.ref])
    while queue:
        ref = queue.popleft()
        for needed in bill.needs.get(ref, ()):
            if needed not in depths:
                depths[needed] = depths[ref] + 1
                queue.append(needed)
    return depths


def _between(bill: Bill, packages: Mapping[str, Component], source: str) -> Iterator[Edge]:
    pairs = {
        (_id(packages[ref]), _id(packages[needed])): None
        for ref, needs in bill.needs.items()
        for needed in needs
        if ref in packages and needed in packages
    }
    for start, end in pairs:
        if start != end:
            yield Edge(start, Relation.DEPENDS_ON, end, source, Evidence.PUBLISHED)
