"""Detection of a backdoor by reversing triggers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Inspected, Inspection
from threatloop.core.errors import NotAssessable
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class TriggerInversion(Inspection):
    """Finds for every class the smallest patch that has all clean records taken for it; a far smaller one is a trigger.

    The score is the anomaly index of the smallest: how many deviations (by the median absolute deviation over classes)
    it lies below the median; above ``threshold`` the model is flagged. A deviation counts as 15 % of the median at
    least, which the paper does not ask for, so that classes that are much alike raise no alarm. Finds patches that are
    smaller than what flips an honest model: triggers spread over the whole record (blended, warped) escape.

    Costs ``steps`` passes forth and back over ``batch`` records per class.

    Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019, "Neural Cleanse: Identifying and Mitigating Backdoor Attacks in
    Neural Networks", IEEE S&P, sections IV-B and IV-C.

    Attributes:
        steps: of the search.
        batch: clean records per step.
        success: share of records that a patch must flip.
        threshold: anomaly index above which a model is flagged.

    Raises:
        NotAssessable: fewer than five classes, or records that cannot be changed by small steps.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Trigger reverse-engineering (Neural Cleanse)",
        stage=Stage.MODEL,
        modalities=frozenset({"image", "tabular"}),
        paper="Wang et al. 2019, Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks, IEEE "
        "S&P, sections IV-B and IV-C",
        atlas=("AML.M0008",),
    )

    steps: int = Field(default=500, ge=1)
    batch: int = Field(default=32, ge=1)
    success: float = Field(default=0.99, gt=0, le=1)
    threshold: float = Field(default=2.0, gt=0)

    def inspect(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Inspected:
        from threatloop.algorithms.trigger_evidence import ENOUGH_CLASSES, Effort, among_classes, triggers_of

        if own.n_classes < ENOUGH_CLASSES:
            raise NotAssessable(
                f"{own.n_classes} classes say nothing of how small a trigger is usual: the inspection needs "
                f"{ENOUGH_CLASSES}; the repairs trigger_unlearning and fine_pruning work with fewer"
            )
        effort = Effort(self.steps, self.batch, self.success)
        score = float(among_classes(triggers_of(model, own, training, streams, effort).sizes).max())
        return Inspected(score > self.threshold, score)
