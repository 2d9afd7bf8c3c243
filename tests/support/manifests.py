"""Manifests written to a folder and read; and small advisories to compare them with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from threatloop.supply_chain.dependencies.formats import read_manifest
from threatloop.supply_chain.dependencies.model import Reading
from threatloop.supply_chain.dependencies.session import Session
from threatloop.supply_chain.dependencies.target import Target, target
from threatloop.threats.advisories import Advisory, AdvisorySet, Affected, Event, Range

LINUX = target("3.11", "linux")


def tree(folder: Path, files: dict[str, str]) -> Path:
    """The folder with these files in it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


def read(folder: Path, files: dict[str, str], aim: Target = LINUX) -> Reading:
    """What the first of these files says, read with the others beside it."""
    session = Session(tree(folder, files), aim, Reading())
    read_manifest(session, folder / next(iter(files)))
    return session.reading


def shown(reading: Reading) -> list[str]:
    """Every dependency as a text, in order."""
    return [one.shown for one in reading.dependencies]


def reasons(found: Reading) -> list[str]:
    """Errors, then what was skipped, each as ``line: reason``."""
    wrong = [(one.place, one.reason) for one in found.errors] + [(one.place, one.reason) for one in found.skipped]
    return [f"{place.line}: {reason}" for place, reason in wrong]


def advisory(
    id_: str,
    package: str,
    *pieces: tuple[str, str],
    versions: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    vector: str = "",
    ecosystem: str = "PyPI",
    withdrawn: datetime | None = None,
) -> Advisory:
    """An advisory about one package, with ranges from the first to before the second version of each piece."""
    events = [Event(kind, at) for low, high in pieces for kind, at in (("introduced", low), ("fixed", high)) if at]
    ranges = (Range("ECOSYSTEM", tuple(events)),) if events else ()
    return Advisory(
        id_,
        aliases,
        f"About {package}",
        published=datetime(2024, 1, 1, tzinfo=UTC),
        withdrawn=withdrawn,
        severity=(("CVSS_V3", vector),) if vector else (),
        affected=(Affected(ecosystem, package, ranges, versions),),
    )


def advisories(*found: Advisory) -> AdvisorySet:
    """These, as a set."""
    return AdvisorySet(found)
