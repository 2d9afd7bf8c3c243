"""How well a language model still says what it should."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset, Model
from threatloop.core.metric import Case, Graded, Metric, MetricInfo, Reading

MOST_RECORDS = 100


class TextQuality(Metric):
    """Mean loss of held-out texts, in nats a token; describes, and is no harm by itself."""

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Loss on held-out text",
        unit="nats",
        worst=None,
        margin=0.05,
        needs=frozenset({"outcome", "test"}),
        meaning="Mean negative log-likelihood per token of held-out texts.",
    )

    def grade(self, case: Case) -> Graded:
        from threatloop import modality
        from threatloop.models.responder import responder_of

        test, model = case.get("test", Dataset).take(slice(0, MOST_RECORDS)), case.get("outcome", Model)
        responder = case.behind_defences(model, responder_of(model, case.device, allow_code=case.allow_code))
        losses = modality.of(test.schema).losses(responder.log_probs(test.x), test)
        return Graded((Reading("text_quality", float(losses.mean()), len(test)),))
