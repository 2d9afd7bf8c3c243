"""Malicious and benign model files, made when a test asks for them: never committed, never loaded.

What the malicious ones would run is inert: ``true`` in a shell, an expression without effect, the name of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from threatloop.supply_chain.result import Failure, Finding, Result, Severity, Skipped


@dataclass(frozen=True)
class Case:
    """One file, or a file with others beside it.

    Attributes:
        name: unique in the corpus.
        group: what kind of trick it is, or what kind of benign file.
        files: names and bytes; the first is the one that is scanned.
        broken: a loader would fail on it before anything ran, so that an error is as good an answer as a finding.
    """

    name: str
    group: str
    files: Mapping[str, bytes]
    broken: bool = False

    def write(self, folder: Path) -> Path:
        """Write the files into a folder of their own; returns the one to scan."""
        home = folder / self.name
        home.mkdir(parents=True)
        for name, data in self.files.items():
            (home / name).write_bytes(data)
        return home / next(iter(self.files))


@dataclass(frozen=True)
class Scanned:
    """A corpus on disk and what the scan of all of it found."""

    cases: list[Case]
    paths: dict[str, Path]
    result: Result

    def findings(self, case: Case, at_least: Severity = Severity.MEDIUM) -> list[Finding]:
        """Those at the case's file or inside it."""
        return [f for f in self.result.findings if self._of(case, f.place.path) and f.severity.reaches(at_least)]

    def open_points(self, case: Case) -> list[Failure | Skipped]:
        """What was broken, or not looked at or not understood."""
        entries: list[Failure | Skipped] = [*self.result.errors, *self.result.skipped]
        return [entry for entry in entries if self._of(case, entry.place.path)]

    def _of(self, case: Case, place: str) -> bool:
        path = str(self.paths[case.name])
        return place == path or place.startswith(f"{path}!/")


def malicious() -> list[Case]:
    """All malicious cases."""
    import corpus_archives
    import corpus_formats
    import corpus_pickles
    import corpus_templates

    return [
        *corpus_pickles.cases(),
        *corpus_archives.cases(),
        *corpus_formats.cases(),
        *corpus_templates.cases(),
    ]


def benign() -> list[Case]:
    """All benign cases."""
    import corpus_benign

    return corpus_benign.cases()
