"""Ranges that an exact version of the same folder settles, as a lock file beside a manifest does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from threatloop.supply_chain.dependencies.model import Dependency


def unsettled(dependencies: Iterable[Dependency]) -> list[Dependency]:
    """All dependencies, but no range that admits an exact version of its package in its folder."""
    all_ = list(dependencies)
    exact: defaultdict[tuple[str, tuple[str, str]], set[str]] = defaultdict(set)
    for one in all_:
        if one.version:
            exact[_where(one)].add(one.version)
    return [one for one in all_ if one.version or not any(_admits(one, version) for version in exact[_where(one)])]


def _where(one: Dependency) -> tuple[str, tuple[str, str]]:
    return one.place.path.rpartition("/")[0], one.key


def _admits(one: Dependency, version: str) -> bool:
    try:
        return not one.specifier or SpecifierSet(one.specifier).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False
