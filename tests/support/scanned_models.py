"""A corpus of model files and what the scan of it found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_corpus import Case
from threatloop.supply_chain.result import Finding, Open, Result, Severity


@dataclass(frozen=True)
class Scanned:
    """A corpus on disk and what the scan of all of it found."""

    cases: list[Case]
    paths: dict[str, Path]
    result: Result

    def findings(self, case: Case, at_least: Severity = Severity.MEDIUM) -> list[Finding]:
        """Those at the case's file or inside it."""
        return [f for f in self.result.findings if self._of(case, f.place.path) and f.severity.reaches(at_least)]

    def open_points(self, case: Case) -> list[Open]:
        """What was broken, or not looked at or not understood."""
        return [x for x in (*self.result.errors, *self.result.skipped) if self._of(case, x.place.path)]

    def _of(self, case: Case, place: str) -> bool:
        path = str(self.paths[case.name])
        return place == path or place.startswith(f"{path}!/")
