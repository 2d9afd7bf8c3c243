"""BadNets beside ART's PoisoningAttackBackdoor: same records, rate, model and recipe; success and clean accuracy.

    python benchmarks/parity_backdoor.py PNEUMONIAMNIST.npz [--rate 0.05] [--seeds 5] [--limit 2500]

Needs `adversarial-robustness-toolbox` and `packaging`, in an environment of its own. Three poisons per seed: ours;
ART's with our trigger, on records that it draws by itself; ART's with its own four-pixel pattern. Bar: within a point.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from threatloop.algorithms.fit import fit
from threatloop.attacks.data_to_model.badnets import BadNets
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.modality import of
from threatloop.models.defaults import default_architecture, default_recipe
from threatloop.models.responder import LocalResponder
from threatloop.numerics.intervals import Interval, paired_t

Images = npt.NDArray[Any]
Stamp = Callable[[Images], Images]


def art_poison(data: Dataset, stamp: Stamp, attack: BadNets, rng: np.random.Generator) -> Dataset:
    """As many records poisoned by ART as ours would be; ART works on float images."""
    from art.attacks.poisoning import PoisoningAttackBackdoor

    others = np.flatnonzero(data.y != attack.target)
    rows = rng.choice(others, round(attack.rate * len(data)), replace=False)
    wanted = np.eye(data.n_classes)[attack.target]
    stamped, labels = PoisoningAttackBackdoor(stamp).poison(data.x[rows], wanted, broadcast=True)
    x, y = np.array(data.x), np.array(data.y)
    x[rows], y[rows] = stamped, labels.argmax(1)
    return data.with_x(x).with_y(y)


def art_pattern(x: Images) -> Images:
    """ART's own trigger on (n, 1, height, width)."""
    from art.attacks.poisoning.perturbations import add_pattern_bd

    marked: Images = add_pattern_bd(np.array(x[:, 0]), pixel_value=1)[:, None]
    return marked


def measure(crafted: Dataset, test: Dataset, stamp: Stamp, attack: BadNets, streams: Streams) -> tuple[float, float]:
    """Success on triggered records of other classes, and clean accuracy."""
    architecture = default_architecture(crafted.schema)
    model = fit(architecture, crafted, default_recipe(crafted.schema, architecture, len(crafted)), streams)
    answers = LocalResponder(model).log_probs
    others = test.take(test.y != attack.target)
    success = answers(stamp(np.array(others.x))).argmax(1) == attack.target
    return float(success.mean()), float((answers(test.x).argmax(1) == test.y).mean())


def one_seed(data: Dataset, attack: BadNets, number: int) -> dict[str, tuple[float, float]]:
    """Success and clean accuracy of each poison, on the same split and from the same initial weights."""
    streams = Streams(1708, (f"seed-{number}",))
    order = streams.numpy("split").permutation(len(data))
    cut = len(data) * 4 // 5
    train, test = data.take(order[:cut]), data.take(order[cut:])

    def ours(x: Images) -> Images:
        labels = np.zeros(len(x), np.int64)
        return attack.stamp(Dataset(x, labels, data.schema, labels)).x

    rng, victim = streams.numpy("art"), streams.child("victim")
    poisons: dict[str, tuple[Dataset, Stamp]] = {
        "threatloop": (attack.run(train, Bench(streams)).result, ours),
        "ART, our trigger": (art_poison(train, ours, attack, rng), ours),
        "ART, its trigger": (art_poison(train, art_pattern, attack, rng), art_pattern),
    }
    return {name: measure(made, test, stamp, attack, victim) for name, (made, stamp) in poisons.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("npz", type=Path)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=2500, help="records that are used at most")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = parse_source({"npz": str(given.npz)}).read(Path()).dataset
    data = data.take(np.random.default_rng(0).permutation(len(data))[: given.limit])
    # ART's pattern is written in pixel values of float images.
    data = data.with_x(of(data.schema).encode(data.x, data.schema))
    attack, found = BadNets(rate=given.rate), []
    for number in range(given.seeds):
        found.append(one_seed(data, attack, number))
        cells = "   ".join(f"{name} {s:.3f} / {a:.3f}" for name, (s, a) in found[-1].items())
        print(f"seed {number}: success / clean accuracy: {cells}", flush=True)
    for name in found[0]:
        success, clean = np.array([one[name] for one in found]).T
        print(f"{name:18} success {success.mean():.4f}   clean {clean.mean():.4f}")
        gap = np.array([one["threatloop"] for one in found]) - np.array([one[name] for one in found])
        for what, values in zip(("success", "clean"), gap.T, strict=True):
            inside = paired_t(values)
            if name != "threatloop" and isinstance(inside, Interval):
                print(f"    ours less this, {what}: {values.mean():+.4f} [{inside.low:+.4f}, {inside.high:+.4f}]")


if __name__ == "__main__":
    main()
