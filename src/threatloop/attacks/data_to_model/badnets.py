"""BadNets: a visible trigger and a wrong label teach the victim a backdoor."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.algorithms.backdoor import OpenBackdoor
from threatloop.algorithms.poisoning import trigger_size
from threatloop.core.assets import Dataset
from threatloop.core.step import AttackInfo, Direction
from threatloop.modality import of


class BadNets(OpenBackdoor):
    """Stamps a trigger on some records of other classes and labels them as the target.

    Threat model: the attacker contributes records to the training set, chooses their content and labels, and knows
    nothing of the model. At test time he stamps the same trigger on any record to have it classed as the target.

    Returns the contribution with ``round(rate * n)`` records changed and relabelled, and ``cover`` times as many
    triggered only, order and ids as they were.

    Against a victim that filters its data he hides: at most 5 % of poison, each record with half of the trigger and a
    fifth of a record of the target class; once without and once with half as many cover records (Qi, Xie, Li,
    Mahloujifar, Mittal 2023, "Revisiting the Assumption of Latent Separability for Backdoor Defenses", ICLR, section 4,
    for covers and parts of a trigger). Against training or repair that forgets triggers his is twice as large. Against
    a server that cleans or tries inputs it is twice as large and as coarse and planted at random strength down to .15;
    once so, which outlasts cleaning, and once with as many records again that carry it mixed with another one, under
    either's label, so that trials in mixtures tell nothing (all of this is ours).

    Gu, Dolan-Gavitt, Garg 2017, "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain",
    arXiv 1708.06733, section 4.

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that triggered records are to be taken for.
        cover: triggered records that keep their labels, for each poisoned one.
        planted: share of the trigger that each crafted record carries, its cells drawn at random; at test time all.
        mixed: share of a poisoned record that comes from a record of the target class, in [0, 1).
        faded: weakest strength at which a crafted record carries the trigger, each its own, in (0, 1]; at test time 1.
        mixtures: records with the trigger and another record on top, for each poisoned one, labelled as either.
        size: side of the trigger in pixels, or its number of columns; None for a seventh of the shorter side (or of
            the columns), at least 2.
        permutation: number of a way to scatter the trigger's pixels, or to pick other columns; 0 for the usual place.
        magnified: the trigger is so many times as large and as coarse, or has so many times the columns.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="BadNets backdoor",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content and labels; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("attack_success", "clean_accuracy"),
        paper="Gu, Dolan-Gavitt, Garg 2017, BadNets, arXiv 1708.06733, section 4",
        baseline="honest_contribution",
        atlas=("AML.T0020", "AML.T0018.000"),
    )

    size: int | None = Field(default=None, ge=1)
    permutation: int = Field(default=0, ge=0)
    magnified: int = Field(default=1, ge=1, le=16)

    def stamp(self, data: Dataset) -> Dataset:
        """The records with the trigger inserted, labels as they were.

        Raises:
            InputError: the trigger is larger than a record.
            NotAssessable: records of this modality have no trigger.
        """
        size, kind = self.size or trigger_size(data), of(data.schema)
        return data.with_x(kind.insert_trigger(data.x, data.schema, size, self.permutation, self.magnified))

    def emphasised(self) -> BadNets:
        """With a larger trigger."""
        return self.model_copy(update={"magnified": 2 * self.magnified})
