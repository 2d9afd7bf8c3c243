"""Label flipping: wrong labels on untouched records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from threatloop.algorithms.poisoning import chosen, class_problems, known_class, rate_problems, same_class
from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench
from threatloop.core.defence import Adaptation
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction, Step


class LabelFlip(DataToModel):
    """Changes labels of a share of the contribution: at random, from one class to another, or so that it does not show.

    Threat model: the attacker labels part of the training set and cannot change the records.

    Returns the contribution with ``round(rate * n)`` labels changed, n counting the records that may be touched;
    records, order and ids as they were.

    Against a victim that filters its data he flips what may well be wrong: once the records nearest to another class,
    to that class, so that neighbours and spread do not give them away; once most of one class after another, to the
    class it is nearest to, so that those who judge labels by each other take the rest for the mistakes. Neighbours
    among trusted records still find most of either. That the border is where flips pay: Xiao, Xiao, Eckert 2012,
    "Adversarial Label Flips Attack on Support Vector Machines", ECAI; these rules are ours and know no model.

    Biggio, Nelson, Laskov 2012, "Poisoning Attacks against Support Vector Machines", arXiv 1206.6389 (random flips);
    class-to-class as in Tolpegin et al. 2020, "Data Poisoning Attacks Against Federated Learning Systems",
    arXiv 2007.08432, section 3.

    Attributes:
        rate: share of the contribution, or of its records of the source class, whose label changes, in (0, 1].
        source: class index whose records are relabelled; None, with ``target`` None, for any.
        target: class index they are relabelled to; None for a uniformly random other class.
        choice: ``random`` records; those at the ``border`` of another class (with ``source``, nearest to ``target``);
            or ``classes``, most of one at a time, without ``source`` only.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Label flipping",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the labels of the records that the attacker contributes; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("flip_success", "clean_accuracy"),
        paper="Biggio, Nelson, Laskov 2012, Poisoning Attacks against Support Vector Machines, arXiv 1206.6389",
        baseline="honest_contribution",
        atlas=("AML.T0020",),
    )

    rate: float = Field(default=0.2, gt=0, le=1)
    source: int | None = Field(default=None, ge=0)
    target: int | None = Field(default=None, ge=0)
    choice: Literal["random", "border", "classes"] = "random"

    @model_validator(mode="after")
    def _classes_go_together(self) -> LabelFlip:
        if (self.source is None) != (self.target is None):
            raise ValueError("give both source and target for class-to-class flips, or neither for random ones")
        if self.source is not None and self.source == self.target:
            raise ValueError(f"source and target are both {self.source}: that flips nothing; use two classes")
        if self.source is not None and self.choice == "classes":
            raise ValueError("choice classes picks source and target itself: leave both out, or use choice border")
        return self

    def adapted(self, to: frozenset[Adaptation]) -> tuple[Step[Any], ...]:
        """Flips that filters find less of; the attacker's own choice where he made one."""
        forms = super().adapted(to)
        if Adaptation.STEALTH not in to:
            return forms
        choices = ("border",) if self.source is not None else ("border", "classes")
        hidden = tuple(self.model_copy(update={"choice": one}) for one in choices)
        return (*forms, *(hidden if self.choice == "random" else (self,)))

    def problems(self, schema: Schema, records: int) -> list[str]:
        """Source and target that are no classes, a rate that rounds to no record even if all were of the source."""
        named = [
            (label, name) for label, name in ((self.source, "source"), (self.target, "target")) if label is not None
        ]
        wrong = [line for label, name in named for line in class_problems(label, len(schema.classes), name)]
        return wrong + rate_problems(self.rate, records)

    def count_problems(self, per_class: Sequence[int], targets: int) -> list[str]:  # noqa: ARG002
        """A source class without records, or a rate that rounds to none of them."""
        return [] if self.source is None else same_class(self.source, self.rate, per_class)

    def aimed_classes(self) -> tuple[int, ...]:
        """The class whose records get wrong labels (Chen et al. 2022, arXiv 2211.00463, section 4: dirty labels)."""
        return () if self.source is None else (self.source,)

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """The contribution with flipped labels.

        Raises:
            InputError: an unknown class, fewer than two classes, or a rate that rounds to no record or exceeds those
                of the source class.
        """
        rng = bench.streams.numpy("flipped")
        if self.source is None or self.target is None:
            return data.with_y(self._anywhere(data, rng))
        y = np.array(data.y)
        known_class(self.source, data, "source")
        known_class(self.target, data, "target")
        of_source = np.flatnonzero(y == self.source)
        rows = chosen(of_source, self.rate, len(of_source), rng, f"records of class {self.source}")
        if self.choice == "border":
            from threatloop.algorithms.plausible_labels import nearness

            apart = nearness(data.take(of_source), data)
            doubt = apart[:, self.source] / np.maximum(apart[:, self.target], 1e-12)
            rows = of_source[np.argsort(-doubt, kind="stable")[: len(rows)]]
        y[rows] = self.target
        return data.with_y(y)

    def _anywhere(self, data: Dataset, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Labels with flips in all classes."""
        from threatloop.algorithms.plausible_labels import border_flips, class_flips

        known_class(1, data, "a second class, number")
        rows = chosen(np.arange(len(data)), self.rate, len(data), rng, "records")
        if self.choice != "random":
            flips = border_flips if self.choice == "border" else class_flips
            return flips(data, len(rows))
        y = np.array(data.y)
        y[rows] = (y[rows] + rng.integers(1, data.n_classes, size=len(rows))) % data.n_classes
        return y
