"""What a manifest says: dependencies, each with the place it was read from, and what of it was not understood."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from threatloop.supply_chain.result import Failure, Finding, Place, Result, Skipped
from threatloop.threats.advisories import package_key


@dataclass(frozen=True, slots=True)
class Dependency:
    """One package that something depends on. All texts are untrusted.

    Attributes:
        ecosystem: as OSV writes it, such as ``PyPI``; ``conda`` for packages of conda channels.
        name: as it is written.
        place: the manifest and the line.
        version: the only version that is meant; empty where there is a choice.
        specifier: which versions are meant, in the manifest's syntax made PEP 440's; empty where any or one is.
        marker: PEP 508's, empty where there is none; it holds for the target environment, or cannot be decided.
        group: of what the dependency is a part, such as ``dev`` or an extra's name; empty for the main part.
        hashes: ``sha256:…`` of its files.
        path: names from a direct dependency to this package, both included, see `paths`; empty where there is no graph.
        url: where it is taken from if not from an index; without user names and passwords.
        released: when the version in use was published, where the lock says so; aware, UTC.
    """

    ecosystem: str
    name: str
    place: Place
    version: str = ""
    specifier: str = ""
    marker: str = ""
    group: str = ""
    hashes: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    url: str = ""
    released: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Ecosystem and name in their normal form."""
        return package_key(self.ecosystem, self.name)

    @property
    def shown(self) -> str:
        """As a reader knows it: ``name==version``, or the name with its specifier."""
        return f"{self.name}=={self.version}" if self.version else f"{self.name}{self.specifier}"

    @property
    def direct(self) -> bool | None:
        """Whether something of the project itself asks for it; nothing where the manifest does not tell."""
        return len(self.path) == 1 if self.path else None


@dataclass(slots=True)
class Reading:
    """What was read of one or more manifests; filled while reading.

    Attributes:
        dependencies: in the order of the manifest.
        edges: the graph where the manifest has one: (name, name it depends on) as normal names.
        findings, errors, skipped, read: as of `Result`.
    """

    dependencies: list[Dependency] = field(default_factory=list)
    edges: set[tuple[str, str]] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    errors: list[Failure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    read: list[Place] = field(default_factory=list)

    def error(self, path: str, line: int | None, reason: str) -> None:
        """Note what should have been read and could not be."""
        self.errors.append(Failure(Place(path, line), reason))

    def skip(self, path: str, line: int | None, reason: str) -> None:
        """Note what was left out on purpose."""
        self.skipped.append(Skipped(Place(path, line), reason))

    def take(self, others: Iterable[Reading]) -> None:
        """Add what others hold."""
        for other in others:
            self.dependencies += other.dependencies
            self.edges |= other.edges
            self.findings += other.findings
            self.errors += other.errors
            self.skipped += other.skipped
            self.read += other.read

    def result(self) -> Result:
        """The three lists and what was read, without the dependencies."""
        return Result(tuple(self.findings), tuple(self.errors), tuple(self.skipped), tuple(self.read))
