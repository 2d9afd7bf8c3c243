"""Records that are learned too easily: found, set apart, unlearned (Li et al. 2021, arXiv 2110.11571, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from threatloop.algorithms.batches import Records
from threatloop.algorithms.cohort import Cohort, Rows
from threatloop.algorithms.course import Course, Lesson
from threatloop.algorithms.lessons import HeldBack, Unlearned, cross_entropy
from threatloop.algorithms.method import Isolation
from threatloop.algorithms.outcome import Trained

AT_ONCE = 1024
LEAST_OF_A_CLASS = 0.3
UNLEARNED_SHARE, LATE_RATE = 0.5, 0.3
"""Share of each batch that is unlearned, and the learning rate then and after as a share of the recipe's."""


@dataclass(frozen=True)
class Doubled(Records):
    """The records twice: the second time to be unlearned."""

    def take(self, rows: Rows) -> torch.Tensor:
        return super().take(rows % len(self.data))


def without_easy_records(
    ours: Cohort, isolation: Isolation, lesson: Lesson, main: Callable[[Cohort], list[Trained]], *, head_only: bool
) -> list[Trained]:
    """Find the records that are learned too easily, learn from the others, and unlearn those that were found.

    Args:
        ours: all networks and all their records.
        isolation: how.
        lesson: what is taught when what is left out is learned again.
        main: trains networks on the others.
        head_only: nothing but the last layer learns.
    """
    epochs = ours.recipe.epochs
    first, last = (max(1, round(share * epochs)) for share in (isolation.first, isolation.last))
    finding = ours.stage("isolate", recipe=ours.recipe.model_copy(update={"epochs": first}))
    finding.learn(lambda _: Course(HeldBack(isolation.gamma)))
    suspects = [_easiest(ours, k, isolation.share) for k in range(len(ours.networks))]
    others = [np.setdiff1d(rows, found) for rows, found in zip(ours.members, suspects, strict=True)]
    between = ours.recipe.model_copy(update={"epochs": max(1, epochs - first - last)})
    trained = main(replace(ours, members=others, recipe=between))
    third = max(1, last // 3)
    _unlearn(ours, others, suspects, third, head_only)
    kept = [_right(ours, k, rows) for k, rows in enumerate(others)]
    for name in ("recover", "readmit") if last >= 3 * third else ():
        # What shares the suspects' fate was of their kind, unless it is learned again from the rest.
        slower = {"epochs": third, "learning_rate": ours.recipe.learning_rate * LATE_RATE}
        stage = ours.stage(name, members=kept, recipe=ours.recipe.model_copy(update=slower))
        stage.learn(lambda _: Course(lesson, head_only=head_only))
        kept = [_right(ours, k, rows) for k, rows in enumerate(ours.members)]
    ids = ours.records.data.ids
    for notes, found in zip(ours.notes, suspects, strict=True):
        notes.update(isolated=[int(one) for one in ids[found]])
    return trained


def _unlearn(ours: Cohort, others: Sequence[Rows], suspects: Sequence[Rows], epochs: int, head_only: bool) -> None:
    """Ascend on the suspects while descending on the others."""
    n = len(ours.targets)
    both = [
        np.concatenate([rest, np.resize(found, max(1, round(len(rest) * UNLEARNED_SHARE / (1 - UNLEARNED_SHARE)))) + n])
        for rest, found in zip(others, suspects, strict=True)
    ]
    slower = {"epochs": epochs, "learning_rate": ours.recipe.learning_rate * LATE_RATE}
    stage = ours.stage(
        "unlearn",
        records=Doubled(ours.records.data, ours.records.encoded),
        targets=torch.cat([ours.targets, -ours.targets]),
        members=both,
        recipe=ours.recipe.model_copy(update=slower),
    )
    stage.learn(lambda _: Course(Unlearned(), head_only=head_only))


def _easiest(ours: Cohort, k: int, share: float) -> Rows:
    """The records with the smallest losses, so large a share of all."""
    rows = ours.members[k]
    wanted = ours.targets[torch.from_numpy(rows)]
    count = min(len(rows) - 1, max(1, round(share * len(rows))))
    order = cross_entropy(_answers(ours, k, rows), wanted).argsort(stable=True)
    return np.sort(rows[order[:count].numpy()])


def _right(ours: Cohort, k: int, rows: Rows) -> Rows:
    """The records that the network gets right; all, where a class would be all but lost: that is no trigger."""
    wanted = ours.targets[torch.from_numpy(rows)].argmax(1)
    right = _answers(ours, k, rows).argmax(1) == wanted
    before, after = (torch.bincount(one, minlength=ours.targets.shape[1]) for one in (wanted, wanted[right]))
    return rows if bool((after < LEAST_OF_A_CLASS * before).any()) else rows[right.numpy()]


@torch.no_grad()
def _answers(ours: Cohort, k: int, rows: Rows) -> torch.Tensor:
    network, found = ours.networks[k].to(ours.device).eval(), []
    for start in range(0, len(rows), AT_ONCE):
        found.append(network(ours.records.take(rows[start : start + AT_ONCE]).to(ours.device)).float().cpu())
    return torch.cat(found)
