"""Studies that ship with threatloop: complete specs on embedded data, by name."""

from __future__ import annotations

from importlib import resources

from threatloop.core.catalogue import nearest
from threatloop.core.errors import InputError

STUDIES = ("embedded", "catalogue", "interactions", "defended", "claims")
"""``embedded``: the closed loop and the main attacks; ``catalogue``: every attack there is; ``interactions``: how
attacks and defences change each other; ``defended``: the same with few attacks, for a first answer; ``claims``:
what the claims ledger reads."""


def study(name: str) -> str:
    """The text of a study's spec.

    Raises:
        InputError: there is no such study.
    """
    if name not in STUDIES:
        raise InputError(f"unknown study {name!r}{nearest(name, STUDIES)}; allowed: {', '.join(STUDIES)}")
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")
