"""Reads the catalogue's files, checks every name in them, and reports all problems of all files at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from pydantic import ValidationError

from threatloop.core.catalogue import ATTACKS, DEFENCES, nearest
from threatloop.core.errors import InputError, Problems
from threatloop.threats.threat import Reference, Threat

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML was built without libyaml: the same, some ten times slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_REFERENCES = "references.yaml"


@lru_cache(maxsize=1)
def threats() -> tuple[Threat, ...]:
    """All threats that ship with threatloop, in the order of their files.

    Raises:
        Problems: a file of the catalogue was changed and is no longer valid; every problem of every file, with the
            file and the threat's id.
    """
    return read(resources.files(__package__))


def threat(slug: str) -> Threat:
    """The threat of this id, with or without ``threat:`` before it.

    Raises:
        InputError: there is none; names the nearest one.
    """
    wanted = slug.removeprefix("threat:")
    for one in threats():
        if one.id == wanted:
            return one
    hint = nearest(wanted, (one.id for one in threats()))
    raise InputError(f"no threat {slug!r} in the catalogue{hint}; `threatloop threats search` finds them by words")


def by_attack(name: str) -> tuple[Threat, ...]:
    """The threats that an attack of the catalogue of attacks measures; none for its baselines and controls."""
    return tuple(one for one in threats() if name in one.measured_by)


def check_atlas(known: Collection[str]) -> tuple[str, ...]:
    """What the catalogue cites of MITRE ATLAS and a release does not have, one line each.

    Args:
        known: ids of all techniques and mitigations of the release.
    """
    return tuple(
        f"{one.id}: the release has no {id_}"
        for one in threats()
        for id_ in (*one.techniques, *one.mitigations)
        if id_ not in known
    )


def read(folder: Traversable) -> tuple[Threat, ...]:
    """All threats of a folder of YAML files like the shipped one.

    Raises:
        Problems: anything in it is not valid.
    """
    problems: list[str] = []
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    references = _references(folder.joinpath(_REFERENCES), problems)
    found: dict[str, Threat] = {}
    for file in files:
        if file.name == _REFERENCES:
            continue
        for one in _rows(file, references, problems):
            if one.id in found:
                problems.append(f"{file.name}: {one.id}: the id is taken by another threat")
            found[one.id] = one
            problems += [f"{file.name}: {one.id}: {problem}" for problem in _names(one)]
    if not problems:  # a threat that could not be read would be missed once more by all that name it
        problems += _relations(found) + _uncited(found.values(), references)
    if problems:
        raise Problems("catalogue of threats", problems)
    return tuple(found.values())


def _document(file: Traversable, problems: list[str]) -> Any:
    try:
        return yaml.load(file.read_bytes(), Loader=_Loader)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{file.name}: cannot be read: {' '.join(str(error).split())}")
        return None


def _references(file: Traversable, problems: list[str]) -> dict[str, Reference]:
    rows = _document(file, problems)
    if not isinstance(rows, dict):
        problems.append(f"{file.name}: must map keys to references")
        return {}
    found = {}
    for key, row in rows.items():
        try:
            found[str(key)] = Reference.model_validate_json(json.dumps(row, default=str))
        except ValidationError as error:
            problems += [f"{file.name}: {key}: {line}" for line in _lines(error)]
    return found


def _rows(file: Traversable, references: Mapping[str, Reference], problems: list[str]) -> Iterator[Threat]:
    rows = _document(file, problems)
    if not isinstance(rows, list):
        problems.append(f"{file.name}: must be a list of threats")
        return
    for place, row in enumerate(rows, start=1):
        id_ = row.get("id", f"threat {place}") if isinstance(row, dict) else f"threat {place}"
        try:
            yield Threat.model_validate_json(json.dumps(row, default=str), context={"references": references})
        except ValidationError as error:
            problems += [f"{file.name}: {id_}: {line}" for line in _lines(error)]


def _lines(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        yield f"{where}: {message}" if where else message


def _names(one: Threat) -> Iterator[str]:
    wanted = (("measured_by", one.measured_by, ATTACKS.rows), ("controls", one.controls, ATTACKS.rows))
    for field, names, rows in (*wanted, ("defences", one.defences, DEFENCES.rows)):
        for name in names:
            if name not in rows:
                kind = "defence" if rows is DEFENCES.rows else "attack"
                yield f"{field}: no {kind} {name!r} in its catalogue{nearest(name, rows)}"


def _relations(found: Mapping[str, Threat]) -> list[str]:
    problems = []
    for one in found.values():
        for relation in one.relations:
            if relation.threat not in found:
                hint = nearest(relation.threat, found)
                problems.append(f"{one.id}: relations: no threat {relation.threat!r}{hint}")
            elif relation.threat == one.id:
                problems.append(f"{one.id}: relations: a threat does nothing for itself")
    return problems


def _uncited(found: Iterable[Threat], references: Mapping[str, Reference]) -> list[str]:
    cited = {reference for one in found for reference in one.references}
    cited |= {relation.source for one in found for relation in one.relations if relation.source}
    return [f"{_REFERENCES}: {key}: cited by no threat" for key, row in references.items() if row not in cited]
