"""A release of MITRE ATLAS as its YAML file states it, checked.

The schema of releases 4 and 5: on top ``id: ATLAS``, ``version``, ``matrices`` of tactics, techniques and mitigations,
and ``case-studies`` with labelled steps. https://github.com/mitre-atlas/atlas-data
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from threatloop.core.errors import InputError, Problems
from threatloop.threats import plain_yaml
from threatloop.threats.files import MIB, read_bounded
from threatloop.threats.importers.problem_list import shortened

MOST_BYTES: Final = 64 * MIB
_LINK: Final = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")
_SHAPES: Final = {"tactic": r"AML\.TA\d{4}", "technique": r"AML\.T\d{4}(\.\d{3})?", "mitigation": r"AML\.M\d{4}"}

TacticId = Annotated[str, StringConstraints(pattern=f"^{_SHAPES['tactic']}$")]
TechniqueId = Annotated[str, StringConstraints(pattern=f"^{_SHAPES['technique']}$")]
MitigationId = Annotated[str, StringConstraints(pattern=f"^{_SHAPES['mitigation']}$")]
StudyId = Annotated[str, StringConstraints(pattern=r"^AML\.CS\d{4}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Entry(_Part):
    """What tactics, techniques and mitigations share."""

    name: str
    description: str = ""
    modified_date: str = ""

    @property
    def text(self) -> str:
        return plain(self.description)


class Tactic(Entry):
    id: TacticId


class Technique(Entry):
    """A technique, or a sub-technique where it has a ``parent``; those state no tactics of their own."""

    id: TechniqueId
    tactics: tuple[TacticId, ...] = ()
    parent: TechniqueId | None = Field(None, alias="subtechnique-of")
    maturity: str = ""


class Use(_Part):
    id: TechniqueId
    use: str = ""


class Mitigation(Entry):
    id: MitigationId
    techniques: tuple[Use, ...] = ()
    category: tuple[str, ...] = ()


class Step(_Part):
    """One labelled step of a case study."""

    tactic: TacticId
    technique: TechniqueId
    description: str = ""


class CaseStudy(_Part):
    id: StudyId
    name: str
    summary: str = ""
    procedure: tuple[Step, ...] = ()
    kind: str = Field("", alias="case-study-type")
    date: str = Field("", alias="incident-date")
    target: str = ""
    actor: str = ""


class _Matrix(_Part):
    tactics: tuple[Tactic, ...]
    techniques: tuple[Technique, ...]
    mitigations: tuple[Mitigation, ...] = ()


class Release(_Part):
    """A whole release; `read_release` has checked that every id it names exists in it."""

    version: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    matrices: tuple[_Matrix, ...]
    case_studies: tuple[CaseStudy, ...] = Field((), alias="case-studies")

    @property
    def tactics(self) -> tuple[Tactic, ...]:
        """In the order of the matrix."""
        return tuple(one for matrix in self.matrices for one in matrix.tactics)

    @property
    def techniques(self) -> tuple[Technique, ...]:
        return tuple(one for matrix in self.matrices for one in matrix.techniques)

    @property
    def mitigations(self) -> tuple[Mitigation, ...]:
        return tuple(one for matrix in self.matrices for one in matrix.mitigations)

    @property
    def ids(self) -> frozenset[str]:
        """Every id that the release knows."""
        return frozenset(one.id for part in _PARTS for one in getattr(self, part))


_PARTS: Final = ("tactics", "techniques", "mitigations", "case_studies")


def read_release(path: Path) -> Release:
    """Read and check a release file.

    Raises:
        InputError: no file, no YAML, or no ATLAS release in a schema that is known; one line.
        Problems: a known schema with mistakes; all of them.
    """
    try:
        raw = plain_yaml.load(read_bounded(path, MOST_BYTES))
    except plain_yaml.PlainYamlError as error:
        raise InputError(f"{path}: {error}") from None
    _recognise(path, raw)
    try:
        release = Release.model_validate(raw)
    except ValidationError as error:
        found = [f"{_place(one['loc'])}: {one['msg']}" for one in error.errors(include_url=False, include_input=False)]
        raise Problems(str(path), shortened(found)) from None
    if wrong := [*_repeated(release), *_dangling(release)]:
        raise Problems(str(path), shortened(wrong))
    return release


def plain(markdown: str) -> str:
    """Text of a release with its links reduced to their words, in one paragraph."""
    return " ".join(_LINK.sub(r"\1", markdown).split())


def _recognise(path: Path, raw: Any) -> None:
    needed = ("id", "version", "matrices")
    lacking = [name for name in needed if not raw.get(name)] if isinstance(raw, dict) else list(needed)
    if lacking or raw["id"] != "ATLAS":
        what = f"it lacks {', '.join(lacking)}" if lacking else f"its id is {str(raw['id'])[:40]!r}"
        raise InputError(
            f"{path}: is no ATLAS release in a schema that is known ({what}); give ATLAS.yaml of a release 4 or 5, "
            "with id: ATLAS, version and matrices on top"
        )


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts)


def _repeated(release: Release) -> list[str]:
    seen: set[str] = set()
    twice = []
    for part in _PARTS:
        for one in getattr(release, part):
            if one.id in seen:
                twice.append(f"{one.id}: is there twice")
            seen.add(one.id)
    return twice


def _dangling(release: Release) -> list[str]:
    named = [(one.id, tactic) for one in release.techniques for tactic in one.tactics]
    named += [(one.id, one.parent) for one in release.techniques if one.parent is not None]
    named += [(one.id, use.id) for one in release.mitigations for use in one.techniques]
    named += [
        (f"{study.id} step {i}", id_)
        for study in release.case_studies
        for i, step in enumerate(study.procedure, 1)
        for id_ in (step.tactic, step.technique)
    ]
    ids = release.ids
    return [f"{where}: names {id_}, which the release does not have" for where, id_ in named if id_ not in ids]
