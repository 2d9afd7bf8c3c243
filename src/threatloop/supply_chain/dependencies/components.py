"""Dependencies as components of a bill of materials: each package once, with its package URL and what it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.purls import purl_type
from threatloop.supply_chain.result import Place


@dataclass(frozen=True)
class Component:
    """One package in one version, or without one where only a range is known.

    Attributes:
        name, version: as they are written; the version is empty where none is known.
        purl: package URL; unique among components.
        hashes: ``sha256:…`` of its files, in order.
        places: where it was read.
        needs: package URLs of what it depends on.
        direct: whether the project itself asks for it, in any of the places; nothing where no place tells.
    """

    name: str
    version: str
    purl: str
    hashes: tuple[str, ...]
    places: tuple[Place, ...]
    needs: tuple[str, ...]
    direct: bool | None


def components(reading: Reading) -> tuple[Component, ...]:
    """The packages that were read, in the order of their package URLs."""
    found: dict[str, list[Dependency]] = {}
    for one in reading.dependencies:
        found.setdefault(purl(one), []).append(one)
    by_name: dict[str, list[str]] = {}
    for url, all_ in found.items():
        by_name.setdefault(all_[0].key[1], []).append(url)
    needs: dict[str, set[str]] = {}
    for source, other in reading.edges:
        needs.setdefault(source, set()).update(by_name.get(other, ()))
    return tuple(_component(url, found[url], needs) for url in sorted(found))


def _component(url: str, all_: list[Dependency], needs: dict[str, set[str]]) -> Component:
    told = [one.direct for one in all_ if one.direct is not None]
    return Component(
        all_[0].name,
        all_[0].version,
        url,
        tuple(dict.fromkeys(value for one in all_ for value in one.hashes)),
        tuple(dict.fromkeys(one.place for one in all_)),
        tuple(sorted(needs.get(all_[0].key[1], set()) - {url})),
        any(told) if told else None,
    )


def purl(one: Dependency) -> str:
    """The package URL of a dependency, without qualifiers."""
    kind, joint = purl_type(one.ecosystem)
    name = one.key[1]
    path = "/".join(quote(part, safe="") for part in (name.split(joint) if joint else [name]))
    return f"pkg:{kind}/{path}" + (f"@{quote(one.version, safe='')}" if one.version else "")
