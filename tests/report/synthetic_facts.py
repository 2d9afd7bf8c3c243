"""What the made-up run is about: its attacks, its metrics, and the values that they reach."""

from __future__ import annotations

from typing import Any

from threatloop.core.measurement import MetricNote

HOSTILE = "<script>alert(1)</script>"
SCANS = f"scans & co {HOSTILE}"
"""A private target whose gate holds."""
TABLE = "breast_cancer"
LOOP = "full loop"

METRICS = {
    "watermark.detected": MetricNote(
        title="Watermark still detected", unit="rate", worst=0.0, margin=0.05, meaning="Share at 1 % false alarms."
    ),
    "psnr": MetricNote(title="PSNR", unit="dB", worst=None, margin=1.0, meaning="Fidelity to the marked image."),
    "attack_success": MetricNote(
        title="Backdoor success", unit="rate", worst=1.0, margin=0.05, meaning="Triggered inputs sent to the target."
    ),
    "clean_accuracy": MetricNote(
        title="Clean accuracy", unit="rate", worst=None, margin=0.05, meaning="Accuracy without the trigger."
    ),
    "fidelity": MetricNote(title="Fidelity", unit="rate", worst=1.0, margin=0.05, meaning="Agreement with the victim."),
    "inversion.accuracy": MetricNote(
        title="Inversion accuracy", unit="rate", worst=1.0, margin=0.05, meaning="Independent evaluator's accuracy."
    ),
    "membership.auc": MetricNote(
        title="Membership AUC", unit="auc", worst=1.0, margin=0.02, meaning="Ranks members above non-members."
    ),
    "membership.tpr_at_1pct": MetricNote(
        title="TPR at 1 % FPR", unit="rate", worst=1.0, margin=0.05, meaning="Members found at 1 % false alarms."
    ),
}


def _attack(title: str, direction: str, baseline: str, *metrics: str) -> dict[str, Any]:
    return {
        "title": title,
        "direction": direction,
        "knowledge": "knows the scheme, not the key",
        "paper": "Doe 2020",
        "atlas": ["AML.T0020"],
        "baseline": baseline,
        "metrics": list(metrics),
    }


ATTACKS = {
    "removal": _attack("Watermark removal", "D→D", "identity", "watermark.detected", "psnr"),
    "badnets": _attack("BadNets trigger", "D→M", "honest training", "attack_success", "clean_accuracy"),
    "stealing": _attack("Functionality stealing", "M→M", "surrogate", "fidelity", "fidelity.where_victim_errs"),
    "inversion": _attack("Gradient inversion", "M→D", "class means", "inversion.accuracy"),
    "lira": _attack("LiRA", "M→D", "no-query classifier", "membership.auc", "membership.tpr_at_1pct"),
}
CHAIN = ("removal", "badnets", "stealing", "inversion")
REACHED = {
    "watermark.detected": 0.08,
    "psnr": 27.0,
    "attack_success": 0.84,
    "clean_accuracy": 0.955,
    "fidelity": 0.968,
    "fidelity.where_victim_errs": 0.55,
    "inversion.accuracy": 0.80,
    "membership.auc": 0.61,
    "membership.tpr_at_1pct": 0.07,
}
USUAL = {
    "watermark.detected": 0.99,
    "psnr": 36.1,
    "attack_success": 0.03,
    "clean_accuracy": 0.957,
    "fidelity": 0.940,
    "fidelity.where_victim_errs": 0.31,
    "inversion.accuracy": 0.80,
    "membership.auc": 0.50,
    "membership.tpr_at_1pct": 0.01,
}
SPREAD = {"psnr": 0.4, "inversion.accuracy": 0.02}
