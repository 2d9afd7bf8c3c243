"""Data sets that come with scikit-learn."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from threatloop.core.digests import digest_json
from threatloop.core.schema import Column, ImageSchema, TabularSchema
from threatloop.data.source import Raw, Source


class Embedded(Source):
    """``digits`` (1,797 grey images of 8×8) or ``breast_cancer`` (569 rows of 30 numbers, 2 classes).

    UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998); UCI Breast Cancer Wisconsin
    Diagnostic (Wolberg et al. 1995). Both CC BY 4.0, read from the installed scikit-learn.
    """

    key: ClassVar[str] = "embedded"

    embedded: Literal["digits", "breast_cancer"]
    public: bool = True

    @property
    def title(self) -> str:
        return self.embedded

    def _paths(self) -> set[str]:
        return set()

    def _content(self, base: Path) -> str:  # noqa: ARG002
        return digest_json(version("scikit-learn"))

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:  # noqa: ARG002
        return {"digits": _digits, "breast_cancer": _breast_cancer}[self.embedded]()


def _digits() -> Raw:
    from sklearn.datasets import load_digits  # costs about a second: not at import

    found: Any = load_digits()
    x = np.rint(found.images[:, None] * (255 / 16)).astype(np.uint8)
    schema = ImageSchema(classes=tuple(str(d) for d in range(10)), channels=1, height=8, width=8)
    return Raw(x, found.target.astype(np.int64), schema)


def _breast_cancer() -> Raw:
    from sklearn.datasets import load_breast_cancer

    found: Any = load_breast_cancer()
    x = found.data.astype(np.float32)
    bounds = zip(found.feature_names, x.min(axis=0), x.max(axis=0), strict=True)
    columns = tuple(Column(name=str(name), low=float(low), high=float(high)) for name, low, high in bounds)
    schema = TabularSchema(classes=tuple(str(name) for name in found.target_names), columns=columns)
    return Raw(x, found.target.astype(np.int64), schema)
