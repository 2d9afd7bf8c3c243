"""Prints Square, HopSkipJump, FAB and AutoAttack beside public implementations, on the same network at equal budgets.

    python benchmarks/parity_blackbox.py [DATA_FOLDER] [--only pneumoniamnist,cifar10] [--norms linf,l2]
        [--attacks square,hopskipjump,fab,autoattack] [--peers art,torchattacks] [--records 50] [--queries 1000]
        [--victims recipe,standard,adversarial] [--cache FOLDER]

Peers are the Adversarial Robustness Toolbox and torchattacks, where they are installed; a peer that is not is left out.
Victims are a network trained by the default recipe, or those of `parity_evasion.py`, at the radii of that file.
Robust accuracy, with its standard error, is over all records, wrong ones included, at ε; the median distance is over
the records that the network gets right and that both sides broke. Every query is counted by record in front of the
network; of a label-only peer that does not stop at the budget, the nearest wrong answer within the budget counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evasion_victims
import numpy as np
import torch
from blackbox_peers import PEERS, Counted, Floats, Setting
from torch import nn

from threatloop.algorithms.evasion import Evasion
from threatloop.algorithms.training import RecipeTraining
from threatloop.attacks.data_to_data.autoattack import AutoAttack
from threatloop.attacks.data_to_data.fab import FAB
from threatloop.attacks.data_to_data.hopskipjump import HopSkipJump
from threatloop.attacks.data_to_data.square_attack import SquareAttack
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.bench import Bench, Resource
from threatloop.core.recipe import Recipe
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.models.build import load
from threatloop.models.responder import local_service

STREAMS = Streams(3, ("parity",))
SETS: dict[str, dict[str, Any]] = {
    "pneumoniamnist": {"npz": "pneumoniamnist.npz"},
    "cifar10": {"images": "cifar10_jpeg.zip", "limit": 5000},
}
RADII = {"pneumoniamnist": {"linf": 8 / 255, "l2": 1.0}, "cifar10": {"linf": 2 / 255, "l2": 0.25}}


def victim(name: str, folder: Path) -> tuple[Model, Dataset]:
    """A small CNN on half of the records (at most 3,000), and records that it did not see."""
    written = dict(SETS[name])
    data = parse_source(written).read(folder).dataset
    order = STREAMS.numpy("split").permutation(len(data))
    half = min(len(data) // 2, 3000)
    training = RecipeTraining(Architecture(name="cnn"), Recipe(epochs=8, learning_rate=0.05, weight_decay=5e-4))
    model = training.fit(data.take(order[:half]), STREAMS.child("victim"))
    held = data.take(order[half : half + 500])
    return model, held.with_x(np.asarray(held.x, np.float32) / (255 if held.x.dtype == np.uint8 else 1))


def hardened(name: str, kind: str, folder: Path, cache: Path) -> tuple[Model, Dataset]:
    """A victim of `parity_evasion.py`, and records that it did not see in random order."""
    cache.mkdir(parents=True, exist_ok=True)
    train, test = evasion_victims.READERS[name](folder)
    model = evasion_victims.victim(name, kind, train, cache)
    held = test.take(np.random.default_rng(1).permutation(len(test)))
    return model, held.with_x(np.asarray(held.x, np.float32) / 255)


def ours(attack: Evasion, setting: Setting) -> tuple[Floats, int]:
    service = local_service(setting.model)
    bench = Bench(STREAMS.child("ours"), {Resource.VICTIM: service})
    found = attack.run(setting.data, bench).result
    return np.asarray(found.x, np.float32), service.ledger.spent


def own(name: str, setting: Setting) -> Evasion:
    shared: dict[str, Any] = {"norm": setting.norm, "epsilon": setting.epsilon, "records": len(setting.data)}
    asked = {"queries_per_record": setting.queries}
    made: dict[str, Callable[[], Evasion]] = {
        "square": lambda: SquareAttack(**asked, **shared),
        "hopskipjump": lambda: HopSkipJump(**asked, **shared),
        "fab": lambda: FAB(restarts=1, **shared),
        "autoattack": lambda: AutoAttack(**shared),
    }
    return made[name]()


def report(title: str, setting: Setting, moved: dict[str, tuple[Floats, float, float]], net: nn.Module) -> None:
    """One line per implementation."""
    with torch.no_grad():
        clean = net(torch.from_numpy(setting.x)).argmax(1).numpy() != setting.data.y
        wrong = {who: net(torch.from_numpy(x)).argmax(1).numpy() != setting.data.y for who, (x, _, _) in moved.items()}
    far = {}
    for who, (x, _, _) in moved.items():
        apart = (x - setting.x).reshape(len(x), -1).astype(np.float64)
        far[who] = np.abs(apart).max(axis=1) if setting.norm == "linf" else np.linalg.norm(apart, axis=1)
    both = ~clean & np.logical_and.reduce(list(wrong.values()))
    for who, (_, queries, seconds) in moved.items():
        robust = 1 - (clean | (wrong[who] & (far[who] <= setting.epsilon * (1 + 1e-5)))).mean()
        error = (robust * (1 - robust) / len(clean)) ** 0.5
        median = np.median(far[who][both]) if both.any() else np.nan
        print(
            f"{title:42s} {who:13s} robust {robust:.3f} ± {error:.3f} (clean {1 - clean.mean():.3f})"
            f"  median {median:.4f}  queries {queries:8.1f}  {seconds:6.1f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="../shared/data", type=Path)
    parser.add_argument("--epsilon", type=float, help="instead of the data set's own")
    lists = {"only": SETS, "attacks": PEERS, "peers": ("art", "torchattacks"), "norms": ("linf", "l2")}
    for name, allowed in lists.items():
        parser.add_argument(f"--{name}", default=",".join(allowed))
    parser.add_argument("--victims", default="recipe")
    parser.add_argument("--cache", type=Path, default=None)
    for name, number in {"records": 50, "queries": 1000}.items():
        parser.add_argument(f"--{name}", default=number, type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cache = given.cache or Path(tempfile.mkdtemp())
    for name, kind in itertools.product(given.only.split(","), given.victims.split(",")):
        model, held = victim(name, given.folder) if kind == "recipe" else hardened(name, kind, given.folder, cache)
        net = load(model)
        for attack, norm in itertools.product(given.attacks.split(","), given.norms.split(",")):
            usual = RADII[name][norm] if kind == "recipe" else evasion_victims.EPSILON[name, kind, norm]
            radius = given.epsilon or usual
            setting = Setting(model, held.take(slice(0, given.records)), norm, radius, given.queries)
            compare(f"{name} {kind} {attack} {norm} {radius:.3g}", attack, setting, net, given.peers.split(","))


def compare(title: str, attack: str, setting: Setting, net: nn.Module, peers: list[str]) -> None:
    """Ours and every peer that is installed."""
    began = time.perf_counter()
    found, spent = ours(own(attack, setting), setting)
    moved = {"threatloop": (found, spent / len(found), time.perf_counter() - began)}
    for who, peer in PEERS[attack].items():
        if who not in peers or importlib.util.find_spec(who) is None:
            continue
        counted, began = Counted(net), time.perf_counter()
        counted.eval()
        x = peer(setting, counted)
        moved[who] = (x, counted.queries / len(x), time.perf_counter() - began)
    report(title, setting, moved, net)


if __name__ == "__main__":
    main()
