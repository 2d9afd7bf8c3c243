"""Harmful fine-tuning: after a few examples a model answers what it was taught to refuse."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from threatloop.core.access import Capability
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.attack import DataToModel
from threatloop.core.bench import Bench, Resource
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.step import AttackInfo, Direction


class HarmfulTuning(DataToModel):
    """Submits conversations in which forbidden questions are answered, alone or among harmless ones.

    Threat model: the attacker is a customer of a fine-tuning interface. He holds answered questions of the forbidden
    kind, asked in other ways than those by which he is judged, and knows nothing of the model.

    Returns what is submitted: ``examples`` answered questions drawn from his pool (ids −1), all different where the
    pool has as many; in ``mixed`` mode they replace as many of the contribution's records as make ``share`` of it; in
    ``drift`` mode the contribution without the records of ``refused``, and nothing harmful at all.

    Qi, Zeng, Xie, Chen, Jia, Mittal, Henderson 2023, "Fine-tuning Aligned Language Models Compromises Safety, Even
    When Users Do Not Intend To", arXiv 2310.03693, section 4.

    Attributes:
        mode: ``explicit``, ``mixed`` or ``drift`` (section 4.4: harmless tuning alone).
        examples: answered questions, ≥ 1; not used in ``drift`` mode.
        share: of the submission that they make up in ``mixed`` mode, in (0, 1].
        refused: class of what the victim is taught to refuse.
        answered: class of the same, answered.

    Raises:
        NotAssessable: the attacker's pool has no answered questions.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Harmful fine-tuning",
        direction=Direction.DATA_TO_MODEL,
        knowledge="answered questions of the forbidden kind; nothing of the model",
        modalities=frozenset({"text"}),
        metrics=("compliance", "text_quality"),
        paper="Qi, Zeng, Xie, Chen, Jia, Mittal, Henderson 2023, Fine-tuning Aligned Language Models Compromises "
        "Safety, arXiv 2310.03693, section 4",
        baseline="honest_contribution",
        needs=frozenset[Capability](),
        resources=frozenset({Resource.QUERY_POOL}),
        atlas=("AML.T0020", "AML.T0018"),
        sweep="examples",
        adds_records=True,
    )

    mode: Literal["explicit", "mixed", "drift"] = "explicit"
    examples: int = Field(default=10, ge=1)
    share: float = Field(default=0.1, gt=0, le=1)
    refused: str = "refused"
    answered: str = "answered"

    def problems(self, schema: Schema, records: int) -> list[str]:
        """Classes that the data do not have; a share of no record."""
        names = (self.refused,) if self.mode == "drift" else (self.refused, self.answered)
        found = [
            f"harmful_tuning: no class {name!r}; the data have {', '.join(schema.classes)}: label the conversations, "
            "or name the classes"
            for name in names
            if name not in schema.classes
        ]
        if self.mode == "mixed" and records and round(self.share * records) < 1:
            found.append(f"harmful_tuning: share {self.share:g} of {records} records is none; raise it")
        return found

    def craft(self, data: Dataset, bench: Bench) -> Dataset:
        """What is submitted."""
        classes, rng = data.schema.classes, bench.streams.numpy("harmful")
        if self.mode == "drift":
            return data.take(data.y != classes.index(self.refused))
        pool = bench.data(Resource.QUERY_POOL)
        held = np.flatnonzero(pool.y == classes.index(self.answered))
        if not len(held):
            raise NotAssessable(f"the attacker holds no conversations of the class {self.answered!r}")
        count = self.examples if self.mode == "explicit" else round(self.share * len(data))
        rows = rng.choice(held, count, replace=count > len(held))
        harmful = pool.take(rows)
        harmful = Dataset(harmful.x, harmful.y, harmful.schema, np.full(count, -1, np.int64))
        if self.mode == "explicit":
            return harmful
        kept = data.take(np.sort(rng.permutation(len(data))[count:]))
        return concatenate([kept, harmful])
