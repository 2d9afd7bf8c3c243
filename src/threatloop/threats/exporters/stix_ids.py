"""Identifiers of a STIX bundle: the same for the same thing in every export, on every machine."""

from __future__ import annotations

import os
import re
import uuid
from datetime import UTC, datetime
from typing import Final

from threatloop.core.errors import InputError
from threatloop.threats.ontology import Edge, Node

NAMESPACE: Final = uuid.UUID("6a2c9f0e-43f1-5d0b-9c56-0d7f3b1e8a24")
"""Of UUIDv5 names; not the one that STIX keeps for what observable objects are made of."""
CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When every object counts as created: STIX wants one time for one identifier."""
_EPOCH: Final = "SOURCE_DATE_EPOCH"


def identifier(kind: str, name: str) -> str:
    """``kind--uuid``, of STIX section 2.9, from the name of a thing."""
    sound = name.encode("utf-8", "backslashreplace").decode()  # half a character has no bytes to digest
    return f"{kind}--{uuid.uuid5(NAMESPACE, f'{kind}|{sound}')}"


def of_edge(edge: Edge) -> str:
    """The identifier of the relationship object of an edge; provenance tells apart what has the same ends."""
    return identifier("relationship", "\x00".join((edge.source, edge.relation, edge.target, edge.provenance)))


def modified() -> datetime:
    """When the objects of this export count as modified: now, or ``SOURCE_DATE_EPOCH`` for equal bytes.

    Raises:
        InputError: the variable is set and is no number of seconds.
    """
    given = os.environ.get(_EPOCH)
    if given is None:
        return max(CREATED, datetime.now(UTC))
    try:
        return max(CREATED, datetime.fromtimestamp(int(given), UTC))
    except (ValueError, OverflowError, OSError):
        raise InputError(f"{_EPOCH}={given!r}: needs a whole number of seconds since 1970") from None


_ATLAS: Final = {"AML.TA": "tactics", "AML.T": "techniques", "AML.M": "mitigations", "AML.CS": "studies"}
_ATLAS_ID: Final = re.compile(r"(AML\.(?:TA|T|M|CS))\d{4}(?:\.\d{3})?")
_CVE: Final = re.compile(r"CVE-\d{4}-\d{4,}")
_ADVISORY: Final = re.compile(r"(?:GHSA(?:-[0-9a-z]{4}){3}|(?:PYSEC|OSV|RUSTSEC|GO|MAL)-\d{4}-\d+)")
_CWE: Final = re.compile(r"CWE-(\d{1,5})")


def reference(name: str) -> dict[str, str] | None:
    """The external reference of an outside id, with its address; None for any other name."""
    if found := _ATLAS_ID.fullmatch(name):
        return _reference("mitre-atlas", name, f"https://atlas.mitre.org/{_ATLAS[found[1]]}/{name}")
    if _CVE.fullmatch(name):
        return _reference("cve", name, f"https://www.cve.org/CVERecord?id={name}")
    if _ADVISORY.fullmatch(name):
        return _reference("osv", name, f"https://osv.dev/vulnerability/{name}")
    if found := _CWE.fullmatch(name):
        return _reference("cwe", name, f"https://cwe.mitre.org/data/definitions/{found[1]}.html")
    return None


def references(node: Node) -> list[dict[str, str]]:
    """The external references of a node: of its id, and of every outside id among its attributes."""
    names = dict.fromkeys([node.id])
    for value in node.attributes.values():
        names |= dict.fromkeys(value if isinstance(value, tuple) else [str(value)])
    return [found for name in names if (found := reference(name))]


def _reference(source: str, name: str, url: str) -> dict[str, str]:
    return {"source_name": source, "external_id": name, "url": url}
