"""Likelihood-ratio attacks end to end on a table of 446 binary columns and 30 classes; and Amulet's LiRA beside them.

    python benchmarks/parity_membership.py [--shadows 16] [--epochs 50] [--peer VENV/bin/python] [--table TABLE.npz]

End to end: victim, shadow models, answers, scores. Same records, members, widths, batch size, epochs and step size for
both; the peer is run without batch normalisation, which our network does not have, and as it comes otherwise. The
table is synthetic unless one is given (arrays ``x`` float32 (n, columns) and ``y``). Targets: at least 7 times faster
at an AUC no lower; 64 shadow models of a small network (``--hidden 64 64``) in 20 s.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import numpy.typing as npt

HIDDEN = (128, 256, 128)
BATCH, RATE, DECAY = 64, 0.01, 5e-4
COLUMNS, CLASSES, RECORDS = 446, 30, 5000


def synthetic(seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Sparse visits to places: every class has its own habits, every record follows them loosely."""
    rng = np.random.default_rng(seed)
    base = rng.beta(0.5, 3.0, COLUMNS)
    habits = np.clip(base + rng.normal(0, 0.12, (CLASSES, COLUMNS)), 0.01, 0.99)
    y = rng.integers(CLASSES, size=RECORDS)
    x = rng.random((RECORDS, COLUMNS)) < habits[y]
    return x.astype(np.float32), y.astype(np.int64)


def processor_seconds() -> float:
    """CPU time of this process and of those that it has waited for: other work on the machine does not enter."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def ours(path: Path, shadows: int, epochs: int, hidden: list[int]) -> None:
    """Time and AUC of this project's attacks."""
    from threatloop.algorithms.training import RecipeTraining
    from threatloop.attacks.model_to_data.lira import Lira
    from threatloop.attacks.model_to_data.rmia import Rmia
    from threatloop.core.access import BLACK_BOX
    from threatloop.core.assets import Architecture, Dataset, Shadows
    from threatloop.core.bench import Bench, Resource
    from threatloop.core.recipe import Recipe
    from threatloop.core.schema import Column, TabularSchema
    from threatloop.core.seeds import Streams
    from threatloop.models.responder import local_service
    from threatloop.numerics.roc import auc

    held = np.load(path)
    columns = tuple(Column(name=f"c{i}") for i in range(held["x"].shape[1]))
    schema = TabularSchema(classes=tuple(map(str, range(int(held["y"].max()) + 1))), columns=columns)
    member, pool_rows = held["member"], held["pool"]
    everything = Dataset(held["x"], held["y"], schema, np.arange(len(held["y"])))
    candidates, pool = everything.take(~pool_rows), everything.take(pool_rows)
    recipe = Recipe(epochs=epochs, batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY)
    training = RecipeTraining(Architecture(name="mlp", parameters={"hidden": hidden}), recipe)
    streams = Streams(0, ("parity",))
    started, first = time.perf_counter(), processor_seconds()
    victim = training.fit(candidates.take(member), streams.child("victim"))
    trained = time.perf_counter()
    masks = np.argsort(np.random.default_rng(1).random((shadows, len(candidates))), axis=0) < shadows // 2
    models = training.fit_many(candidates, masks, [streams.child(f"shadow-{k}") for k in range(shadows)])
    ensemble = Shadows(tuple(models), masks, training.answers(models, candidates))
    shared, cpu = time.perf_counter() - started, processor_seconds() - first
    print(f"victim {trained - started:.1f} s, {shadows} shadow models {shared - (trained - started):.1f} s", flush=True)
    resources: dict[Resource, Any] = {
        Resource.CANDIDATES: candidates,
        Resource.SHADOWS: ensemble,
        Resource.QUERY_POOL: pool,
        Resource.LIFECYCLE: training,
    }
    for probe in (Lira(), Lira(online=False), Lira(variance="per_record"), Rmia(), Rmia(online=False)):
        begun, mark = time.perf_counter(), processor_seconds()
        given = {name: resources[name] for name in probe.info.resources}
        score = probe.run(local_service(victim, BLACK_BOX), Bench(streams, given)).result.arrays["score"]
        total, busy = shared + time.perf_counter() - begun, cpu + processor_seconds() - mark
        print(f"ours    {probe!r:62} {total:7.1f} s, CPU {busy:7.1f} s  AUC {auc(score, member):.4f}", flush=True)


