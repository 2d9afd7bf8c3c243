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
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evasion_victims import EPSILON, READERS, victim
from numpy.typing import NDArray

from threatloop.algorithms.evasion import Evasion
from threatloop.core.assets import Dataset, Model
from threatloop.core.bench import Bench, Progress, Resource
from threatloop.core.catalogue import ATTACKS
from threatloop.core.seeds import Streams
from threatloop.models.build import load
from threatloop.models.responder import local_service


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
                [python, str(Path(__file__).with_name("evasion_peers.py")), folder, json.dumps(settings)],
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
    main()
