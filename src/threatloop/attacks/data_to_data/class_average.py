"""The strongest guess at hidden records without looking at them: the average of the attacker's own of their class."""

from __future__ import annotations

from typing import ClassVar

from threatloop.core.assets import Dataset
from threatloop.core.attack import DataToData
from threatloop.core.bench import Bench, Resource
from threatloop.core.step import AttackInfo, Direction


class ClassAverage(DataToData):
    """Every record becomes the mean of the attacker's own records of its class; labels are not hidden by an encoding.

    Aligned images resemble their average so much that an attack that recovers nothing seems to succeed beside the
    encoded ones. Returns float32 records in their range, same labels and ids; a class of which he has none becomes the
    mean of all.

    Raises:
        NotAssessable: records that cannot be averaged.
    """

    info: ClassVar[AttackInfo] = AttackInfo(
        title="Class average",
        direction=Direction.DATA_TO_DATA,
        knowledge="records of the same kind with labels, and the labels of the protected ones",
        modalities=frozenset({"image"}),
        metrics=(),
        paper="baseline",
        baseline="class_average",
        resources=frozenset({Resource.QUERY_POOL}),
        undoes=("block_scramble", "etc", "pixel_encryption", "instahide"),
    )

    def transform(self, data: Dataset, bench: Bench) -> Dataset:
        import numpy as np

        from threatloop import modality

        pool = bench.data(Resource.QUERY_POOL)
        kind = modality.of(data.schema)
        known = kind.encode(pool.x, pool.schema)
        whole = known.mean(axis=0)
        means = [known[pool.y == c].mean(axis=0) if (pool.y == c).any() else whole for c in range(data.n_classes)]
        return data.with_x(kind.decode(np.stack(means)[data.y], data.schema))
