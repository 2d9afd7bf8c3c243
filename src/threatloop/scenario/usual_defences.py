"""The defences that ``threatloop audit --defences`` tries, one at a time, beside what a spec names."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from threatloop.core.catalogue import DEFENCES
from threatloop.scenario.build import Audit
from threatloop.scenario.conditions import Condition, name_of, set_problems

USUAL: Final = (
    *("label_noise_filter", "knn_filter", "spectral_signatures"),
    *("label_smoothing", "mixup", "early_stopping", "dp_sgd"),
    "fine_pruning",
    *("rounding", "top_k", "labels_only", "answer_noise"),
)
"""Of every stage those that are used most. Names that the catalogue lacks are passed over."""


def with_usual_defences(audit: Audit) -> Audit:
    """The audit with every usual defence as a condition of its own, unless the spec tries or stands behind it anyway.

    The conditions become part of the spec, so that the run's ``spec.yaml`` repeats them by name.
    """
    tried = {name_of(one.defences[0]) for one in audit.conditions if len(one.defences) == 1}
    added = []
    for name in USUAL:
        if name in DEFENCES.rows and name not in tried and name not in audit.spec.defences:
            condition = Condition(name, (DEFENCES.load(name)(),))
            beside = [set_problems((*target.defences, *condition.defences), name) for target in audit.targets.values()]
            if not any(beside):
                added.append(condition)
    names = [condition.name for condition in added]
    spec = audit.spec.model_copy(update={"defences": {**audit.spec.defences, **{name: (name,) for name in names}}})
    return replace(audit, spec=spec, conditions=(*audit.conditions, *added), optional=audit.optional | frozenset(names))
