"""A made-up run with everything that a report must cope with; the figures are drawn, not measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from synthetic_facts import ATTACKS, CHAIN, HOSTILE, LOOP, METRICS, REACHED, SCANS, SPREAD, TABLE, USUAL

from threatloop.analysis.summary import Summary, summarise
from threatloop.core.measurement import GalleryItem, Measurement, Notice, RunRecord
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, write_run_folder


@dataclass(frozen=True)
class Run:
    record: RunRecord
    rows: tuple[Measurement, ...]
    curves: pa.Table
    records: pa.Table
    gallery: Mapping[str, npt.NDArray[np.float64]]

    def write(self, path: Path) -> Path:
        write_run_folder(path, self.record, self.rows, self.curves, self.records, self.gallery)
        return path


def synthetic_run(seeds: int = 12) -> Run:
    """Three targets, a chain with every arm and two laps, a gate that holds, gaps, errors and failed checks."""
    rng = np.random.default_rng(7)
    rows = tuple(_all_rows(rng, seeds))
    curves = pa.Table.from_pylist(list(_curves(rng, seeds)), schema=CURVES_SCHEMA)
    scores = [
        _place(seed, step=1, scenario="membership")
        | {"record": i, "name": name, "value": float(rng.normal() + (i % 2 if name != "member" else 0))}
        for seed in range(seeds)
        for i in range(20)
        for name in ("member", "score:lira_online")
    ]
    scores = [row | {"value": float(row["record"] % 2)} if row["name"] == "member" else row for row in scores]
    gallery = {item.file: rng.random((16, 1, 8, 8)) ** 2 for item in GALLERY}
    return Run(record(seeds), rows, curves, pa.Table.from_pylist(scores, schema=RECORDS_SCHEMA), gallery)


def _row(rng: np.random.Generator, metric: str, value: float, **about: Any) -> Measurement:
    baseline = USUAL[metric] + rng.normal(0, 0.004)
    noisy = value + rng.normal(0, SPREAD.get(metric, 0.01))
    bound = 100.0 if metric == "psnr" else 1.0
    return Measurement(
        run="r1",
        metric=metric,
        value=float(np.clip(noisy, 0, bound)),
        baseline=float(np.clip(baseline, 0, bound)),
        n=200,
        queries=500 if about["attack"] in ("stealing", "lira") else 0,
        seconds=1.5,
        direction=ATTACKS[about["attack"]]["direction"],
        **about,
    )


def _all_rows(rng: np.random.Generator, seeds: int) -> Iterator[Measurement]:
    for seed in range(seeds):
        for target in ("digits", SCANS, TABLE):
            yield from _membership(rng, target, seed)
        for target in ("digits", SCANS):
            yield from _chain(rng, target, seed)


def _membership(rng: np.random.Generator, target: str, seed: int) -> Iterator[Measurement]:
    about = {"target": target, "scenario": "membership", "step": 1, "steps": 1, "attack": "lira", "seed": seed}
    yield _row(rng, "membership.auc", 0.61 if target == "digits" else 0.505, arm="attack", **about)
    yield _row(rng, "membership.auc", 0.50, arm="baseline", **about)
    tpr = _row(rng, "membership.tpr_at_1pct", 0.07, arm="attack", **about)
    reason = "fewer than ten expected false positives (0.01 × 178 non-members)"
    yield tpr.model_copy(update={"value": None, "undefined": reason})


def _arms(target: str) -> Iterator[tuple[str, int]]:
    yield from (("attack", 1), ("oracle", 1))
    yield from ((f"without:{step}", 1) for step in range(1, 5))
    if target == "digits":
        yield from ((arm, 2) for arm in ("feedback", "restart", "double", "prior"))


def _chain(rng: np.random.Generator, target: str, seed: int) -> Iterator[Measurement]:
    for arm, lap in _arms(target):
        gate = _gate(target, arm, seed)
        for step, attack in enumerate(CHAIN, start=1):
            for metric in ATTACKS[attack]["metrics"]:
                off = arm == f"without:{step}"
                value = USUAL[metric] if off else _reached(metric, arm, gate)
                about = {"target": target, "scenario": LOOP, "step": step, "steps": 4, "attack": attack, "seed": seed}
                yield _row(rng, metric, value, arm=arm, lap=lap, gate=gate if step > 1 else "", **about)
    about = {"target": target, "scenario": LOOP, "step": 4, "steps": 4, "attack": "inversion", "seed": seed}
    yield _row(rng, "inversion.accuracy", 0.82, arm="reference:victim", **about)


def _gate(target: str, arm: str, seed: int) -> str:
    if arm == "oracle":
        return "accepted"
    if arm == "without:1" or (target != "digits" and arm != "oracle"):
        return "refused"
    return "refused" if arm == "without:3" and seed % 4 == 0 else "accepted"


def _reached(metric: str, arm: str, gate: str) -> float:
    if gate == "refused" and metric == "attack_success":
        return 0.02
    if arm == "without:2" and metric == "fidelity":
        return 0.969
    return REACHED[metric]


def _place(seed: int, step: int, scenario: str = LOOP, target: str = "digits") -> dict[str, Any]:
    return {"target": target, "scenario": scenario, "arm": "attack", "step": step, "lap": 1, "seed": seed}


def _curves(rng: np.random.Generator, seeds: int) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        for arm, lift in (("attack", 0.6), ("baseline", 0.0)):
            members, others = rng.normal(lift, 1, 300), rng.normal(0, 1, 300)
            for threshold in np.sort(np.concatenate([members, others]))[::-12]:
                point = {"x": float((others >= threshold).mean()), "y": float((members >= threshold).mean())}
                names = {"metric": "membership.auc", "curve": "roc", "x_name": "FPR", "y_name": "TPR"}
                yield _place(seed, 1, "membership") | {"arm": arm} | names | point


def _item(target: str, name: str, step: int, private: bool) -> GalleryItem:
    file = f"{'d' if target == 'digits' else 's'}-{name}-{step}.png"
    return GalleryItem(
        target=target, scenario=LOOP, arm="attack", step=step, seed=0, name=name, file=file, private=private
    )


GALLERY = tuple(
    _item(target, name, step, private)
    for target in ("digits", SCANS)
    for name, step, private in (
        ("marked", 1, False),
        ("attacked", 1, False),
        ("poisoned", 2, False),
        ("inverted", 4, True),
    )
)


def record(seeds: int) -> RunRecord:
    facts: dict[str, Any] = {
        "classes": 10,
        "architecture": {"name": "mlp", "parameters": {"hidden": [64, 64]}, "mean": None, "outputs": "logits"},
        "recipe": {"epochs": 40, "optimiser": "sgd"},
        "access": ["labels", "scores"],
        "defences": ["WatermarkGate"],
        "victim": {"train_accuracy": {"mean": 1.0, "seeds": seeds}, "test_accuracy": {"mean": 0.966, "seeds": seeds}},
    }
    return RunRecord(
        run="r1",
        name=f"nightly {HOSTILE}",
        threatloop="0.1.0",
        started="2026-11-22T08:00:00Z",
        seconds=171.2,
        peak_memory_mib=1410.0,
        run_seed=0,
        seeds=seeds,
        command="threatloop audit audit.yaml --seeds 12",
        spec={"name": f"nightly {HOSTILE}", "targets": {"digits": {"data": "digits"}}, "seeds": seeds},
        targets={
            "digits": {"source": "digits", "records": 1797, "public": True, **facts},
            SCANS: {"source": "scans.npz", "records": 4708, "public": False, **facts},
            TABLE: {"source": "breast_cancer", "records": 569, "public": True, **facts, "classes": 2},
        },
        scenarios={LOOP: {"attacks": list(CHAIN), "laps": 2}, "membership": {"attacks": ["lira"], "laps": 1}},
        attacks=ATTACKS,
        metrics=METRICS,
        tasks={"planned": 420, "executed": 400, "cached": 20, "failed": 1, "retried": 2},
        environment={"python": "3.11.9", "torch": "2.13.0", "cores": 2, "device": "cpu", "dtype": "bfloat16"},
        errors=(Notice(target=TABLE, scenario="membership", seed=3, what="lira", why=f"diverged: loss nan {HOSTILE}"),),
        not_assessed=(
            Notice(target=TABLE, scenario=LOOP, what="removal", why="tables have no watermark to remove"),
            Notice(target=TABLE, scenario=LOOP, what="inversion", why="over budget"),
        ),
        self_checks=(
            Notice(target="digits", scenario=LOOP, what="inversion", why="the loss did not fall", passed=False),
            Notice(target="digits", scenario="membership", what="planted leak", why="found, AUC .98", passed=True),
        ),
        notes=("split is not exchangeable: no-query AUC .53 [.51, .55]",),
        gallery=GALLERY,
    )


@cache
def default_run() -> Run:
    """The run that most tests share."""
    return synthetic_run()


@cache
def default_summary() -> Summary:
    """Its summary."""
    return summarise(default_run().record, default_run().rows)
