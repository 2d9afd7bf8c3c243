"""An ingest gate that refuses third-party data which carries a registered owner's watermark."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.protection import GateDecision, IngestGate, Registration
from threatloop.core.seeds import Streams


class WatermarkGate(IngestGate):
    """Tests a contribution for the mark of every registered owner; refuses it when any test is significant.

    The false-positive rate is for the whole contribution and all owners together (Bonferroni). Each owner deposits his
    key and clean records, from which the detector's host statistics come. Without an owner every contribution passes.

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

    def inspect(self, contribution: Dataset, registered: tuple[Registration, ...], streams: Streams) -> GateDecision:  # noqa: ARG002
        if not registered:
            return GateDecision(True, 1.0, "no owner has registered a mark")
        p = min(1.0, len(registered) * min(owner.detect(contribution).p_set for owner in registered))
        accepted = p >= self.false_positive_rate
        verb, limit = "accepted" if accepted else "refused", f"{self.false_positive_rate:g}"
        return GateDecision(accepted, p, f"{verb}: p = {p:.2g} for a registered mark, limit {limit}")
