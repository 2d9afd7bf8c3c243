"""Which `torch.load` a repository may meet: from 2.6 on it unpickles no code by default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.locked import unsettled

SAFE_FROM: Final = Version("2.6")
_UNSAFE: Final = tuple(
    f"{minor}.{patch}"
    for minor, patches in {
        "1.0": 2, "1.1": 1, "1.2": 1, "1.3": 2, "1.4": 2, "1.5": 2, "1.6": 1, "1.7": 2, "1.8": 3, "1.9": 2, "1.10": 3,
        "1.11": 1, "1.12": 2, "1.13": 2, "2.0": 2, "2.1": 3, "2.2": 3, "2.3": 2, "2.4": 2, "2.5": 2,
    }.items()
    for patch in range(patches)
)  # fmt: skip
"""The releases before that."""


def safe_by_default(dependencies: Iterable[Dependency]) -> bool | None:
    """Whether every torch that is declared is 2.6 or newer.

    Nothing where none is declared, or any version will do somewhere and no lock beside it says which.
    """
    answers = [_safe(one) for one in unsettled(one for one in dependencies if one.key[1] in {"torch", "pytorch"})]
    if False in answers:
        return False
    return True if answers and None not in answers else None


def _safe(dependency: Dependency) -> bool | None:
    try:
        if dependency.version:
            return Version(dependency.version) >= SAFE_FROM
        if not dependency.specifier:
            return None
        allowed = SpecifierSet(dependency.specifier)
    except (InvalidVersion, InvalidSpecifier):
        return None
    return not any(allowed.contains(version) for version in _UNSAFE)
