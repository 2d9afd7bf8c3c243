"""Models per CPU-minute: the ensemble trainer against the textbook loop, interleaved, one thread, same recipe.

    python benchmarks/ensemble.py [PNEUMONIAMNIST.npz]

Targets: at least 4 times for multilayer perceptrons, at least 2 times for the convolutional network.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "algorithms"))

from plain_loop import plain_fit

from threatloop.algorithms.ensemble import fit_ensemble
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.models.defaults import default_recipe

ROUNDS = 5


@dataclass(frozen=True)
class Case:
    """One comparison: half of ``data`` per model, ``fast`` models against ``plain`` models in every round."""

    name: str
    architecture: Architecture
    data: Dataset
    recipe: Recipe
    fast: int
    plain: int


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process, all threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(case: Case) -> tuple[float, float]:
    """Median models per CPU-minute, (fast, plain)."""
    rng = np.random.default_rng(0)
    half = len(case.data) // 2
    masks = np.stack([rng.permutation(len(case.data)) < half for _ in range(case.fast)])
    streams = [Streams(0, (f"model-{k}",)) for k in range(case.fast)]

    def fast() -> Sequence[Model]:
        return fit_ensemble(case.architecture, case.data, masks, case.recipe, streams)

    def plain() -> Sequence[Model]:
        pairs = list(zip(masks, streams, strict=True))[: case.plain]
        return [plain_fit(case.architecture, case.data.take(m), case.recipe, s) for m, s in pairs]

    times = [(cpu_seconds(fast) / case.fast, cpu_seconds(plain) / case.plain) for _ in range(ROUNDS)]
    return 60 / statistics.median(t for t, _ in times), 60 / statistics.median(t for _, t in times)


def synthetic_images(n: int) -> Dataset:
    """Random 28×28 grey images of two classes: as much work as PneumoniaMNIST, where that is not at hand."""
    rng = np.random.default_rng(0)
    schema = ImageSchema(classes=("0", "1"), channels=1, height=28, width=28)
    x = rng.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)
    return Dataset(x, rng.integers(0, 2, n), schema, np.arange(n))


def cases(npz: Path | None) -> list[Case]:
    """The three comparisons; the convolutional one with few epochs, since its cost per epoch is constant."""
    digits, table = (parse_source(name).read(Path()).dataset for name in ("digits", "breast_cancer"))
    images = synthetic_images(4708) if npz is None else parse_source({"npz": str(npz)}).read(Path()).dataset
    mlp, cnn = Architecture(name="mlp"), Architecture(name="cnn")
    recipe = default_recipe(images.schema, cnn, len(images)).model_copy(update={"epochs": 1})
    return [
        Case("mlp 64-64, digits", mlp, digits, default_recipe(digits.schema, mlp, 898), 32, 4),
        Case("mlp 64-64, 30 columns", mlp, table, default_recipe(table.schema, mlp, 284), 32, 4),
        Case("cnn, 28x28, 1 epoch", cnn, images, recipe, 2, 2),
    ]


def main() -> None:
    torch.set_num_threads(1)
    npz = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print(f"{'case':24} {'ensemble':>10} {'plain':>8} {'ratio':>6}   (models per CPU-minute, median of {ROUNDS})")
    for case in cases(npz):
        fast, plain = measure(case)
        print(f"{case.name:24} {fast:10.1f} {plain:8.1f} {fast / plain:6.2f}")


if __name__ == "__main__":
    main()
