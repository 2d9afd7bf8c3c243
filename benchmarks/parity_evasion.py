"""Prints robust accuracy and speed of our evasion attacks beside torchattacks, foolbox and ART, at equal steps.

    python benchmarks/parity_evasion.py [DATA_FOLDER] [--peers PYTHON] [--only pneumoniamnist,cifar10] [--records 256]
        [--cache FOLDER] [--quick]

PYTHON is the interpreter of an environment that holds the peers and what threatloop needs; peers that it lacks are
skipped and named. Victims are a CNN trained as usual and one trained on adversarial examples, on `pneumoniamnist.npz`
and on 10,000 images of `cifar10_jpeg.zip`. Every output is judged here alike: bounds, norm, and the victim's answer.
Robust accuracy: lower is stronger. Images per second: all attacked records over processor time, one thread. For attacks
that minimise the distance, the median l2 over records that were right stands in place of robust accuracy.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from threatloop.algorithms.evasion import Evasion
from threatloop.core.assets import SCHEMA, Architecture, Dataset, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.catalogue import ATTACKS
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.models.build import build, load
from threatloop.models.network import dump
from threatloop.models.responder import local_service

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


def ours(model: Model, data: Dataset, norm: str, epsilon: float, quick: bool) -> dict[str, tuple[NDArray[Any], float]]:
    """Adversarial images and seconds of every attack of ours."""
    steps = 20 if quick else 100
    rows: dict[str, dict[str, Any]] = {
        "FGSM": {"name": "fgsm"},
        "PGD-40": {"name": "pgd", "steps": 40},
        f"APGD-CE-{steps}": {"name": "apgd_ce", "steps": steps},
        f"APGD-T-{steps}": {"name": "apgd_t", "steps": steps},
    }
    if norm == "l2":
        rows["C&W 9×100"] = {"name": "carlini_wagner", "searches": 9, "steps": 100}
    found: dict[str, tuple[NDArray[Any], float]] = {}
    for label, fields in rows.items():
        parameters = {"epsilon": epsilon, "records": len(data), **fields}
        kind = ATTACKS.load(parameters.pop("name"))
        if "norm" in kind.model_fields and "carlini" not in fields["name"]:
            parameters["norm"] = norm
        attack = kind(**parameters)
        assert isinstance(attack, Evasion)
        bench = Bench(Streams(0), {Resource.VICTIM: local_service(model)}, Progress())
        started = time.process_time()
        result = attack.transform(data, bench)
        found[f"threatloop {label}"] = (np.asarray(result.x, np.float32), time.process_time() - started)
    return found


def peers_of(python: str, file: Path, data: Dataset, norm: str, epsilon: float, quick: bool) -> dict[str, Any]:
    """The same of the peers, each in a process of the other interpreter."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "data.npz", x=data.x.astype(np.float32) / 255, y=data.y)
        for peer in ("torchattacks", "foolbox", "art"):
            settings = {"peer": peer, "model": str(file), "norm": norm, "epsilon": epsilon, "quick": quick}
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            done = subprocess.run(
                [python, __file__, "--worker", folder, json.dumps(settings)],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                print(f"  {peer} skipped: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
                continue
            with np.load(Path(folder) / f"{peer}.npz") as arrays:
                found |= {
                    name: (np.array(arrays[name]), float(arrays[f"{name}|s"])) for name in arrays if "|" not in name
                }
    return found


def worker(folder: Path, settings: dict[str, Any]) -> None:
    """In the peers' interpreter: every attack of one peer."""
    torch.set_num_threads(1)
    network = load(restored(Path(settings["model"])))
    with np.load(folder / "data.npz") as arrays:
        x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    attacks = {"torchattacks": _torchattacks, "foolbox": _foolbox, "art": _art}[settings["peer"]]
    out: dict[str, Any] = {}
    for label, attack in attacks(network, settings, x).items():
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        started = time.process_time()
        moved = np.concatenate([attack(x[i : i + 256], y[i : i + 256]) for i in range(0, len(x), 256)])
        out[f"{settings['peer']} {label}|s"] = np.array(time.process_time() - started)
        out[f"{settings['peer']} {label}"] = np.asarray(moved, np.float32)
    np.savez(folder / f"{settings['peer']}.npz", **out)


Attack = Callable[[torch.Tensor, torch.Tensor], NDArray[Any]]


def _torchattacks(network: Any, settings: dict[str, Any], x: torch.Tensor) -> dict[str, Attack]:
    ta: Any = importlib.import_module("torchattacks")

    eps, norm, steps = settings["epsilon"], settings["norm"], 20 if settings["quick"] else 100
    classes = int(network(x[:1]).shape[1])
    made: dict[str, Any] = {}
    if norm == "linf":
        made["FGSM"] = ta.FGSM(network, eps=eps)
        made["PGD-40"] = ta.PGD(network, eps=eps, alpha=2.5 * eps / 40, steps=40)
    else:
        made["PGD-40"] = ta.PGDL2(network, eps=eps, alpha=2.5 * eps / 40, steps=40)
    form = {"linf": "Linf", "l2": "L2"}[norm]
    made[f"APGD-CE-{steps}"] = ta.APGD(network, norm=form, eps=eps, steps=steps)
    if classes >= 4:
        made[f"APGD-T-{steps}"] = ta.APGDT(network, norm=form, eps=eps, steps=steps, n_classes=classes)
    if classes >= 4 and not settings["quick"]:
        made["AutoAttack"] = ta.AutoAttack(network, norm=form, eps=eps, n_classes=classes)
    if norm == "l2":
        made["C&W 900"] = ta.CW(network, c=1, steps=900, lr=0.01)

    def bound(attack: Any) -> Attack:
        return lambda a, b: np.asarray(attack(a, b).detach().numpy())

    return {name: bound(one) for name, one in made.items()}


def _foolbox(network: Any, settings: dict[str, Any], _: torch.Tensor) -> dict[str, Attack]:
    fb: Any = importlib.import_module("foolbox")

    model = fb.PyTorchModel(network, bounds=(0, 1), device="cpu")
    eps, norm = settings["epsilon"], settings["norm"]
    kind = fb.attacks.LinfPGD if norm == "linf" else fb.attacks.L2PGD
    made: dict[str, tuple[Any, float | None]] = {"PGD-40": (kind(steps=40, rel_stepsize=2.5 / 40), eps)}
    if norm == "l2":
        made["C&W 9×100"] = (fb.attacks.L2CarliniWagnerAttack(binary_search_steps=9, steps=100), None)
        made["DDN 100"] = (fb.attacks.DDNAttack(steps=100), None)

    def bound(attack: Any, radius: float | None) -> Attack:
        return lambda a, b: np.asarray(attack(model, a, b, epsilons=radius)[1].detach().numpy())

    return {name: bound(*one) for name, one in made.items()}


def _art(network: Any, settings: dict[str, Any], x: torch.Tensor) -> dict[str, Attack]:
    evasion: Any = importlib.import_module("art.attacks.evasion")
    classification: Any = importlib.import_module("art.estimators.classification")

    classes = int(network(x[:1]).shape[1])
    loss = torch.nn.CrossEntropyLoss()
    shape = tuple(x.shape[1:])
    options = {"clip_values": (0, 1), "device_type": "cpu"}
    model = classification.PyTorchClassifier(network, loss, shape, classes, **options)
    order = np.inf if settings["norm"] == "linf" else 2
    eps = settings["epsilon"]
    sizes = {"eps": eps, "eps_step": 2.5 * eps / 40, "max_iter": 40}
    more = {"num_random_init": 1, "batch_size": 256, "verbose": False}
    pgd = evasion.ProjectedGradientDescentPyTorch(model, norm=order, **sizes, **more)

    def generate(a: torch.Tensor, b: torch.Tensor) -> NDArray[Any]:
        return np.asarray(pgd.generate(a.numpy(), b.numpy()))

    return {"PGD-40": generate}


def judge(model: Model, data: Dataset, moved: NDArray[Any], norm: str, epsilon: float) -> tuple[float, float, float]:
    """Robust accuracy, median distance of what fools, and the largest distance."""
    network = load(model)
    x = data.x.astype(np.float32) / 255
    apart = (moved.astype(np.float64) - x).reshape(len(x), -1)
    distance = np.abs(apart).max(axis=1) if norm == "linf" else np.sqrt((apart**2).sum(axis=1))
    assert moved.min() >= 0
    assert moved.max() <= 1
    with torch.no_grad():
        clean, after = (network(torch.from_numpy(one)).argmax(1).numpy() != data.y for one in (x, moved))
    fooled = clean | (after & (distance <= epsilon * (1 + 1e-4)))
    least = np.where(clean, 0.0, np.where(after, distance, np.inf))
    return 1 - float(fooled.mean()), float(np.median(least[~clean])), float(distance.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="data", type=Path)
    parser.add_argument("--peers", default="")
    parser.add_argument("--only", default=",".join(READERS))
    parser.add_argument("--kinds", default="standard,adversarial")
    parser.add_argument("--norms", default="linf,l2")
    parser.add_argument("--records", type=int, default=256)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cache = options.cache or Path(tempfile.mkdtemp())
    cache.mkdir(parents=True, exist_ok=True)
    for name in options.only.split(","):
        train, test = READERS[name](options.folder)
        test = test.take(np.random.default_rng(1).permutation(len(test))[: options.records])
        test = replace(test, x=np.ascontiguousarray(test.x))
        for kind in options.kinds.split(","):
            model = victim(name, kind, train, cache)
            with torch.no_grad():
                right = load(model)(torch.from_numpy(test.x.astype(np.float32) / 255)).argmax(1).numpy() == test.y
            for norm in options.norms.split(","):
                epsilon = EPSILON[name, kind, norm]
                print(f"\n{name}, {kind} CNN, {norm} {epsilon:.4f}, {len(test)} records, clean {right.mean():.3f}")
                found: dict[str, Any] = ours(model, test, norm, epsilon, options.quick)
                if options.peers:
                    found |= peers_of(options.peers, cache / f"{name}-{kind}.npz", test, norm, epsilon, options.quick)
                for label, (moved, seconds) in sorted(found.items(), key=lambda one: one[0].split(" ", 1)[1]):
                    robust, median, _ = judge(model, test, moved, norm, epsilon)
                    rate = len(test) / seconds
                    print(f"  {label:30} robust {robust:.3f}   median {median:7.4f}   {rate:9.1f} img/s", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        worker(Path(sys.argv[2]), json.loads(sys.argv[3]))
    else:
        main()
