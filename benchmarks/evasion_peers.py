"""Runs the evasions of one peer in its own interpreter; `parity_evasion.py` starts it.

    python benchmarks/evasion_peers.py FOLDER SETTINGS

FOLDER holds ``data.npz`` and receives ``PEER.npz``; SETTINGS is JSON: peer, model, norm, epsilon, quick.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evasion_victims import restored
from numpy.typing import NDArray

from threatloop.models.build import load


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


if __name__ == "__main__":
    worker(Path(sys.argv[1]), json.loads(sys.argv[2]))
