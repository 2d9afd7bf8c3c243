"""What passages are mapped to: the techniques of an ATLAS release, and its case-study steps as labelled examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from threatloop.core.errors import InputError, Problems
from threatloop.threats.evidence.wording import plain

MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Technique:
    """One technique.

    Attributes:
        id: such as ``AML.T0043.002``.
        name: with the parent's in front where it is a sub-technique: ``Craft Adversarial Data: Black-Box Transfer``.
        own: the name alone.
        text: its description, plain.
    """

    id: str
    name: str
    own: str
    text: str


@dataclass(frozen=True)
class Example:
    """A step of a case study, plain text, and the technique it is labelled with."""

    study: str
    technique: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Techniques in the release's order, and the examples whose technique is among them."""

    version: str
    techniques: tuple[Technique, ...]
    examples: tuple[Example, ...]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Technique(_Lenient):
    id: str = Field(pattern=r"^AML\.T\d{4}(\.\d{3})?$")
    name: str = Field(min_length=1)
    description: str = ""
    parent: str | None = Field(default=None, alias="subtechnique-of")


class _Step(_Lenient):
    technique: str
    description: str = ""


class _Study(_Lenient):
    id: str
    procedure: list[_Step] = []


class _Matrix(_Lenient):
    techniques: list[_Technique]


class _Release(_Lenient):
    version: str
    matrices: list[_Matrix] = Field(min_length=1)
    studies: list[_Study] = Field(default=[], alias="case-studies")


def read_corpus(path: Path) -> Corpus:
    """Techniques and labelled steps of an ATLAS release file (``ATLAS.yaml``, schema of release 4 and 5).

    Raises:
        InputError: no such file, too large, or no YAML.
        Problems: it is none of an ATLAS release; every place at once.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path}: {size >> 20} MiB; an ATLAS release has at most {MOST_BYTES >> 20}")
        found: Any = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a readable ATLAS release ({line}); take dist/ATLAS.yaml of one") from None
    try:
        release = _Release.model_validate(found)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()[:20]]
        raise Problems(f"{path}: not the schema of an ATLAS release", problems) from None
    return _corpus(release)


def _corpus(release: _Release) -> Corpus:
    own = {one.id: one for matrix in release.matrices for one in matrix.techniques}
    techniques = tuple(
        Technique(one.id, _full(one, own), one.name, plain(one.description)) for one in own.values()
    )
    examples = (
        Example(study.id, step.technique, plain(step.description)) for study in release.studies for step in study.procedure
    )
    return Corpus(release.version, techniques, tuple(one for one in examples if one.technique in own and one.text))


def _full(one: _Technique, own: dict[str, _Technique]) -> str:
    parent = own.get(one.parent or "")
    return f"{parent.name}: {one.name}" if parent else one.name


def studies(examples: Sequence[Example]) -> list[str]:
    """The case studies of these examples, each once, in their order."""
    return list(dict.fromkeys(one.study for one in examples))
