"""``medmnist:NAME``: the file that the medmnist package keeps, or that package's own download."""

from __future__ import annotations

import importlib
import importlib.util
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from threatloop.core.digests import digest_file
from threatloop.core.errors import InputError
from threatloop.data.npz import read_npz
from threatloop.data.source import Raw, Source

ORGANS = "path", "derma", "oct", "pneumonia", "retina", "breast", "blood", "tissue", "organa", "organc", "organs"
NAMES = tuple(f"{organ}mnist" for organ in ORGANS)
"""The two-dimensional single-label sets of MedMNIST v2."""
SIZES = (28, 64, 128, 224)


class MedMnist(Source):
    """One MedMNIST v2 set by name, such as ``pneumoniamnist``, or ``pneumoniamnist_64`` for larger images.

    Yang et al. 2023, "MedMNIST v2", arXiv 2110.14795.
    """

    key: ClassVar[str] = "medmnist"

    medmnist: str
    public: bool = True

    @field_validator("medmnist")
    @classmethod
    def _known(cls, name: str) -> str:
        stem, _, size = name.partition("_")
        if stem not in NAMES:
            near = get_close_matches(stem, NAMES, 1, 0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"unknown MedMNIST set {name!r}; {hint}known: {', '.join(NAMES)}")
        if size and not (re.fullmatch(r"\d+", size) and int(size) in SIZES):
            raise ValueError(f"{name!r}: allowed sizes are {', '.join(map(str, SIZES))}")
        return name.removesuffix("_28")

    @property
    def title(self) -> str:
        return f"medmnist:{self.medmnist}"

    def _paths(self) -> set[str]:
        return set()

    def _content(self, base: Path) -> str:  # noqa: ARG002
        return digest_file(self._file())

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:  # noqa: ARG002
        return read_npz(self._file(), self.title, None, cache, digest)

    def _file(self) -> Path:
        path = Path.home() / ".medmnist" / f"{self.medmnist}.npz"
        if not path.is_file():
            self._download(path)
        return path

    def _download(self, path: Path) -> None:
        if importlib.util.find_spec("medmnist") is None:
            raise InputError(
                f"{self.title}: {path} is not there and the medmnist package, which downloads it, is not installed; "
                "put the file there, install the extra 'medmnist', or name a file with npz: PATH"
            )
        stem, _, size = self.medmnist.partition("_")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            package: Any = importlib.import_module("medmnist")
            known = getattr(package, package.INFO[stem]["python_class"])
            known(split="train", download=True, root=str(path.parent), size=int(size) if size else None)
        except Exception as error:  # the package raises whatever its network and file calls do
            reason = str(error).strip().splitlines()
            raise InputError(
                f"{self.title}: download failed: {reason[0] if reason else type(error).__name__}"
            ) from None
        if not path.is_file():
            raise InputError(f"{self.title}: the download left no {path}")
