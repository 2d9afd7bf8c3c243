"""Is the share of the training data that has a property inferred?"""

from __future__ import annotations

from typing import ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt

from threatloop.core.assets import Dataset, Evidence
from threatloop.core.errors import InputError
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading


class _Asks(Protocol):
    low: float
    high: float

    def holds(self, data: Dataset, reference: Dataset) -> npt.NDArray[np.bool_]: ...


class PropertyInferred(Metric):
    """The probability that the attacker gives to the world that the victim was trained in.

    A coin gets .5 in every seed, exactly; whoever is sure and wrong gets less. ``property_inference.right`` is 1 where
    the true world got more than half. One victim a seed, so their n is 1.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Property inferred",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"own", "skewed"}),
        meaning="probability that the attacker gives to the true one of two shares; .5 is a coin",
    )

    def grade(self, case: Case) -> Graded:
        """Grade the evidence of a property probe.

        Raises:
            InputError: the evidence is no probability.
        """
        own, skewed = case.get("own", Dataset), case.get("skewed", Dataset)
        said = np.asarray(case.get("outcome", Evidence).arrays.get("world", np.empty(0)), np.float64)
        if said.shape != (1,) or not 0 <= said[0] <= 1:
            raise InputError(f"property inference: `world` is {said}; need one probability")
        asks = cast("_Asks", case.attack)
        high = bool(asks.holds(skewed, own).mean() > (asks.low + asks.high) / 2)
        value = float(said[0] if high else 1 - said[0])
        name = "property_inference"
        return Graded((Reading(name, value, 1), Reading(f"{name}.right", float(value > 0.5), 1)))
