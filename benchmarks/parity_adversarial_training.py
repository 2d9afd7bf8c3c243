"""Prints robust accuracy after our adversarial training beside that after ART's trainer, at the same budget.

    python benchmarks/parity_adversarial_training.py [DATA_FOLDER] [--peer PYTHON] [--seeds 3] [--only digits]

PYTHON is the interpreter of an environment that holds ART and what threatloop needs. Same architecture, initial
distribution, preprocessing, optimiser and its schedule, epochs, batch size, and PGD steps; only who trains differs. The
judge is our PGD with 40 steps, on held-out records. Differences in points, mean over the seeds; the bar is two points.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from threatloop.algorithms.batches import statistics
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_data.pgd import PGD
from threatloop.core.assets import SCHEMA, Architecture, Dataset, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.recipe import Recipe
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.data.embedded import Embedded
from threatloop.defences.training.adversarial_training import AdversarialTraining
from threatloop.models.build import build
from threatloop.models.network import dump

CASES: dict[str, tuple[str, int, float]] = {"digits": ("mlp", 20, 0.1), "pneumoniamnist": ("cnn", 8, 8 / 255)}
"""Architecture, epochs and ε."""
STEPS, BATCH, RATE, DECAY = 7, 64, 0.05, 5e-4


def records(name: str, folder: Path, seed: int) -> tuple[Dataset, Dataset]:
    """Training and test records, drawn anew for every seed."""
    if name == "digits":
        raw = Embedded(embedded="digits")._load(Path(), None, "")
        x, y, schema, count = raw.x, raw.y, raw.schema, 1000
    else:
        with np.load(folder / "pneumoniamnist.npz", allow_pickle=False) as found:
            x, y = found["train_images"][:, None], found["train_labels"].ravel().astype(np.int64)
        schema, count = ImageSchema(classes=("normal", "pneumonia"), channels=1, height=28, width=28), 1500
    order = np.random.default_rng(seed).permutation(len(y))
    data = Dataset(x[order], y[order], schema, np.arange(len(y)))
    return data.take(slice(0, count)), data.take(slice(count, count + 600))


def judged(training: RecipeTraining, model: Model, test: Dataset, epsilon: float) -> tuple[float, float]:
    """Accuracy, and accuracy under PGD."""
    service = training.serve(model)
    pgd = PGD(epsilon=epsilon, steps=40, records=len(test))
    bench = Bench(streams=Streams(9), progress=Progress(), resources={Resource.VICTIM: service})
    moved = pgd.run(test, bench).result
    right = [float((service.log_probs(data.x).argmax(1) == test.y).mean()) for data in (test, moved)]
    return right[0], right[1]


def peer_model(python: str, architecture: Architecture, recipe: Recipe, train: Dataset, seed: int, eps: float) -> Model:
    """The network that ART trains, in a process of the other interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "in.npz"
        settings = {
            "schema": train.schema.model_dump(mode="json"),
            "architecture": architecture.model_dump(mode="json"),
            "epochs": recipe.epochs,
            "epsilon": eps,
            "seed": seed,
        }
        x = train.x.astype(np.float32) / 255
        np.savez(file, x=x, y=train.y, settings=json.dumps(settings))
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
        subprocess.run([python, __file__, "--as-peer", str(file)], check=True, env=environment)
        with np.load(Path(folder) / "out.npz") as found:
            return Model(architecture, train.schema, {name: np.array(found[name]) for name in found.files})


def as_peer(file: Path) -> None:
    """In the peer's interpreter: ART's trainer on the same records."""
    estimators: Any = importlib.import_module("art.estimators.classification")
    trainers: Any = importlib.import_module("art.defences.trainer")
    with np.load(file) as found:
        x, y, settings = found["x"], found["y"], json.loads(str(found["settings"]))
    schema = SCHEMA.validate_python(settings["schema"])
    architecture = Architecture.model_validate(settings["architecture"])
    np.random.seed(settings["seed"])  # noqa: NPY002 - ART draws from the global state
    torch.manual_seed(settings["seed"])
    network = build(architecture, schema, torch.Generator().manual_seed(settings["seed"]))
    network.train()
    rates = torch.optim.SGD(network.parameters(), RATE, momentum=0.9, nesterov=True, weight_decay=DECAY)
    steps = settings["epochs"] * int(np.ceil(len(x) / BATCH))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rates, steps)
    classifier = estimators.PyTorchClassifier(
        network,
        loss=torch.nn.CrossEntropyLoss(),
        optimizer=rates,
        input_shape=x.shape[1:],
        nb_classes=len(schema.classes),
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    eps = settings["epsilon"]
    trainer = trainers.AdversarialTrainerMadryPGD(classifier, eps=eps, eps_step=eps / 4, max_iter=STEPS)
    trainer.fit(x, y, batch_size=BATCH, nb_epochs=settings["epochs"], scheduler=schedule)
    weights: dict[str, Any] = dict(dump(network, architecture, schema).weights)
    np.savez(file.parent / "out.npz", **weights)


def compared(name: str, folder: Path, peer: str, seed: int) -> list[tuple[float, float, float]]:
    """Accuracy, robust accuracy and seconds of plain training, of ours, and of ART's, in one seed."""
    kind, epochs, epsilon = CASES[name]
    train, test = records(name, folder, seed)
    # All read the same preprocessing, as ART would not take it from the data.
    found = statistics(train)
    architecture = Architecture(name=kind, mean=tuple(map(float, found.mean)), std=tuple(map(float, found.std)))
    recipe = Recipe(epochs=epochs, batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY)
    plain = RecipeTraining(architecture, recipe)
    ours = AdversarialTraining(epsilon=epsilon, steps=STEPS).applied(plain)
    ways: list[Callable[[], Model]] = [
        lambda: plain.fit(train, Streams(seed)),
        lambda: ours.fit(train, Streams(seed)),
        lambda: peer_model(peer, architecture, recipe, train, seed, epsilon),
    ]
    figures = []
    for way in ways:
        started = time.perf_counter()
        model = way()
        seconds = time.perf_counter() - started
        figures.append((*judged(plain, model, test, epsilon), seconds))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="../shared/data", type=Path)
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--seeds", default=3, type=int)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--as-peer", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.as_peer:
        as_peer(options.as_peer)
        return
    for name in options.only.split(","):
        rows = []
        for seed in range(options.seeds):
            rows.append(compared(name, options.folder, options.peer, seed))
            print(name, seed, [tuple(round(one, 3) for one in row) for row in rows[-1]], flush=True)
        mean = np.mean(rows, axis=0)
        for label, (clean, robust, seconds) in zip(("plain", "threatloop", "ART"), mean, strict=True):
            print(f"{name:15s} {label:11s} accuracy {clean:.3f}  robust {robust:.3f}  seconds {seconds:.1f}")
        print(f"{name:15s} ours − ART: {100 * (mean[1][1] - mean[2][1]):+.1f} points", flush=True)


if __name__ == "__main__":
    main()
