"""Whether records are forgotten: membership of the forgotten before and after unlearning, against non-members.

    python benchmarks/unlearning.py [--data digits] [--seeds 12] [--shadows 32] [--share 0.1]

Per seed a model is trained on half of the records, and a share of these is to be forgotten. AUC of LiRA (online, shadow
models on random halves of all records) and of the loss, of forgotten records against those that nobody trained on: .5
is forgotten, and below .5 the answers betray that something was done. Beside it the AUC of the members that stay, and
the accuracy on non-members. Mean over seeds with its 95 % interval (t).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from threatloop import modality
from threatloop.algorithms.forgetting import to_forget
from threatloop.algorithms.shadow_scoring import lira_online
from threatloop.algorithms.training import RecipeTraining
from threatloop.core.assets import Architecture, Dataset, Model
from threatloop.core.catalogue import DEFENCES
from threatloop.core.defence import Repair
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.engine.operations.shadows import balanced_masks
from threatloop.models.defaults import default_recipe
from threatloop.numerics.intervals import Interval, mean_t
from threatloop.numerics.roc import auc

METHODS = ("before", "retraining_unlearning", "distilled_unlearning")
MLP = Architecture(name="mlp")
Floats = npt.NDArray[np.float64]


def figures(data: Dataset, number: int, shadows: int, share: float) -> dict[str, dict[str, float]]:
    """One seed: per method the AUCs, the accuracy and the seconds."""
    streams, half = Streams(1912, (f"seed-{number}",)), len(data) // 2
    data = data.take(streams.numpy("split").permutation(len(data)))
    members = data.take(slice(half))
    training = RecipeTraining(MLP, default_recipe(data.schema, MLP, half))
    started = time.perf_counter()
    model = training.fit(members, streams.child("victim"))
    seconds = time.perf_counter() - started
    trusted = np.ones(half, np.bool_)
    gone = np.zeros(len(data), np.bool_)
    gone[:half] = to_forget(members, trusted, share, (), streams)
    masks = balanced_masks(shadows, len(data), streams)
    fitted = training.fit_many(data, masks, [streams.child(f"shadow-{k}") for k in range(shadows)])
    kind = modality.of(data.schema)
    signals = np.stack([kind.membership_signal(one, data) for one in training.answers(fitted, data)])
    found = {}
    for method in METHODS:
        after, spent = model, seconds
        if method != "before":
            repair = DEFENCES.load(method).model_validate({"share": share})
            assert isinstance(repair, Repair)
            started = time.perf_counter()
            after = repair.repair_all(model, members, trusted, training, streams.child("repair-0"))
            spent = time.perf_counter() - started
        found[method] = _graded(after, data, gone, signals, masks, training) | {"seconds": spent}
    return found


def _graded(
    model: Model,
    data: Dataset,
    gone: npt.NDArray[np.bool_],
    signals: Floats,
    masks: npt.NDArray[np.bool_],
    training: RecipeTraining,
) -> dict[str, float]:
    answers = training.serve(model).log_probs(data.x)
    own = modality.of(data.schema).membership_signal(answers, data)
    outside = np.arange(len(data)) >= len(data) // 2
    found = {}
    for attack, scores in (("LiRA", lira_online(own, signals, masks)), ("loss", own)):
        for whom, inside in (("forgotten", gone), ("kept", ~outside & ~gone)):
            area = auc(scores[inside | outside], inside[inside | outside])
            assert isinstance(area, float)
            found[f"{attack} {whom}"] = area
    found["accuracy"] = float((answers.argmax(1) == data.y)[outside].mean())
    return found


def shown(values: Floats) -> str:
    """Mean over seeds with its interval."""
    found = mean_t(values)
    half = f" ± {(found.high - found.low) / 2:.3f}" if isinstance(found, Interval) else ""
    return f"{values.mean():.3f}{half}".replace("0.", ".")


def table(seeds: list[Mapping[str, Mapping[str, float]]]) -> None:
    """Print one line per method, and the paired differences to retraining."""
    for method in METHODS:
        cells = {name: np.array([one[method][name] for one in seeds]) for name in seeds[0][method]}
        print(f"{method:22} " + "   ".join(f"{name} {shown(values)}" for name, values in cells.items()), flush=True)
    for name in ("LiRA forgotten", "loss forgotten", "accuracy"):
        for method in ("before", "distilled_unlearning"):
            apart = np.array([one[method][name] - one["retraining_unlearning"][name] for one in seeds])
            print(f"{method} less retraining: {name} {shown(apart)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="an embedded data set, or the path of an .npz file")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--shadows", type=int, default=32)
    parser.add_argument("--share", type=float, default=0.1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = {"npz": given.data} if given.data.endswith(".npz") else given.data
    data = parse_source(source).read(Path()).dataset
    table([figures(data, number, given.shadows, given.share) for number in range(given.seeds)])


if __name__ == "__main__":
    main()
