"""An ingest gate that refuses third-party data which carries a registered owner's watermark."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop import modality
from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, GateDecision, IngestGate, Stage
from threatloop.core.seeds import Streams


class WatermarkGate(IngestGate):
    """Tests a contribution for the mark of every registered key; refuses it when any test is significant.

    The false-positive rate is for the whole contribution and all keys together (Bonferroni). Host statistics come from
    the operator's own clean records. Contributions without a key to test are accepted.

    Paper: Cox et al. 1997, "Secure spread spectrum watermarking for multimedia", IEEE TIP 6(12); the use as a gate is
    ours.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Watermark ingest gate",
        stage=Stage.DATA,
        modalities=frozenset({"image"}),
        paper="Cox et al. 1997, Secure spread spectrum watermarking for multimedia, IEEE TIP 6(12)",
        atlas=("AML.M0007",),
    )

    false_positive_rate: float = Field(default=0.01, gt=0, lt=0.5, description="unmarked contributions refused")

    def inspect(
        self,
        contribution: Dataset,
        reference: Dataset,
        keys: tuple[bytes, ...],
        streams: Streams,  # noqa: ARG002
    ) -> GateDecision:
        from threatloop.algorithms.watermark import detect
        from threatloop.algorithms.watermark_host import host_statistics

        if not keys:
            return GateDecision(True, 1.0, "no owner has registered a key")
        kind = modality.of(contribution.schema)
        host = host_statistics(kind.watermark_view(reference.x, reference.schema))
        images = kind.watermark_view(contribution.x, contribution.schema)
        p = min(1.0, len(keys) * min(detect(images, key, host).p_set for key in keys))
        accepted = p >= self.false_positive_rate
        verb = "accepted" if accepted else "refused"
        return GateDecision(accepted, float(p), f"{verb}: p = {p:.2g} for a registered mark, limit {self.false_positive_rate:g}")
