"""Are texts still recognised, one by one?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.metric import Case, Exchange, Graded, Metric, MetricInfo, Reading
from threatloop.core.protection import Marker
from threatloop.modality.conversation import read, text_of

OWNER = "owner"
NULL_SCORES = 2000
"""Scores of unmarked texts that a threshold comes from, at least."""
MOST_KEYS, MOST_SHOWN = 50, 12

Floats = npt.NDArray[np.float64]


class TextWatermarkEscapes(Metric):
    """Share of single texts that the owner no longer recognises at the false-positive rate, in [0, 1].

    The threshold is the largest at which no more than that share of unmarked texts would be taken for marked. These are
    the owner's records as they were before he marked them, hence of the same length, and the attacker's, under the
    owner's key and under as many others as make 2,000 scores: no single hundred of texts tells what happens to one in
    a hundred.

    ``.tpr`` is the rest, ``.tpr_before`` the same of the marked texts that nobody attacked, ``.z`` and ``.z_before``
    are of the test over all texts together, ``.false_positives`` is the share of unmarked texts that are
    found under the owner's own key.
    """

    info: ClassVar[MetricInfo] = MetricInfo(
        title="Texts escape detection",
        unit="rate",
        worst=1.0,
        margin=0.05,
        needs=frozenset({"outcome", "original", "protected", "held", "writer"}),
        meaning="share of texts that the owner's detector no longer finds, at a threshold that takes 1 % of unmarked "
        "texts of the same length for marked",
    )

    false_positive_rate: float = Field(default=0.01, gt=0, lt=0.5)

    def grade(self, case: Case) -> Graded:
        from threatloop.algorithms.grading import rate

        marker = case.protection
        if not isinstance(marker, Marker):
            raise NotAssessable("this protection leaves no mark that could be detected")
        original, key, name = case.get("original", Dataset), case.keys[OWNER], "text_watermark_escapes"
        unmarked = [original, case.get("held", Dataset)]
        under_key = np.concatenate([marker.detect(data, key, original).p_per_record for data in unmarked])
        threshold = self._threshold(case, marker, unmarked, under_key)
        after = marker.detect(case.get("outcome", Dataset), key, original)
        before = marker.detect(case.get("protected", Dataset), key, original)
        found, found_before = after.p_per_record <= threshold, before.p_per_record <= threshold
        nothing = "there are no texts"
        readings = (
            rate(name, ~found, nothing),
            rate(f"{name}.tpr", found, nothing),
            rate(f"{name}.tpr_before", found_before, nothing),
            Reading(f"{name}.z", after.z_set, len(found)),
            Reading(f"{name}.z_before", before.z_set, len(found_before)),
            rate(f"{name}.false_positives", under_key <= threshold, nothing),
        )
        outcome = case.get("outcome", Dataset)
        said = [text_of(record) for record in read(outcome.x[:MOST_SHOWN])]
        texts = [
            Exchange(int(i), "", text, "recognised" if seen else "no longer recognised", not seen)
            for i, text, seen in zip(outcome.ids[:MOST_SHOWN], said, found[:MOST_SHOWN], strict=True)
        ]
        records = {"p_marked": before.p_per_record, "p_attacked": after.p_per_record}
        return Graded(readings, records=records, texts=tuple(texts))

    def _threshold(self, case: Case, marker: Marker, unmarked: list[Dataset], under_key: Floats) -> float:
        rng, scores = case.streams.numpy("other-keys"), [under_key]
        keys = [rng.bytes(16) for _ in range(min(MOST_KEYS, -(-NULL_SCORES // max(1, len(under_key))) - 1))]
        for data in unmarked:
            scores += [found.p_per_record for found in marker.detect_under(data, keys, unmarked[0])]
        return threshold_at(np.concatenate(scores), self.false_positive_rate)


def threshold_at(unmarked: Floats, rate: float) -> float:
    """The largest of these p-values that at most a share ``rate`` of them reach; below all where none is.

    Raises:
        NotAssessable: fewer than ``1 / rate`` of them.
    """
    if len(unmarked) < 1 / rate:
        raise NotAssessable(f"{len(unmarked)} scores of unmarked texts give no threshold for {rate:g} false positives")
    ordered = np.sort(unmarked)
    reached = np.searchsorted(ordered, ordered, side="right") / len(ordered)
    allowed = ordered[reached <= rate]
    return float(allowed[-1]) if len(allowed) else float(np.nextafter(ordered[0], 0.0))
