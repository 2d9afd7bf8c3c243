"""A repository in the threat graph: what it depends on, from bills of materials, locks and manifests alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.scan import read_dependencies
from threatloop.supply_chain.result import Failure, Skipped
from threatloop.threats.importers.imported import Imported
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation, package_id


def read_repository(path: Path, name: str = "") -> Imported:
    """The repository, its packages, and which needs which.

    Args:
        path: a CycloneDX bill (JSON, XML), a lock, a manifest, or a folder that holds some.
        name: of the repository; the folder's name, or the file's without endings, where empty.

    Raises:
        InputError: no such path.
    """
    whole = path.absolute()
    return from_reading(read_dependencies([path]), name or (whole.name if path.is_dir() else whole.name.split(".")[0]))


def from_reading(reading: Reading, name: str) -> Imported:
    """The graph of what was read.

    The repository depends on every package, with the length of the shortest chain as ``depth`` (1: direct; 0: nothing
    says how it comes in); packages depend on packages as bills and locks have it.
    """
    source = f"manifests of {name}"
    root = Node(f"repository:{name}", Kind.REPOSITORY, name)
    packages: defaultdict[str, list[Dependency]] = defaultdict(list)
    for one in reading.dependencies:
        packages[_id(one)].append(one)
    nodes = [
        Node(id_, Kind.PACKAGE, found[0].name, attributes={"ecosystem": found[0].ecosystem})
        for id_, found in packages.items()
    ]
    direct = [
        Edge(root.id, Relation.DEPENDS_ON, id_, source, Evidence.PUBLISHED, attributes=_facts(found))
        for id_, found in packages.items()
    ]
    missed: list[Failure | Skipped] = [*reading.errors, *reading.skipped]
    told = [f"{one.place}: {one.reason}" for one in missed]
    return Imported(source, (root, *nodes), (*direct, *_between(reading, source)), tuple(shortened(told)))


def _id(one: Dependency) -> str:
    return package_id(*one.key)


def _facts(found: list[Dependency]) -> dict[str, Attribute]:
    depths = [len(one.path) for one in found if one.path]
    versions = tuple(sorted({one.version or one.specifier for one in found} - {""}))
    return {"depth": min(depths, default=0), "versions": versions}


def _between(reading: Reading, source: str) -> Iterator[Edge]:
    """Between all packages of the two names, since edges of a lock name no ecosystem."""
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for one in reading.dependencies:
        by_name[one.key[1]].add(_id(one))
    for needing, needed in sorted(reading.edges):
        for start in sorted(by_name[needing]):
            for end in sorted(by_name[needed] - {start}):
                yield Edge(start, Relation.DEPENDS_ON, end, source, Evidence.PUBLISHED)
