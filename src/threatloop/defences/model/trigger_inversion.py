"""Detection of a backdoor by reversing triggers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset, Model
from threatloop.core.defence import DefenceInfo, Inspected, Inspection, Stage
from threatloop.core.seeds import Streams
from threatloop.core.training import Training


class TriggerInversion(Inspection):
    """Finds for every class the smallest patch that has all clean records taken for it; a far smaller one is a trigger.

    The score is the anomaly index of the smallest: how many deviations (by the median absolute deviation over classes)
    it lies below the median; above ``threshold`` the model is flagged. With fewer than five classes their median means
    nothing, and sizes are compared, in logarithms, with those of honest models trained on the own records alone. Finds
    patches of a few pixels or columns; triggers spread over the whole record (blended, warped) are not small and
    escape.

    Costs ``steps`` passes forth and back over ``batch`` records per class, and with few classes as many again, and a
    training, for each honest model.

    Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019, "Neural Cleanse: Identifying and Mitigating Backdoor Attacks in
    Neural Networks", IEEE S&P, sections IV-B and IV-C.

    Attributes:
        steps: of the search.
        batch: clean records per step.
        success: share of records that a patch must flip.
        threshold: anomaly index above which a model is flagged.
        references: honest models, where there are fewer than five classes.

    Raises:
        NotAssessable: records that cannot be changed by small steps, or own records of one class only.
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
    references: int = Field(default=5, ge=2)

    def inspect(self, model: Model, own: Dataset, training: Training, streams: Streams) -> Inspected:
        from threatloop.algorithms.trigger_evidence import Effort, evidence

        effort = Effort(self.steps, self.batch, self.success, self.references)
        score = float(evidence(model, own, training, streams, effort)[1].max())
        return Inspected(score > self.threshold, score)
