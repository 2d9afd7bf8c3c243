"""The baseline of property inference: a fair coin."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from threatloop.core.access import Capability
from threatloop.core.assets import Evidence
from threatloop.core.attack import Probe
from threatloop.core.bench import Bench
from threatloop.core.service import Service
from threatloop.core.step import AttackInfo, Direction


class PropertyGuess(Probe[Service]):
    """Holds both worlds for equally likely, as they are: nothing else that the attacker has tells them apart.

    Returns the array ``world``, float64 (1,): 0.5. No queries. Alone it has no world to guess, so its metric is
    undefined then.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="A coin between two shares",
        direction=Direction.MODEL_TO_DATA,
        knowledge="that both shares are equally likely",
        modalities=frozenset({"image", "tabular"}),
        metrics=("property_inference",),
        paper="no information beyond the prior; no paper",
        baseline="property_guess",
        needs=frozenset[Capability](),
    )

    def examine(self, source: Service, bench: Bench) -> Evidence:  # noqa: ARG002
        """The prior."""
        return Evidence({"world": np.array([0.5])})
