"""Queries that lie close to many earlier ones of the same client."""

from __future__ import annotations

from heapq import heapreplace
from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.monitoring import Floats, Labels, QueryMonitor, Usual, Values
from threatloop.core.defence import DefenceInfo, Stage


class QuerySimilarity(QueryMonitor):
    """Flags a client when ``hits`` queries are nearer to his earlier ones than benign clients' queries are.

    Evidence is minus the mean distance to the ``neighbours`` nearest earlier queries of the window; that of the nearest
    ``hits`` queries counts, since single close ones depend on whose records they are. Searches that move
    around a record (HopSkipJump, Square, label-only membership) ask many such; a thief with records of the kind, or
    with random fields, does not. The paper compares in the space of an encoder that is trained to see through
    augmentations, takes 50 neighbours and a long history; here distances are between the records themselves, scaled by
    the data's spread, 10 neighbours, and windows of half as many queries as there are own records. So an attacker who
    rotates or shifts his queries, or who works on more records at a time than the window holds, is not seen. Texts are
    compared by the runs of characters in what is asked: a prompt that is put in ever new ways is seen, one
    that is written anew in other words is not.

    Costs: distances within a window, the threshold once per length of a client; no answer changes.

    Chen, Carlini, Wagner 2019, "Stateful Detection of Black-Box Adversarial Attacks", arXiv 1907.05587, section 4.

    Attributes:
        neighbours: earlier queries that are averaged over, ≥ 1.
        hits: close queries without which nobody is flagged, ≥ 1.
        rate, window, clients: as in `QueryMonitor`.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Similar queries (stateful detection)",
        stage=Stage.MONITOR,
        modalities=frozenset({"image", "tabular", "text"}),
        paper="Chen, Carlini, Wagner 2019, Stateful Detection of Black-Box Adversarial Attacks, arXiv 1907.05587, "
        "section 4",
        atlas=("AML.M0015",),
    )

    reads_labels: ClassVar[bool] = False

    neighbours: int = Field(default=10, ge=1)
    hits: int = Field(default=10, ge=1)

    def values(self, apart: Floats, labels: Labels) -> Values:  # noqa: ARG002
        """Minus the mean distance to the nearest earlier queries."""
        n, k = len(apart), self.neighbours
        found = np.full(n, np.nan)
        if n > k:
            earlier = np.where(np.tri(n, k=-1, dtype=bool), apart, np.inf)[k:]
            found[k:] = -np.partition(earlier, k - 1, axis=1)[:, :k].mean(axis=1)
        return found

    def evidence(self, values: Values, usual: Usual) -> Values:  # noqa: ARG002
        """The value that ``hits`` queries have reached so far."""
        found, best = np.full(len(values), -np.inf), [-np.inf] * self.hits
        for i, value in enumerate(values.tolist()):
            if value > best[0]:
                heapreplace(best, value)
            found[i] = best[0]
        return found