class _Stand(MetaPathFinder, Loader):
    """Stands in for what the peer imports and its attack on a table does not use."""

    unused = frozenset({"torchvision", "gdown", "wget", "pandas", "skimage", "PIL", "matplotlib", "transformers"})

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        known = name.partition(".")[0] in self.unused
        return ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> Any:
        found = MagicMock(name=spec.name)
        found.__path__ = []
        return found

    def exec_module(self, module: Any) -> None:
        """There is nothing in it."""


def peer(path: Path, shadows: int, epochs: int, hidden: list[int]) -> None:
    """The same for Amulet's LiRA; runs in the peer's own environment and prints JSON."""
    from importlib import import_module

    sys.meta_path.append(_Stand())
    import torch
    from torch.utils.data import DataLoader, Subset, TensorDataset

    base = import_module("amulet.membership_inference.attacks.membership_inference_attack")
    lira = import_module("amulet.membership_inference.attacks.lira")
    models = import_module("amulet.models")
    held = np.load(path)
    rows = ~held["pool"]
    # Ours standardises its inputs by itself; without that the peer hardly fits in as many epochs.
    spread = np.maximum(held["x"].std(axis=0), 1e-3)
    x = ((held["x"] - held["x"].mean(axis=0)) / spread).astype(np.float32)
    data = TensorDataset(torch.from_numpy(x[rows]), torch.from_numpy(held["y"][rows]))
    classes, inside = int(held["y"].max()) + 1, np.flatnonzero(held["member"])

    def network(*_: object, **__: object) -> Any:
        return models.LinearNet(held["x"].shape[1], classes, hidden, batch_norm=False)

    vars(base)["initialize_model"] = network
    started, cpu = time.perf_counter(), processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        attack = lira.LiRA(
            network(), inside, "linearnet", "m1", data, "table", held["x"].shape[1], classes, BATCH, 0.5,
            torch.nn.CrossEntropyLoss(), shadows, epochs, "cpu", folder, 0,
        )  # fmt: skip
        loader = DataLoader(Subset(data, inside.tolist()), batch_size=BATCH, shuffle=True)
        attack.target_model = attack.train_shadow_model(attack.target_model, loader)
        found = attack.attack()
    seconds, cpu = time.perf_counter() - started, processor_seconds() - cpu
    named = {name: values.tolist() for name, values in found.items() if name.endswith("preds")}
    print("\n" + json.dumps({"seconds": seconds, "cpu": cpu, "labels": found["true_labels"].tolist(), "scores": named}))


def main() -> None:
    """Print both."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shadows", type=int, default=16)
    options.add_argument("--epochs", type=int, default=50)
    options.add_argument("--hidden", type=int, nargs="+", default=list(HIDDEN))
    options.add_argument("--table", type=Path)
    options.add_argument("--peer", help="python of an environment that has Amulet")
    options.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    sizes = (given.shadows, given.epochs, given.hidden)
    if given.as_peer:
        peer(given.as_peer, *sizes)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        held = np.load(given.table) if given.table else None
        x, y = synthetic() if held is None else (held["x"].astype(np.float32), held["y"].astype(np.int64))
        pool = np.random.default_rng(2).random(len(y)) < 0.2
        member = np.random.default_rng(3).random(int((~pool).sum())) < 0.5
        np.savez(path, x=x, y=y, pool=pool, member=member)
        ours(path, *sizes)
        if given.peer:
            beside(given.peer, path, given)


def beside(python: str, path: Path, given: argparse.Namespace) -> None:
    """Run this file with the peer's interpreter, and print what it found."""
    from threatloop.numerics.roc import auc

    widths = [str(width) for width in given.hidden]
    command = [python, __file__, "--as-peer", str(path), "--shadows", str(given.shadows)]
    command += ["--epochs", str(given.epochs), "--hidden", *widths]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(said.splitlines()[-1])
    for name, scores in found["scores"].items():
        area = auc(np.array(scores), np.array(found["labels"]))
        print(f"Amulet  {name:62} {found['seconds']:7.1f} s, CPU {found['cpu']:7.1f} s  AUC {area:.4f}")


if __name__ == "__main__":
    main()
