"""Recipe: how the victim is trained. Part of the spec; shadows and clones that train like the victim use it too."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """One supervised training run.

    Attributes:
        epochs: passes over the data.
        batch_size: records per step; the last, smaller batch of an epoch is kept.
        optimiser: ``sgd`` with Nesterov momentum .9, or ``adam`` (AdamW).
        learning_rate: peak; follows a cosine to 0 over all steps.
        weight_decay: decoupled for adam, in the gradient for sgd.
        label_smoothing: mass moved from the label to all classes.
        augment: ``none``, ``shift`` (images: up to 1/8 of a side) or ``shift_flip`` (and horizontal flips).
        objective: ``likelihood``, or ``dpo``: of pairs of answers the preferred one becomes likelier than the other,
            relative to the model that training goes on from.
        beta: of ``dpo``: how strongly the model is held to that one, > 0; larger holds more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=40, ge=1)
    batch_size: int = Field(default=64, ge=1)
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = Field(default=0.05, gt=0)
    weight_decay: float = Field(default=5e-4, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augment: Literal["none", "shift", "shift_flip"] = "none"
    objective: Literal["likelihood", "dpo"] = "likelihood"
    beta: float = Field(default=0.1, gt=0)
