"""What `threatloop study` and `threatloop claims` will run: the screening, and the most that can follow it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from threatloop.analysis.ledger import Claim
from threatloop.analysis.two_stage import MAX_CONFIRMATION, SCREENING_SEEDS
from threatloop.scenario.build import Audit
from threatloop.study.claims import claim_cells
from threatloop.study.run import check_study
from threatloop.study.seeds import screening_seeds


def study_stages(audit: Audit) -> tuple[Audit, Audit]:
    """A study with the seeds of its screening, and with the most of both stages: 30 fresh ones in every cell.

    Raises:
        Problems: the spec cannot be run as a study.
    """
    check_study(audit)
    chosen = screening_seeds(audit)
    most = {cell: tuple(range(len(seeds) + MAX_CONFIRMATION)) for cell, seeds in chosen.items()}
    return replace(audit, chosen=chosen), replace(audit, chosen=most)


def claims_stages(audit: Audit, claims: Iterable[Claim]) -> tuple[Audit, ...]:
    """The same of the claims; the screening alone with fewer than 12 seeds, which no second stage follows."""
    first = audit.spec.seeds
    totals = (first, first + MAX_CONFIRMATION) if first >= SCREENING_SEEDS else (first,)
    cells = [cell for claim in claims for cell in claim_cells(claim, audit)]
    return tuple(replace(audit, chosen={cell: tuple(range(n)) for cell in cells}) for n in totals)
