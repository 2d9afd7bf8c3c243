"""The public attacks that `parity_blackbox.py` compares with, each called with its own conventions."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from threatloop.core.assets import Dataset, Model

Floats = npt.NDArray[np.float32]
ART_NORMS: dict[str, Any] = {"linf": np.inf, "l2": 2}
TORCHATTACKS_NORMS = {"linf": "Linf", "l2": "L2"}
Peer = Callable[["Setting", Any], Floats]


@dataclass(frozen=True)
class Setting:
    """One cell of the table."""

    model: Model
    data: Dataset
    norm: str
    epsilon: float
    queries: int

    @property
    def x(self) -> Floats:
        return np.asarray(self.data.x, np.float32)


class Counted(nn.Module):
    """The network in front of a peer: counts records, and remembers the nearest wrong answer to one record."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.queries = inner, 0
        self.limit: int | None = None
        self.watched: tuple[torch.Tensor, int, str] | None = None

    def watch(self, x: Floats, y: int, norm: str, limit: int) -> None:
        self.watched, self.nearest, self.best = (torch.from_numpy(x), y, norm), float("inf"), x
        self.queries, self.limit = 0, limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float()
        answers: torch.Tensor = self.inner(x)
        self.queries += len(x)
        if self.watched is not None:
            origin, y, norm = self.watched
            apart = (x.detach() - origin).flatten(1)
            far = apart.abs().amax(1) if norm == "linf" else apart.norm(dim=1)
            far = torch.where(answers.argmax(1) != y, far, torch.inf)
            far[self._beyond(len(x))] = torch.inf
            if float(far.min()) < self.nearest:
                self.nearest, self.best = float(far.min()), x[far.argmin()].detach().numpy().copy()
        return answers

    def _beyond(self, n: int) -> slice:
        """Records of the last batch that came after the budget."""
        assert self.limit is not None
        return slice(max(0, n - max(0, self.queries - self.limit)), n)


def art_classifier(net: nn.Module, setting: Setting) -> Any:
    kind = importlib.import_module("art.estimators.classification").PyTorchClassifier
    shape, classes = setting.x.shape[1:], setting.data.n_classes
    return kind(net, nn.CrossEntropyLoss(), shape, classes, clip_values=(0.0, 1.0), device_type="cpu")


def art_square(setting: Setting, net: Counted) -> Floats:
    kind = importlib.import_module("art.attacks.evasion").SquareAttack
    attack = kind(
        art_classifier(net, setting), ART_NORMS[setting.norm], eps=setting.epsilon, max_iter=setting.queries,
        p_init=0.8, nb_restarts=1, batch_size=256, verbose=False,
    )  # fmt: skip
    return np.asarray(attack.generate(setting.x, setting.data.y))


def torchattacks_square(setting: Setting, net: Counted) -> Floats:
    torchattacks = importlib.import_module("torchattacks")
    norm = TORCHATTACKS_NORMS[setting.norm]
    attack = torchattacks.Square(net, norm=norm, eps=setting.epsilon, n_queries=setting.queries, seed=1)
    return np.asarray(attack(torch.from_numpy(setting.x), torch.from_numpy(setting.data.y)).detach().numpy())


def art_hopskipjump(setting: Setting, net: Counted) -> Floats:
    """Record by record, so that the budget of each is known."""
    kind = importlib.import_module("art.attacks.evasion").HopSkipJump
    classifier, found = art_classifier(net, setting), setting.x.copy()
    steps = max(1, int((1.5 * setting.queries / 100) ** (2 / 3)) + 2)
    attack = kind(
        classifier, batch_size=256, norm=ART_NORMS[setting.norm], max_iter=steps, max_eval=10_000, init_eval=100,
        init_size=100, verbose=False,
    )  # fmt: skip
    for i, (x, y) in enumerate(zip(setting.x, setting.data.y, strict=True)):
        np.random.seed(i)  # noqa: NPY002
        net.watch(x, int(y), setting.norm, setting.queries)
        attack.generate(x[None], np.array([y]))
        found[i] = net.best if np.isfinite(net.nearest) else x
    net.watched = None
    return found


def torchattacks_fab(setting: Setting, net: Counted) -> Floats:
    """Without its own cut at ε: it is given one that no example exceeds."""
    torchattacks = importlib.import_module("torchattacks")
    norm, far = ("Linf", 1.0) if setting.norm == "linf" else ("L2", 100.0)
    attack = torchattacks.FAB(
        net, norm=norm, eps=far, steps=100, n_restarts=1, multi_targeted=False, n_classes=setting.data.n_classes, seed=1
    )
    return np.asarray(attack(torch.from_numpy(setting.x), torch.from_numpy(setting.data.y)).detach().numpy())


FEWEST_FOR_RATIO = 4
"""Classes below which the peers' difference-of-logits ratio fails; they get their ensemble without its members."""


def art_autoattack(setting: Setting, net: Counted) -> Floats:
    kind, classifier = importlib.import_module("art.attacks.evasion"), art_classifier(net, setting)
    norm, sizes = ART_NORMS[setting.norm], {"eps": setting.epsilon, "eps_step": 2 * setting.epsilon}
    members = None
    if setting.data.n_classes < FEWEST_FOR_RATIO:
        ascent = {**sizes, "max_iter": 100, "nb_random_init": 5, "loss_type": "cross_entropy"}
        search = {"eps": setting.epsilon, "max_iter": 5000, "nb_restarts": 1}
        members = [
            kind.AutoProjectedGradientDescent(classifier, norm=norm, batch_size=256, verbose=False, **ascent),
            kind.SquareAttack(classifier, norm=norm, batch_size=256, verbose=False, **search),
        ]
    attack = kind.AutoAttack(classifier, norm, batch_size=256, attacks=members, **sizes)
    return np.asarray(attack.generate(setting.x, setting.data.y))


def torchattacks_autoattack(setting: Setting, net: Counted) -> Floats:
    torchattacks = importlib.import_module("torchattacks")
    classes, shared = setting.data.n_classes, {"norm": TORCHATTACKS_NORMS[setting.norm], "eps": setting.epsilon}
    if classes < FEWEST_FOR_RATIO:
        targeted = {"multi_targeted": True, "n_classes": classes}
        members = [
            torchattacks.APGD(net, steps=100, seed=1, **shared),
            torchattacks.FAB(net, steps=100, seed=1, **targeted, **shared),
            torchattacks.Square(net, n_queries=5000, seed=1, **shared),
        ]
        attack = torchattacks.MultiAttack(members)
    else:
        attack = torchattacks.AutoAttack(net, version="standard", n_classes=classes, seed=1, **shared)
    return np.asarray(attack(torch.from_numpy(setting.x), torch.from_numpy(setting.data.y)).detach().numpy())


PEERS: dict[str, dict[str, Peer]] = {
    "square": {"art": art_square, "torchattacks": torchattacks_square},
    "hopskipjump": {"art": art_hopskipjump},
    "fab": {"torchattacks": torchattacks_fab},
    "autoattack": {"art": art_autoattack, "torchattacks": torchattacks_autoattack},
}
