"""Studies that ship with threatloop: complete specs on embedded data, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from threatloop.core.catalogue import nearest
from threatloop.core.errors import InputError

STUDIES = ("embedded", "catalogue", "interactions", "defended", "claims", "llm")
LANGUAGE = "llm"
"""``embedded``: the closed loop and the main attacks; ``catalogue``: every attack there is; ``interactions``: how
attacks and defences change each other; ``defended``: the same with few attacks, for a first answer; ``claims``:
what the claims ledger reads; ``llm``: a chat model in all four directions, with few seeds."""


def study(name: str) -> str:
    """The text of a study's spec.

    Raises:
        InputError: there is no such study.
    """
    if name not in STUDIES:
        raise InputError(f"unknown study {name!r}{nearest(name, STUDIES)}; allowed: {', '.join(STUDIES)}")
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")


def language_study(base: str, beside: Path) -> dict[str, Any]:
    """The study of a chat model with this one for its base: a name, or a path that is seen from ``beside``."""
    found: dict[str, Any] = yaml.safe_load(study(LANGUAGE))
    place = beside / Path(base).expanduser()
    for target in found["targets"].values():
        target["model"]["parameters"]["base"] = str(place) if place.exists() else base
    return found
