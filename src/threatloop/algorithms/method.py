"""What a training does beyond its recipe, as plain values. Loads without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from threatloop.core.assets import Dataset
from threatloop.modality.space import Norm


@dataclass(frozen=True)
class Adversary:
    """Every batch is moved against the network before it learns from it.

    Attributes:
        norm: of the ball.
        epsilon: its radius in the units of the records' space; None for the usual one.
        steps: gradient steps, ≥ 1.
        size: of a step, as a share of ε.
        balance: None trains on the moved records alone; a number trains on the records as they are, plus this times
            the divergence between the answers to both.
    """

    norm: Norm
    epsilon: float | None
    steps: int
    size: float
    balance: float | None = None


@dataclass(frozen=True)
class Privacy:
    """Every record's gradient is clipped, and noise is added to their sum.

    Attributes:
        epsilon, delta: to be spent; delta None is n^−1.1.
        bound: L2 norm to which a record's gradient is clipped, > 0.
        noise: standard deviation of the noise in units of ``bound``; None is calibrated to epsilon and delta.
        accountant: of opacus.
        mode: both parts, or one of them without any guarantee.
    """

    epsilon: float
    delta: float | None
    bound: float
    noise: float | None
    accountant: Literal["rdp", "prv"]
    mode: Literal["private", "clip_only", "noise_only"]


@dataclass(frozen=True)
class Stopping:
    """The network of the epoch with the smallest loss on records that are held out.

    Attributes:
        held: share that is held out, in (0, 1).
        patience: epochs without improvement after which training ends, ≥ 1.
    """

    held: float
    patience: int


@dataclass(frozen=True)
class Isolation:
    """Records that are learned too easily are set apart, and then unlearned.

    Attributes:
        share: of the records that is set apart, in (0, 1).
        gamma: loss in nats that ordinary records are held at while the easy ones are found, > 0.
        first, last: shares of the epochs for finding them and for unlearning them, in (0, 1).
    """

    share: float
    gamma: float
    first: float
    last: float


@dataclass(frozen=True)
class Pretraining:
    """All layers but the last learn first to tell two views of one record from other records.

    Attributes:
        epochs: passes over the data without labels, ≥ 1; None for as many as with labels, and enough steps.
        batch_size: records that are told apart at once, ≥ 2.
        temperature: of the similarities, > 0.
        tune: what the labels change afterwards.
    """

    epochs: int | None
    batch_size: int
    temperature: float
    tune: Literal["head", "all"]


@dataclass(frozen=True)
class Robustness:
    """A language model is made such that tuning afterwards changes less of what it refuses.

    Attributes:
        kind: ``vaccine`` learns from states that are moved against it; ``booster`` makes a step towards answering what
            it refuses gain little.
        radius: ``vaccine``: of the movement, relative to the states; ``booster``: of the step, in weights; > 0.
        weight: ``booster``: of what such a step gains, > 0.
    """

    kind: Literal["vaccine", "booster"]
    radius: float
    weight: float


@dataclass(frozen=True)
class Turns:
    """A language model is tuned on what is offered and on own records by turns, each near where the other one ended.

    Attributes:
        own: the records of the own turns, at least one.
        offered_steps, own_steps: steps of a turn, ≥ 1.
    """

    own: Dataset = field(compare=False)
    offered_steps: int
    own_steps: int


@dataclass(frozen=True)
class Method:
    """The parts of a training; which one was asked for first makes no difference.

    Attributes:
        adversary: see there.
        mixing: parameter of the Beta distribution by which pairs of records are mixed, > 0.
        privacy: see there.
        stopping: see there.
        isolation: see there.
        pretraining: see there.
        proximal: half of it times the squared distance of the weights from those that training goes on from is added
            to the loss of a batch, > 0.
        robustness: see there.
        turns: see there; ``proximal`` then counts from where the last turn ended.
    """

    adversary: Adversary | None = None
    mixing: float | None = None
    privacy: Privacy | None = None
    stopping: Stopping | None = None
    isolation: Isolation | None = None
    pretraining: Pretraining | None = None
    proximal: float | None = None
    robustness: Robustness | None = None
    turns: Turns | None = None
