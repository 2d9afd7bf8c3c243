"""Prints how well combinations of defences that were left out are predicted, on a fast victim, and confirms the advice.

    python benchmarks/recommender.py [--data breast_cancer] [--seeds 12] [--run-seed 0] [--defences N] [--triples 300]
        [--store DIR] [--out DIR]

Every defence of the list alone, every pair, and so many triples, drawn at random, of those that do not exclude each
other; four cheap attacks, one of each direction. "Works" and the folds are those of `docs/scoring.md`. Then the
recommended set is audited on a fresh run seed, beside what was predicted. Bar: balanced accuracy ≥ 90 % over ≥ 200
combinations that the seeds decide.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from threatloop import api
from threatloop.core.catalogue import exclusions

DEFENCES = (
    *("knn_filter", "spectral_signatures", "label_smoothing", "mixup", "early_stopping", "fine_pruning"),
    *("attention_distillation", "rounding", "labels_only", "temperature", "answer_noise", "input_purification"),
)
ATTACKS: dict[str, Any] = {
    "evasion": {"attack": {"name": "pgd", "epsilon": 0.05, "steps": 10, "records": 100}},
    "backdoor": {"attack": {"name": "badnets", "rate": 0.2}},
    "theft": {"attack": {"name": "knockoff", "queries": 100}},
    "membership": {"attack": "loss_threshold"},
}


def sets(names: tuple[str, ...], triples: int) -> dict[str, list[str]]:
    """Singles, all pairs and some triples, by name."""
    excluded = {frozenset((name, other)) for name, others in exclusions(names).items() for other in others}
    fine = [
        members
        for size in (1, 2, 3)
        for members in itertools.combinations(names, size)
        if not any(frozenset(pair) in excluded for pair in itertools.combinations(members, 2))
    ]
    small, large = [one for one in fine if len(one) < 3], [one for one in fine if len(one) == 3]
    rows = np.sort(np.random.default_rng(0).permutation(len(large))[:triples])
    return {"-".join(one): list(one) for one in (*small, *(large[row] for row in rows))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="breast_cancer")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--run-seed", type=int, default=0)
    parser.add_argument("--defences", type=int, default=len(DEFENCES))
    parser.add_argument("--triples", type=int, default=300)
    parser.add_argument("--store", default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp())
    store, chosen = given.store or str(folder / "store"), sets(DEFENCES[: given.defences], given.triples)
    target = {"data": given.data, "model": {"name": "mlp"}, "shadows": 4}
    spec = {
        "seed": given.run_seed,
        "seeds": given.seeds,
        "targets": {"victim": target},
        "scenarios": ATTACKS,
        "defences": chosen,
    }
    started = time.perf_counter()
    run = api.audit(spec, out=folder / "measured", store=store)
    tasks = run.record.tasks
    spent = f"{tasks['models_trained']} models for {tasks['models_requested']}, {time.perf_counter() - started:.0f} s"
    print(f"{given.data}: {len(chosen)} sets, {tasks['executed']} tasks, {tasks['failed']} failed, {spent}")
    found = api.recommend(folder / "measured")
    for one in found.advice.validations:
        print(f"held-out {one.held_out}: {one.combinations} combinations, {one.decided} decided, works {one.works}")
        for name in ("model", "main_only", "majority", "measured"):
            print(f"  {name:10} {getattr(one, name)}")
        print(f"  mean width of 95 % intervals {one.width}, measured risks within them {one.covered}")
    confirm(found, folder, store)


def confirm(found: api.Recommendation, folder: Path, store: str) -> None:
    """Audit the recommended set on fresh seeds, beside what was predicted."""
    chosen = found.advice.chosen
    print(f"recommended: {chosen.label}, accuracy {chosen.accuracy.value} {chosen.accuracy.interval}")
    fresh = api.audit(yaml.safe_load(found.yaml), out=folder / "confirmed", store=store)
    again = api.recommend(folder / "confirmed").advice
    for option in again.front:
        if option.spec == chosen.spec:
            for direction, risk in option.risk.items():
                print(f"  {direction}: predicted {chosen.risk[direction]}; on fresh seeds {risk}")
                print(f"  {direction} without: {again.undefended.risk[direction]}")
            print(f"  accuracy: predicted {chosen.accuracy}; on fresh seeds {option.accuracy}")
    print(f"  recommended of the two: {again.chosen.label}; {fresh.record.tasks['failed']} failed")


if __name__ == "__main__":
    main()
