"""Larger runs: the whole chain on PneumoniaMNIST, and the plan's estimate against a bounded CIFAR-10 run.

    python benchmarks/bounded.py pneumonia FOLDER     (FOLDER holds pneumoniamnist.npz)
    python benchmarks/bounded.py cifar FOLDER         (FOLDER holds cifar10_jpeg.zip)
    python benchmarks/bounded.py images               (1,000 generated images of 224×224 through ResNet-18)
    python benchmarks/bounded.py large                (the same images: evasion on 64 of them, LiRA with 4 shadows)

Bars on two cores: PneumoniaMNIST ≤ 10 minutes; CIFAR-10's estimate within a factor of two in time and memory, ≤ 6 GiB;
the large images within a factor of two of the estimate, ≤ 4 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from audit import run, show

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def pneumonia(folder: Path) -> None:
    """The shipped example, cold."""
    with tempfile.TemporaryDirectory() as place:
        spec = _spec("pneumoniamnist.yaml", "npz", folder / "pneumoniamnist.npz", Path(place))
        found = run(spec, Path(place), 3)
        show("PneumoniaMNIST, small CNN, 3 seeds, 16 shadows, the whole chain", found)
        _figures(Path(place) / "run")


def cifar(folder: Path) -> None:
    """Estimate, then the real thing."""
    with tempfile.TemporaryDirectory() as place:
        spec = _spec("cifar10.yaml", "images", folder / "cifar10_jpeg.zip", Path(place))
        _estimate_and_run(spec, Path(place), "CIFAR-10, ResNet-18, 5,000 images, 1 epoch, 4 shadows")


def large() -> None:
    """The same for evasion and membership on large generated images, two classes that differ in their mean."""
    import numpy as np

    rng = np.random.default_rng(0)
    y = np.arange(1000) % 2
    with tempfile.TemporaryDirectory() as place:
        x = (rng.random((1000, 224, 224, 3), dtype=np.float32) * 200 + 40 * y[:, None, None, None]).astype(np.uint8)
        np.savez(Path(place) / "large.npz", train_images=x, train_labels=y[:, None])
        spec = Path(place) / "spec.yaml"
        spec.write_text(yaml.safe_dump(LARGE), encoding="utf-8")
        _estimate_and_run(spec, Path(place), "1,000 images of 224×224, ResNet-18, PGD on 64, LiRA with 4 shadows")


LARGE: dict[str, Any] = {
    "name": "large",
    "seeds": 1,
    "targets": {
        "large": {
            "data": {"npz": "large.npz"},
            "model": {"name": "resnet18"},
            "recipe": {"epochs": 1, "batch_size": 32, "learning_rate": 0.01},
            "shadows": 4,
        }
    },
    "scenarios": {"evasion": {"attack": {"name": "pgd", "records": 64}}, "membership": {"attack": "lira"}},
}


def _estimate_and_run(spec: Path, place: Path, name: str) -> None:
    command = [sys.executable, "-m", "threatloop", "plan", str(spec), "--json", "--store", str(place / "store")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    plan = json.loads(printed.strip().splitlines()[-1])
    print(f"estimate: {plan['seconds']:.0f} s, {plan['memory_bytes'] / 2**30:.2f} GiB", flush=True)
    found = run(spec, place, 1)
    show(name, found)
    print(
        f"estimate / real: time {plan['seconds'] / found['seconds']:.2f}, "
        f"memory {plan['memory_bytes'] / found['memory']:.2f}"
    )


def images() -> None:
    """1,000 images of 224×224 through a ResNet-18 service."""
    import numpy as np
    import torch

    from threatloop.core.assets import Architecture
    from threatloop.core.schema import ImageSchema
    from threatloop.models.build import build
    from threatloop.models.network import dump
    from threatloop.models.responder import local_service

    schema = ImageSchema(channels=3, height=224, width=224, classes=tuple(f"class {i}" for i in range(10)))
    architecture = Architecture(name="resnet18")
    model = dump(build(architecture, schema, torch.Generator().manual_seed(0)), architecture, schema)
    x = np.random.default_rng(0).integers(0, 256, (1000, 3, 224, 224), dtype=np.uint8)
    started = time.perf_counter()
    answers = local_service(model).log_probs(x)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"1,000 images of 224×224: answers {answers.shape}, {time.perf_counter() - started:.1f} s, peak {peak:.2f} GiB"
    )


def _spec(name: str, key: str, file: Path, place: Path) -> Path:
    content: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    (target,) = content["targets"].values()
    target["data"][key] = str(file.resolve())
    spec = place / "spec.yaml"
    spec.write_text(yaml.safe_dump(content), encoding="utf-8")
    return spec


def _figures(folder: Path) -> None:
    from threatloop.analysis.summary import summarise
    from threatloop.cli.console import console
    from threatloop.cli.results import results_table
    from threatloop.runs.folder import read_run_folder

    read = read_run_folder(folder)
    console().print(results_table(read.record, summarise(read.record, read.rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pneumonia", "cifar", "images", "large"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    arguments = parser.parse_args()
    if arguments.what in ("images", "large"):
        {"images": images, "large": large}[arguments.what]()
    else:
        {"pneumonia": pneumonia, "cifar": cifar}[arguments.what](arguments.folder)


if __name__ == "__main__":
    main()
