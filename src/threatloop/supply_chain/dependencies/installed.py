"""What is installed: the running interpreter's environment, or folders of packages such as a ``site-packages``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.paths import with_ways
from threatloop.supply_chain.dependencies.requirement import normal
from threatloop.supply_chain.dependencies.target import Target
from threatloop.supply_chain.result import Place


def read_installed(target: Target, folders: Sequence[Path] = ()) -> Reading:
    """Every installed distribution with its way from those that no other one needs.

    Args:
        target: for the markers of what they need.
        folders: where to look; the running interpreter's own path where empty.
    """
    found: Iterable[Distribution]
    found = distributions(path=[str(folder) for folder in folders]) if folders else distributions()
    reading = Reading()
    seen: set[str] = set()
    for one in found:
        _distribution(one, reading, target, seen)
    with_ways(reading, None)
    reading.read.append(Place("the current environment" if not folders else ", ".join(map(str, folders))))
    return reading


def _distribution(one: Distribution, reading: Reading, target: Target, seen: set[str]) -> None:
    shown = str(getattr(one, "_path", "an installed distribution"))
    try:
        metadata = one.metadata
        name, version, needs = metadata["Name"], metadata["Version"], one.requires or []
    except (OSError, UnicodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        return reading.error(shown, None, f"its metadata cannot be read ({error})")
    if not name or not version:
        return reading.error(shown, None, "its metadata has no name or no version")
    if normal(name) in seen:  # What comes first on the path is what is imported.
        return reading.skip(shown, None, f"{name} is installed in an earlier folder too, which is what is imported")
    seen.add(normal(name))
    reading.dependencies.append(Dependency("PyPI", name, Place(shown), version))
    for text in needs:
        try:
            need = Requirement(text)
            if need.marker is None or target.holds(str(need.marker)):
                reading.edges.add((normal(name), normal(need.name)))
        except (InvalidRequirement, ValueError):
            reading.error(shown, None, f"{name} needs {text[:60]!r}, which is no requirement")
    return None
