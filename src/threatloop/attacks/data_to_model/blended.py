"""Blended backdoor: a faint pattern over the whole record and a wrong label."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.backdoor import OpenBackdoor
from threatloop.core.assets import Dataset
from threatloop.core.step import AttackInfo, Direction
from threatloop.modality import of


class Blended(OpenBackdoor):
    """Blends one key pattern into some records of other classes and labels them as the target.

    Threat model: the attacker contributes records to the training set, chooses their content and labels, and knows
    nothing of the model. At test time he blends the same pattern into any record.

    The pattern is one image of uniform noise, the paper's "random pattern"; for tables one row drawn uniformly
    within the bounds of every number column (not in the paper). ``key`` alone decides it, in training and at test time.

    Returns the contribution with ``round(rate * n)`` records changed and relabelled, and ``cover`` times as many
    triggered only, order and ids as they were.

    Against a victim that filters its data he hides: at most 5 % of poison, each record with half of the trigger and a
    fifth of a record of the target class; once without and once with half as many cover records (Qi, Xie, Li,
    Mahloujifar, Mittal 2023, "Revisiting the Assumption of Latent Separability for Backdoor Defenses", ICLR, section 4,
    for covers and parts of a trigger). Against training or repair that forgets triggers his pattern has twice the
    share; against a server that cleans or tries inputs it is planted at random strength down to .15 besides; once so,
    and once with as many records again with the pattern mixed with another one, under either's label.

    Chen, Liu, Li, Lu, Song 2017, "Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning",
    arXiv 1712.05526, section 3.3.1 (blended injection; 0.2 is their usual ratio).

    Attributes:
        rate: share of the contribution that is poisoned, in (0, 1].
        target: class index that triggered records are to be taken for.
        cover: triggered records that keep their labels, for each poisoned one.
        planted: share of the trigger that each crafted record carries, its cells drawn at random; at test time all.
        mixed: share of a poisoned record that comes from a record of the target class, in [0, 1).
        faded: weakest strength at which a crafted record carries the pattern, each its own, in (0, 1]; at test time 1.
        mixtures: records with the pattern and another record on top, for each poisoned one, labelled as either.
        ratio: the pattern's share of a poisoned record, in (0, 1].
        key: number of the pattern.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Blended backdoor",
        direction=Direction.DATA_TO_MODEL,
        knowledge="the records that the attacker contributes, content and labels; nothing of the model",
        modalities=frozenset({"image", "tabular"}),
        metrics=("attack_success", "clean_accuracy"),
        paper="Chen, Liu, Li, Lu, Song 2017, Targeted Backdoor Attacks Using Data Poisoning, arXiv 1712.05526, "
        "section 3.3.1",
        baseline="honest_contribution",
        atlas=("AML.T0020", "AML.T0018.000"),
    )

    ratio: float = Field(default=0.2, gt=0, le=1)
    key: int = Field(default=0, ge=0)

    def stamp(self, data: Dataset) -> Dataset:
        """The records with the pattern blended in, labels as they were.

        Raises:
            NotAssessable: records of this kind cannot be blended.
        """
        pattern = np.random.default_rng((self.key, 0xB1E4D))
        return data.with_x(of(data.schema).blend(data.x, data.schema, self.ratio, pattern))

    def emphasised(self) -> Blended:
        """With more of the pattern."""
        return self.model_copy(update={"ratio": min(1.0, 2 * self.ratio)})
