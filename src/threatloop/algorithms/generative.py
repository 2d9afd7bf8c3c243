"""What attacks with a generator of their own share with their baseline: its parameters."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from threatloop.core.assets import Dataset
from threatloop.core.attack import ModelToData
from threatloop.core.bench import Bench


class Generative(ModelToData):
    """An attack that searches in the codes of a generator trained on the attacker's own records.

    Attributes:
        per_class: records per class.
        generator_steps: optimiser steps of 64 records that the generator is trained for.
        latent: length of a code.
        width: hidden units of the generator, or 16 times its filters at full resolution.
    """

    per_class: int = Field(default=4, ge=1)
    generator_steps: int = Field(default=500, ge=1)
    latent: int = Field(default=8, ge=1)
    width: int = Field(default=128, ge=8)

    def space(self, pool: Dataset, bench: Bench) -> Any:
        """The `threatloop.algorithms.inversion.Space` of the codes.

        Raises:
            InputError: the attacker holds fewer than two records.
            NotAssessable: records of this modality cannot be changed by small steps.
        """
        from threatloop.algorithms.autoencoder import AutoencoderRecipe
        from threatloop.algorithms.latent import latent_space

        return latent_space(pool, AutoencoderRecipe(self.generator_steps, self.latent, self.width), bench)
