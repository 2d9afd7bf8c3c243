"""Malicious and benign model files, made when a test asks for them: never committed, never loaded.

What the malicious ones would run is inert: ``true`` in a shell, an expression without effect, the name of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
