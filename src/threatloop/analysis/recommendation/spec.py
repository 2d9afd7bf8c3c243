"""The recommended set as a spec that is ready to run: on fresh seeds, beside the target as it is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import yaml

from threatloop.analysis.recommendation.advice import Advice
from threatloop.core.measurement import RunRecord

CONDITION: Final = "recommended"
HEAD: Final = "# recommended by threatloop: "
"""Begins every such text, so that a file with it may be replaced by the next recommendation."""


def rerun(record: RunRecord, advice: Advice) -> dict[str, Any]:
    """The run's spec with one target and one set of defences, and a run seed of its own.

    The set is a condition, so that it is measured against no defence and by attackers who know it.
    """
    spec = deepcopy(record.spec)
    spec["name"] = f"{spec.get('name', 'audit')}-{CONDITION}"
    # The seeds that chose the set would flatter it.
    spec["seed"] = record.run_seed + 1
    spec["targets"] = {advice.target: spec.get("targets", {}).get(advice.target, {})}
    spec.pop("defences", None)
    if advice.chosen.spec:
        spec["defences"] = {CONDITION: list(advice.chosen.spec)}
    spec["scenarios"] = {
        name: {key: value for key, value in found.items() if key != "targets"}
        for name, found in spec.get("scenarios", {}).items()
        if advice.target in (found.get("targets") or [advice.target])
    }
    return spec


def as_yaml(record: RunRecord, advice: Advice) -> str:
    """The same as text, with a line that says what it is."""
    written = yaml.safe_dump(rerun(record, advice), sort_keys=False, allow_unicode=True)
    return f"{HEAD}{advice.target.encode('unicode_escape').decode()}, from run {record.run}, on fresh seeds\n{written}"
