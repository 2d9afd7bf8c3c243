"""Differentially private stochastic gradient descent."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from threatloop.core.assets import Architecture
from threatloop.core.defence import DefenceInfo, Stage, TrainingDefence
from threatloop.core.schema import Schema
from threatloop.core.training import Training

NORMALISED = ("cnn", "resnet18")
"""Built-in architectures with BatchNorm, unless their parameter ``norm`` is ``group``."""


class DPSGD(TrainingDefence):
    """Clips every record's gradient and adds noise to their sum, so that no record decides what the model becomes.

    The steps, the batch size and the learning rate are the recipe's; every batch holds each record with the same
    probability, independently (Poisson sampling). The model's notes hold ``epsilon`` as opacus' accountant counts it,
    ``delta``, ``accountant``, ``noise_multiplier``, ``max_grad_norm``, ``sample_rate`` and ``private_steps``. The
    mean and deviation by which inputs are normalised are not counted; state them in the architecture if they are
    secret.

    Costs accuracy, more for small data; little time for a multilayer perceptron, several times a plain step for
    convolutions.

    Records of a batch must not mix, so that BatchNorm is refused; ``group_norm`` trains the built-in networks with
    GroupNorm in its place, which their architecture then states.

    Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang 2016, "Deep Learning with Differential Privacy", arXiv
    1607.00133, section 3; Yousefpour et al. 2021, "Opacus", arXiv 2109.12298.

    Attributes:
        epsilon: privacy budget to be spent, > 0.
        delta: probability with which the guarantee may fail, in (0, 1); None: n^−1.1 of the n records, rounded down
            to one digit.
        max_grad_norm: L2 norm to which a record's gradient is clipped, > 0.
        noise_multiplier: standard deviation of the noise in units of ``max_grad_norm``, ≥ 0; None: as large as
            ``epsilon`` asks for.
        accountant: of opacus: ``rdp``, or ``prv``, which is tighter and takes some seconds.
        mode: ``clip_only`` and ``noise_only`` leave the other part out, to tell which of them has an effect; they
            guarantee nothing.
        group_norm: train with GroupNorm where the architecture has BatchNorm.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Differentially private training (DP-SGD)",
        stage=Stage.TRAINING,
        modalities=frozenset({"image", "tabular", "text"}),
        paper="Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang 2016, Deep Learning with Differential Privacy, "
        "arXiv 1607.00133, section 3",
        atlas=("AML.M0004",),
        excludes=("mixup", "trades", "early_stopping", "anti_backdoor", "contrastive_pretraining"),
    )

    epsilon: float = Field(default=8.0, gt=0)
    delta: float | None = Field(default=None, gt=0, lt=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    noise_multiplier: float | None = Field(default=None, ge=0)
    accountant: Literal["rdp", "prv"] = "rdp"
    mode: Literal["private", "clip_only", "noise_only"] = "private"
    group_norm: bool = False

    def unfit(self, schema: Schema, architecture: Architecture) -> list[str]:
        """BatchNorm, and no leave to replace it."""
        found = self.problems(schema, architecture.name)
        if architecture.name in NORMALISED and architecture.parameters.get("norm") != "group" and not self.group_norm:
            found.append(
                f"{architecture.name} has BatchNorm, which mixes the records of a batch, so that no record has a "
                "gradient of its own; set `group_norm: true` here, or `norm: group` in the model's parameters"
            )
        return found

    def applied(self, training: Training) -> Training:
        """The training with clipped and noisy steps.

        Raises:
            NotAssessable: the training is the user's own function.
        """
        from threatloop.algorithms.method import Privacy
        from threatloop.algorithms.method_training import with_parts

        replaced = self.group_norm and training.architecture.name in NORMALISED
        privacy = Privacy(
            self.epsilon, self.delta, self.max_grad_norm, self.noise_multiplier, self.accountant, self.mode
        )
        return with_parts(training, parameters={"norm": "group"} if replaced else None, privacy=privacy)
