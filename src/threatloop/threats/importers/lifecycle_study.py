"""Tables in the shape of the lifecycle study's (arXiv 2512.23132): CVEs linked to issues of repositories.

``cve_repository.csv`` is needed: a row links a CVE to a repository and to a dependency. ``dependency_cve.csv`` (further
pairs of CVE and dependency) and ``repositories.csv`` (stars, size, dates) are read where they are there.
The study's columns of impacts and of related attacks are not read: CVSS scores are made of the same impacts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from threatloop.core.errors import Problems
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.importers.corpus_record import WORDS, severity_word
from threatloop.threats.importers.csv_table import Row, read_table
from threatloop.threats.importers.problem_list import shortened
from threatloop.threats.ontology import Edge, Evidence, Kind, Node, Relation, package_id

MAIN, PAIRS, REPOSITORIES = "cve_repository.csv", "dependency_cve.csv", "repositories.csv"
_CVE, _DEPENDENCY = "CVE ID", "CPE dependency name"
_REPOSITORY, _CWE, _SEVERITY, _TEXT = "GHIssue", "CWE name", "CVE severity", "Description"
_VERSION = "CPE dependency version"
_ID = re.compile(r"CVE-\d{4}-\d{4,}")
UNKNOWN = frozenset({"", "[]", "nan"})
"""What the study writes where it knows no dependency."""
ECOSYSTEM = "cpe"


@dataclass(frozen=True)
class Study:
    """What was read.

    Attributes:
        graph: repositories depend on packages; vulnerabilities affect packages, and repositories with an issue of it.
        rows: of ``cve_repository.csv``.
        skipped: what was not read or not used, and why.
    """

    graph: ThreatGraph
    rows: int
    skipped: tuple[str, ...]


def read_study(folder: Path) -> Study:
    """The study's tables as a graph.

    Raises:
        Problems: everything that is wrong in any of the tables, by file and line.
        InputError: a table cannot be read at all.
    """
    problems: list[str] = []
    main = read_table(folder / MAIN, (_CVE, _REPOSITORY, _CWE, _SEVERITY, _DEPENDENCY, _TEXT), problems)
    skipped: list[str] = []
    tables: dict[str, list[Row]] = {}
    for name, columns in ((PAIRS, (_DEPENDENCY, _CVE)), (REPOSITORIES, ("repository",))):
        if (folder / name).exists():
            tables[name] = read_table(folder / name, columns, problems)
        else:
            skipped.append(f"{name}: not there")
    problems += _wrong(main)
    pairs = _pairs(tables.get(PAIRS, []), problems)
    if problems:
        raise Problems(str(folder), shortened(problems))
    graph = ThreatGraph()
    _add_nodes(graph, main, tables.get(REPOSITORIES, []))
    skipped += _connect(graph, main)
    skipped += _connect_pairs(graph, pairs)
    return Study(graph, len(main), tuple(skipped))


def _wrong(rows: list[Row]) -> list[str]:
    """What is wrong in the main table: single cells, and rows of one CVE that contradict each other."""
    problems: list[str] = []
    said: dict[str, tuple[object, str]] = {}
    for row in rows:
        cve = row[_CVE]
        if _ID.fullmatch(cve) is None:
            problems.append(f"{row.place}: {_CVE} {cve!r} is no CVE id such as CVE-2024-1234")
        if not row[_REPOSITORY]:
            problems.append(f"{row.place}: {_REPOSITORY} is empty; name the repository")
        severity = _severity(row)
        if severity is not None and severity not in WORDS:
            problems.append(f"{row.place}: {_SEVERITY} {row[_SEVERITY]!r} is none of {', '.join(WORDS)}, or empty")
        first, where = said.setdefault(cve, (severity, row.place))
        if first != severity:
            problems.append(f"{row.place}: {cve} is {severity} here and {first} in {where}; a CVE has one severity")
    return problems


def _severity(row: Row) -> object | None:
    """A word where there is one; a number of text is a score."""
    text = row[_SEVERITY]
    if not text:
        return None
    try:
        return severity_word(float(text))
    except ValueError:
        return severity_word(text)


def _pairs(rows: list[Row], problems: list[str]) -> list[tuple[str, str]]:
    found = []
    for row in rows:
        for part in row[_CVE].split(","):
            if _ID.fullmatch(cve := part.strip()) is None:
                problems.append(f"{row.place}: {_CVE} {cve!r} is no CVE id such as CVE-2024-1234")
            found.append((row[_DEPENDENCY], cve))
    return found


def _add_nodes(graph: ThreatGraph, main: list[Row], repositories: list[Row]) -> None:
    facts = {row["repository"]: row for row in repositories}
    for name in dict.fromkeys(row[_REPOSITORY] for row in main):
        known = facts.get(name)
        kept = ("created_at", "updated_at", "size", "num_stars", "num_forks")
        attributes = {key: known[key] for key in kept if known is not None and known[key]}
        graph.add(Node(_repository_id(name), Kind.REPOSITORY, name, attributes=attributes))
    for row in main:
        if (package := _package(row[_DEPENDENCY])) is not None:
            graph.add(package)
        severity, cwe = _severity(row), row[_CWE]
        attributes = {"severity": str(severity)} if severity is not None else {}
        node = Node(row[_CVE], Kind.VULNERABILITY, row[_CVE], row[_TEXT], {"cwe": (cwe,) if cwe else (), **attributes})
        if row[_CVE] not in graph or len(graph.node(row[_CVE]).text) < len(node.text):
            graph.add(node)


def _connect(graph: ThreatGraph, main: list[Row]) -> list[str]:
    versions: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    unknown: set[str] = set()
    for row in main:
        repository = _repository_id(row[_REPOSITORY])
        graph.connect(Edge(row[_CVE], Relation.AFFECTS, repository, MAIN, Evidence.PUBLISHED))
        package = _package(row[_DEPENDENCY])
        if package is None:
            unknown.add(row[_CVE])
            continue
        graph.connect(Edge(row[_CVE], Relation.AFFECTS, package.id, MAIN, Evidence.PUBLISHED))
        versions[repository, package.id][row[_VERSION]] = None
    for (repository, package_), seen in versions.items():
        facts = {"versions": tuple(sorted(filter(None, seen)))}
        graph.connect(Edge(repository, Relation.DEPENDS_ON, package_, MAIN, Evidence.PUBLISHED, attributes=facts))
    return [f"{len(unknown)} CVEs without a dependency: they affect their repositories only"] if unknown else []


def _connect_pairs(graph: ThreatGraph, pairs: list[tuple[str, str]]) -> list[str]:
    missing = 0
    for dependency, cve in pairs:
        package = _package(dependency)
        if package is None:
            continue
        if cve not in graph:
            missing += 1
            continue
        if package.id not in graph:
            graph.add(package)
        if graph.best(cve, Relation.AFFECTS, package.id) is None:
            graph.connect(Edge(cve, Relation.AFFECTS, package.id, PAIRS, Evidence.PUBLISHED))
    return [f"{PAIRS}: {missing} pairs whose CVE {MAIN} does not have"] if missing else []


def _package(dependency: str) -> Node | None:
    if dependency in UNKNOWN:
        return None
    return Node(package_id(ECOSYSTEM, dependency), Kind.PACKAGE, dependency, attributes={"ecosystem": ECOSYSTEM})


def _repository_id(name: str) -> str:
    return f"repository:{name}"
