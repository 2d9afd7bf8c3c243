"""How far a clone answers as its victim does."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo


class Fidelity(Metric):
    """Share of held-out records on which clone and victim agree; also where the victim errs.

    Overall agreement saturates: two accurate models agree wherever both are right. Agreement on the victim's mistakes
    shows that its function was copied, not only its task (Jagielski et al. 2020, arXiv 1909.01838, section 3).
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Fidelity",
        unit="rate",
        worst=1.0,
        margin=0.02,
        needs=frozenset({"outcome", "victim", "test"}),
        meaning="Share of held-out records to which the stolen clone and the victim give the same answer; also given "
        "where the victim errs.",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import predicted, rate

        test = case.get("test", Dataset)
        victim, clone = (predicted(case.get(name, Model), test, case) for name in ("victim", "outcome"))
        agree, errs = clone == victim, victim != test.y
        overall = rate("fidelity", agree, "there are no held-out records")
        where = rate("fidelity.where_victim_errs", agree[errs], "the victim errs on no held-out record")
        return Graded((overall, where), records={"fidelity.agree": agree, "fidelity.victim_errs": errs})
