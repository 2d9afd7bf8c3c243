"""Run the claims ledger: what its tests read, with screening seeds, then with as many fresh ones as each is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from threatloop.analysis.claims import Readings, Tested, judge_claims, plan_claims
from threatloop.analysis.ledger import Claim
from threatloop.engine.run import Options, run_audit
from threatloop.runs.folder import read_run_folder
from threatloop.scenario.build import Audit, Cell
from threatloop.study.run import Watchers


def run_claims(audit: Audit, claims: Sequence[Claim], options: Options, watch: Watchers) -> tuple[Tested, ...]:
    """Both stages; every claim is tested once.

    Args:
        audit: the study that the claims read; its seeds are the screening seeds, at least 12.
        claims: of the ledger.
        options: where and with what.
        watch: see `Watchers`.
    """
    first = audit.spec.seeds
    watch.stage(f"stage 1 of 2: screening, seeds 0 to {first - 1}")
    readings = _run(audit, {cell: first for claim in claims for cell in claim_cells(claim, audit)}, options, watch)
    planned = plan_claims(claims, readings, first)
    worth = sum(n > 0 for n in planned.values())
    watch.stage(f"stage 2 of 2: {worth} of {len(claims)} claims are worth fresh seeds")
    wanted: dict[Cell, int] = {}
    for claim in claims:
        for cell in claim_cells(claim, audit):
            wanted[cell] = max(wanted.get(cell, 0), first + planned[claim.id])
    return judge_claims(claims, _run(audit, wanted, options, watch), first, planned)


def _run(audit: Audit, seeds: dict[Cell, int], options: Options, watch: Watchers) -> Readings:
    chosen = {cell: tuple(range(n)) for cell, n in seeds.items()}
    run_audit(replace(audit, chosen=chosen), options, watch.advance, watch.planned)
    return _readings(options)


def _readings(options: Options) -> Readings:
    folder = read_run_folder(options.out)
    return Readings(folder.record, folder.rows)


def claim_cells(claim: Claim, audit: Audit) -> Iterable[Cell]:
    """The cells whose rows a claim reads; a correlation reads those of every condition."""
    every = [condition.name for condition in audit.conditions]
    for side in claim.sides:
        for condition in every if claim.correlate is not None else [side.condition]:
            yield claim.target, side.scenario, condition
