"""A set of abstract records with secret labels, learnt by heart."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from threatloop.algorithms.ownership import Planted, matches_p
from threatloop.core.assets import Dataset, concatenate
from threatloop.core.defence import DefenceInfo, Stage
from threatloop.core.detection import Claim, Verification
from threatloop.core.errors import InputError, NotAssessable
from threatloop.core.schema import Schema
from threatloop.core.seeds import Streams
from threatloop.core.serving import Respond
from threatloop.core.training import Training
from threatloop.modality import of


class BackdoorWatermark(Verification):
    """Teaches the model a secret set of records that look like none of the data, each with a label drawn evenly.

    The claim counts how many the suspect answers so. Whoever never saw the labels matches a binomial number of them,
    whatever his model does; so the p-value is exact. It proves the very model and what was made of its weights; a
    clone inherits little of it, since thieves ask about other records. The paper takes 100 abstract images and shows
    them in every batch; here they are training records, ``copies`` of each.

    Adi, Baum, Cisse, Pinkas, Keshet 2018, "Turning Your Weakness Into a Strength: Watermarking Deep Neural Networks by
    Backdooring", arXiv 1802.04633, sections 4 and 5.

    Attributes:
        triggers: records in the set, ≥ 8.
        copies: of each among the training records, ≥ 1.
    """

    info: ClassVar[DefenceInfo] = DefenceInfo(
        title="Backdoor-set watermark",
        stage=Stage.VERIFICATION,
        modalities=frozenset({"image", "tabular"}),
        paper="Adi, Baum, Cisse, Pinkas, Keshet 2018, Turning Your Weakness Into a Strength, arXiv 1802.04633, "
        "sections 4 and 5",
    )

    triggers: int = Field(default=50, ge=8)
    copies: int = Field(default=2, ge=1)

    def problems(self, schema: Schema, architecture: str) -> list[str]:  # noqa: ARG002
        """Numbers without bounds: nothing says what an abstract record is."""
        try:
            of(schema).noise_records(schema, 1, np.random.default_rng(0))
        except (InputError, NotAssessable) as error:
            return [f"backdoor_watermark: no abstract record can be drawn: {error}"]
        return []

    def applied(self, training: Training) -> Training:
        return Planted(training, self._plant)

    def _plant(self, data: Dataset, streams: Streams) -> Dataset:
        secret = self._set(data.schema, streams)
        return concatenate([data, *[secret] * self.copies])

    def _set(self, schema: Schema, streams: Streams) -> Dataset:
        x = of(schema).noise_records(schema, self.triggers, streams.numpy("trigger set"))
        y = streams.numpy("trigger labels").integers(len(schema.classes), size=self.triggers)
        return Dataset(x, y, schema, np.full(self.triggers, -1, np.int64))

    def claim(self, suspect: Respond, own: Dataset, outside: Dataset, training: Training, streams: Streams) -> Claim:  # noqa: ARG002
        secret = self._set(own.schema, streams)
        matches = int((suspect(secret.x).argmax(axis=1) == secret.y).sum())
        return Claim(matches_p(matches, len(secret), secret.n_classes), matches / len(secret))
