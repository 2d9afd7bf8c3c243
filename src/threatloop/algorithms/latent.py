"""The attacker's generator as a space to search in: shared by attacks that differ in what they ask of the model."""

from __future__ import annotations

from threatloop.algorithms.autoencoder import AutoencoderRecipe, train_autoencoder
from threatloop.algorithms.class_prior import estimate_codes
from threatloop.algorithms.generator import Frame
from threatloop.algorithms.inversion import Space
from threatloop.algorithms.recovered import encoded_shape
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench

STREAM = "generator"
"""Of the generator's weights and training: its attacks and their baseline train the very same one."""


def latent_space(pool: Dataset, recipe: AutoencoderRecipe, bench: Bench) -> Space:
    """Codes of a generator trained on the attacker's own records, with a Gaussian of the codes of every class.

    Notes ``generator_loss_first`` and ``generator_loss_last``.

    Raises:
        InputError: the attacker holds fewer than two records.
        NotAssessable: records of this modality cannot be changed by small steps.
    """
    trained = train_autoencoder(pool, recipe, bench.streams.child(STREAM))
    for name, loss in zip(("generator_loss_first", "generator_loss_last"), trained.loss, strict=True):
        bench.progress.note(name, loss)
    spread = Frame.of(pool.schema, pool).spread.reshape(encoded_shape(pool))
    return Space(estimate_codes(trained.codes, pool.y, pool.n_classes), trained.decoder, spread)
