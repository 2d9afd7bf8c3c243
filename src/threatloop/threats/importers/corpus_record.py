"""One line of a corpus: a repository, the packages it uses and the vulnerabilities that were found in them."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

WORDS = ("low", "medium", "high", "critical")
"""Severities from the mildest to the worst."""
_SYNONYMS = {"moderate": "medium", "important": "high"}
_LIMITS = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))
"""Lowest CVSS score of each word: the qualitative scale of CVSS v3.1, section 5."""


def severity_word(value: object) -> object:
    """A severity in the words of `WORDS`: other spellings, and CVSS scores in (0, 10], are turned into them.

    What is neither is returned as it is, for the schema to refuse.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        return _SYNONYMS.get(word, word)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value <= 10:
        return next((word for least, word in _LIMITS if value >= least), "low")
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Text = Annotated[str, StringConstraints(max_length=100_000)]
Severity = Annotated[Literal["low", "medium", "high", "critical"], BeforeValidator(severity_word)]
Cwe = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^(CWE-\d{1,6}|NVD-CWE-[A-Za-z]+)$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageRecord(_Record):
    """A package in use.

    Attributes:
        ecosystem: as OSV names it, such as ``PyPI`` or ``npm``.
        version: the version in use; empty where it is not pinned.
        direct: the repository asks for it itself; otherwise another package does.
    """

    ecosystem: Name
    name: Name
    version: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    direct: bool = True


class VulnerabilityRecord(_Record):
    """A vulnerability of one of the repository's packages.

    Attributes:
        id: of the advisory.
        aliases: other ids of the same vulnerability.
        package: name of the package of this line that has it.
        ecosystem: needed only where the line has packages of that name in several ecosystems.
        summary: the advisory's text.
        cwe: weakness classes, such as ``CWE-79``.
        severity: a word, or a CVSS score in (0, 10]. A label to learn from and to judge by, never a feature.
        fixed_released: day of the first release without it.
        patched: day on which the repository moved to a release without it; nothing while it has not.
        observed: last day on which the repository was looked at.
    """

    id: Name
    aliases: tuple[Name, ...] = ()
    package: Name
    ecosystem: Name | None = None
    summary: Text = ""
    cwe: tuple[Cwe, ...] = ()
    severity: Severity | None = None
    fixed_released: date | None = None
    patched: date | None = None
    observed: date | None = None


class RepositoryRecord(_Record):
    """One line of a corpus file."""

    repository: Name
    packages: tuple[PackageRecord, ...] = Field(default=(), max_length=100_000)
    vulnerabilities: tuple[VulnerabilityRecord, ...] = Field(default=(), max_length=100_000)
