"""The victims that evasion is compared on: small CNNs, trained as usual and on adversarial examples, and their data."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from threatloop.core.assets import SCHEMA, Architecture, Dataset, Model
from threatloop.core.schema import ImageSchema
from threatloop.models.build import build
from threatloop.models.network import dump

CNN = Architecture(name="cnn", mean=(0.5,), std=(0.25,))
EPSILON = {
    ("pneumoniamnist", "standard", "linf"): 2 / 255,
    ("pneumoniamnist", "adversarial", "linf"): 8 / 255,
    ("pneumoniamnist", "standard", "l2"): 0.2,
    ("pneumoniamnist", "adversarial", "l2"): 1.0,
    ("cifar10", "standard", "linf"): 1 / 255,
    ("cifar10", "adversarial", "linf"): 4 / 255,
    ("cifar10", "standard", "l2"): 0.1,
    ("cifar10", "adversarial", "l2"): 0.25,
}
TRAINING = {"pneumoniamnist": (8, 10 / 255), "cifar10": (16, 4 / 255)}
"""Epochs, and ε of adversarial training."""


def pneumoniamnist(folder: Path) -> tuple[Dataset, Dataset]:
    with np.load(folder / "pneumoniamnist.npz", allow_pickle=False) as found:
        arrays = {name: np.array(found[name]) for name in found.files}
    schema = ImageSchema(classes=("normal", "pneumonia"), channels=1, height=28, width=28)
    return _dataset(arrays["train_images"][:, None], arrays["train_labels"], schema), _dataset(
        arrays["test_images"][:, None], arrays["test_labels"], schema
    )


def cifar10(folder: Path) -> tuple[Dataset, Dataset]:
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "cifar10_jpeg.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        classes = tuple(sorted({name.split("/")[1] for name in names}))
        schema = ImageSchema(classes=classes, channels=3, height=32, width=32)
        parts = []
        for part, count in (("train/", 10_000), ("test/", 1000)):
            some = [name for name in names if name.startswith(part)]
            some = [some[i] for i in rng.permutation(len(some))[:count]]
            x = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in some])
            y = np.array([classes.index(name.split("/")[1]) for name in some])
            parts.append(_dataset(x.transpose(0, 3, 1, 2), y, schema))
    return parts[0], parts[1]


READERS: dict[str, Callable[[Path], tuple[Dataset, Dataset]]] = {"pneumoniamnist": pneumoniamnist, "cifar10": cifar10}


def _dataset(x: NDArray[Any], y: NDArray[Any], schema: ImageSchema) -> Dataset:
    return Dataset(np.ascontiguousarray(x, np.uint8), y.reshape(-1).astype(np.int64), schema, np.arange(len(x)))


def trained(data: Dataset, epochs: int, epsilon: float) -> Model:
    """A CNN, trained on PGD-3 examples of its own where ε > 0."""
    assert isinstance(data.schema, ImageSchema)
    channels = data.schema.channels
    architecture = CNN.model_copy(update={"mean": (0.5,) * channels, "std": (0.25,) * channels})
    generator = torch.Generator().manual_seed(0)
    network = build(architecture, data.schema, generator)
    x, y = torch.from_numpy(data.x.astype(np.float32) / 255), torch.from_numpy(data.y)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    batches = -(-len(x) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(x), generator=generator), 128):
            seen = _pgd3(network, x[rows], y[rows], epsilon) if epsilon else x[rows]
            network.train()
            optimiser.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(network(seen), y[rows])
            loss.backward()
            optimiser.step()
            schedule.step()
    return dump(network, architecture, data.schema)


def _pgd3(network: Any, x: torch.Tensor, y: torch.Tensor, epsilon: float) -> torch.Tensor:
    network.eval()
    moved = x.clone()
    for _ in range(3):
        moved.requires_grad_(True)
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(network(moved), y), moved)
        moved = (moved.detach() + epsilon / 2 * slope.sign()).clamp(x - epsilon, x + epsilon).clamp(0, 1)
    return moved


def victim(name: str, kind: str, data: Dataset, cache: Path) -> Model:
    """The trained model, from the cache where it is there."""
    epochs, epsilon = TRAINING[name]
    file = cache / f"{name}-{kind}.npz"
    if not file.exists():
        save(trained(data, epochs, epsilon if kind == "adversarial" else 0.0), file)
    return restored(file)


def save(model: Model, file: Path) -> None:
    about = {"architecture": model.architecture.model_dump(mode="json"), "schema": model.schema.model_dump(mode="json")}
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), **model.weights}
    np.savez(file, **arrays)


def restored(file: Path) -> Model:
    with np.load(file, allow_pickle=False) as found:
        weights = {name: np.array(found[name]) for name in found.files if name != "about"}
        about = json.loads(str(found["about"]))
    return Model(Architecture.model_validate(about["architecture"]), SCHEMA.validate_python(about["schema"]), weights)
