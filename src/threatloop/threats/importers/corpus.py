"""A corpus of repositories as JSON lines, one repository a line, and the graph of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from threatloop.core.errors import InputError, Problems
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.corpus_record import RepositoryRecord, VulnerabilityRecord
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Attribute, Edge, Evidence, Kind, Node, Relation, package_id

LINE_BYTES = 64 << 20
"""Longest line that is read."""


def read_corpus(path: Path) -> tuple[RepositoryRecord, ...]:
    """The repositories of a JSON-lines file; empty lines are passed over.

    Raises:
        Problems: every line that is no repository, by its number, with what is wrong in it.
        InputError: the file cannot be read.
    """
    records: list[RepositoryRecord] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        found, wrong = _parsed(line)
        problems += [f"line {number}: {text}" for text in wrong]
        if found is None:
            continue
        records.append(found)
        first = seen.setdefault(found.repository, number)
        if first != number:
            problems.append(f"line {number}: repository {found.repository!r} is on line {first} already; join the two")
    if not records and not problems:
        problems.append("no repository in it; each line is a JSON object with repository, packages and vulnerabilities")
    if problems:
        raise Problems(str(path), shortened(problems))
    return tuple(records)


def corpus_graph(records: Iterable[RepositoryRecord], provenance: str) -> ThreatGraph:
    """Repositories that depend on packages, and vulnerabilities that affect packages and, through them, repositories.

    Ids that are aliases of one another become one vulnerability. Its node carries the label as ``severity``.

    Args:
        provenance: of every edge, such as the file's name.
    """
    records = tuple(records)
    graph = ThreatGraph()
    canonical = _canonical(records)
    for record in records:
        repository = f"repository:{record.repository}"
        graph.add(Node(repository, Kind.REPOSITORY, record.repository))
        for one in record.packages:
            package = package_id(one.ecosystem, one.name)
            graph.add(Node(package, Kind.PACKAGE, one.name, attributes={"ecosystem": one.ecosystem}))
            facts: dict[str, Attribute] = {"version": one.version, "direct": one.direct}
            graph.connect(
                Edge(repository, Relation.DEPENDS_ON, package, provenance, Evidence.PUBLISHED, attributes=facts)
            )
        packages = packages_of(record)
        for found in record.vulnerabilities:
            target = package_of(packages, found)
            if target is None:  # read_corpus refuses such a line
                raise InputError(f"{record.repository}: {found.id} names no package of the repository")
            _add_vulnerability(graph, found, canonical[found.id])
            _affect(graph, repository, target, found, canonical[found.id], provenance)
    return graph


def _add_vulnerability(graph: ThreatGraph, found: VulnerabilityRecord, id_: str) -> None:
    """The node, joined with what earlier lines said of it; the first severity that was given stays."""
    aliases = {found.id, *found.aliases}
    facts: dict[str, Attribute] = {"cwe": tuple(sorted(found.cwe))}
    if found.severity is not None:
        facts["severity"] = found.severity
    summary = found.summary
    if id_ in graph:
        old = graph.node(id_)
        facts = {**facts, **{name: value for name, value in old.attributes.items() if value}}
        aliases |= set(_texts(old, "aliases"))
        summary = max(summary, old.text, key=len)
    facts["aliases"] = tuple(sorted(aliases - {id_}))
    graph.add(Node(id_, Kind.VULNERABILITY, id_, summary, facts))


def _affect(
    graph: ThreatGraph, repository: str, package: str, found: VulnerabilityRecord, id_: str, provenance: str
) -> None:
    days = {name: getattr(found, name) for name in ("fixed_released", "patched", "observed")}
    facts: dict[str, Attribute] = {name: day.isoformat() for name, day in days.items() if day is not None}
    facts["through"] = package
    graph.connect(Edge(id_, Relation.AFFECTS, package, provenance, Evidence.PUBLISHED))
    through = f"{provenance}, through {package}"
    graph.connect(Edge(id_, Relation.AFFECTS, repository, through, Evidence.PUBLISHED, attributes=facts))


def packages_of(record: RepositoryRecord) -> dict[str, set[str]]:
    """Ids of the repository's packages by ecosystem."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    for one in record.packages:
        held[one.ecosystem].add(package_id(one.ecosystem, one.name))
    return held


def package_of(packages: dict[str, set[str]], found: VulnerabilityRecord) -> str | None:
    """Id of the one package of the repository that the vulnerability names; nothing where it is none or several."""
    wanted = {
        id_
        for ecosystem, ids in packages.items()
        if found.ecosystem is None or found.ecosystem.lower() == ecosystem.lower()
        if (id_ := package_id(ecosystem, found.package)) in ids
    }
    return wanted.pop() if len(wanted) == 1 else None


def _parsed(line: bytes) -> tuple[RepositoryRecord | None, list[str]]:
    if len(line) > LINE_BYTES:
        return None, [f"longer than {LINE_BYTES >> 20} MiB; one repository a line"]
    try:
        line.decode("utf-8")
        record = RepositoryRecord.model_validate_json(line)
    except UnicodeDecodeError as error:
        return None, [f"not UTF-8 at byte {error.start + 1}; save the file as UTF-8"]
    except ValidationError as error:
        return None, [_told(one["loc"], one["msg"]) for one in error.errors(include_url=False, include_context=False)]
    packages = packages_of(record)
    return record, [
        f"vulnerability {one.id}: package {one.package!r} is "
        "not exactly one of the line's packages; list it there, and give the ecosystem where several have the name"
        for one in record.vulnerabilities
        if package_of(packages, one) is None
    ]


def _told(place: tuple[str | int, ...], message: str) -> str:
    where = ".".join(str(part) for part in place)
    return f"{where}: {message}" if where else message


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers from 1, without empty ones; of an overlong line, just enough to see that it is."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                whole = line
                while len(whole) > LINE_BYTES and not whole.endswith(b"\n"):
                    whole = file.readline(LINE_BYTES + 1)
                    if not whole:
                        break
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give a JSON-lines file") from error


def _canonical(records: Iterable[RepositoryRecord]) -> dict[str, str]:
    """For every id and alias, the id that stands for them all: the CVE where there is one, else the first by name."""
    above: dict[str, str] = {}

    def root(name: str) -> str:
        above.setdefault(name, name)
        while above[name] != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for record in records:
        for found in record.vulnerabilities:
            for alias in found.aliases:
                above[root(alias)] = root(found.id)
            root(found.id)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in list(above):
        groups[root(name)].append(name)
    chosen = {top: min(names, key=lambda name: (not name.startswith("CVE-"), name)) for top, names in groups.items()}
    return {name: chosen[root(name)] for name in above}


def _texts(node: Node, name: str) -> tuple[str, ...]:
    value = node.attributes.get(name, ())
    return value if isinstance(value, tuple) else (str(value),)
