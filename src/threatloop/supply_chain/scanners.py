"""How the scan calls its scanners of dependencies and of model files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from threatloop.supply_chain.dependencies.model import Dependency
from threatloop.supply_chain.result import Place, Result, Skipped


@dataclass(frozen=True)
class Dependencies:
    """What the manifests say.

    Attributes:
        result: findings, errors, skipped, read.
        declared: every dependency.
        edges: of the graphs of lock files: normal names.
    """

    result: Result = Result()
    declared: tuple[Dependency, ...] = ()
    edges: frozenset[tuple[str, str]] = frozenset()


def is_manifest(path: Path) -> bool:
    """Whether a file declares dependencies."""
    return path.name == "requirements.txt"


def model_suffixes() -> frozenset[str]:
    """Extensions of model files."""
    return frozenset({".pt", ".pth", ".bin", ".pkl", ".safetensors", ".gguf", ".onnx", ".h5", ".keras"})


def read_dependencies(
    manifests: Sequence[Path], roots: Sequence[Path], advisories: Path | None, online: bool, environment: bool
) -> Dependencies:
    """Read the manifests and compare them with the advisories."""
    return Dependencies(Result(skipped=tuple(Skipped(Place(str(path)), "no scanner yet") for path in manifests)))


def scan_models(paths: Iterable[Path]) -> Result:
    """Scan model files."""
    return Result(skipped=tuple(Skipped(Place(str(path)), "no scanner yet") for path in paths))
