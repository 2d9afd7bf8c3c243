"""The members of AutoAttack as stages on one chunk: each takes on the records that still withstand.

Croce & Hein 2020, arXiv 2003.01690.
"""

from __future__ import annotations

import numpy as np
import torch

from threatloop import modality
from threatloop.algorithms.apgd import Targeted, auto_pgd, targets_by_likelihood
from threatloop.algorithms.black_box import search
from threatloop.algorithms.fab_hunt import FabHunt
from threatloop.algorithms.hunt import Hunt, log_odds

FIRST_SHARE = 0.8
"""Of a record that Square's first patch covers."""


def withstanding(hunt: Hunt, right: torch.Tensor) -> torch.Tensor:
    """Of these places those that have no example yet."""
    return right[torch.isin(right, hunt.standing())]


def apgd_ce(hunt: Hunt, right: torch.Tensor, steps: int, margins: torch.Tensor, generator: torch.Generator) -> None:
    """Auto-PGD on the log-odds, from one random start; the last margins go into ``margins``."""
    if len(places := withstanding(hunt, right)):
        start = hunt.ball.take(places).start(generator)
        margins[places] = auto_pgd(hunt, places, steps, log_odds, start)[1]


def apgd_t(hunt: Hunt, right: torch.Tensor, steps: int, targets: int, generator: torch.Generator) -> None:
    """Auto-PGD towards one wrong class after another, the likeliest first."""
    aims = targets_by_likelihood(hunt.first_logits, hunt.labels, targets)
    for column in range(aims.shape[1]):
        if len(places := withstanding(hunt, right)):
            start = hunt.ball.take(places).start(generator)
            auto_pgd(hunt, places, steps, Targeted(aims[places, column]), start)


def fab_t(hunt: Hunt, right: torch.Tensor, steps: int, targets: int, generator: torch.Generator) -> None:
    """FAB towards one wrong class after another."""
    trial = hunt.trial
    for rank in range(1, targets + 1):
        if len(places := withstanding(hunt, right)):
            with FabHunt(hunt, places, trial.space.reach(trial.norm), generator) as walk:
                walk.run(steps, rank=rank)


def square(hunt: Hunt, right: torch.Tensor, queries: int, generator: torch.Generator) -> None:
    """Random search on scores."""
    if not len(places := withstanding(hunt, right)):
        return
    trial, schema = hunt.trial, hunt.trial.source.schema
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    patches = modality.of(schema).patches(schema, trial.space)
    search(trial, hunt.rows[places.numpy()], patches, queries, FIRST_SHARE, rng)
