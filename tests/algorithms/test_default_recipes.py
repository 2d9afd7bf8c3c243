"""The default recipes converge on the embedded data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_fit import accuracy

from threatloop.algorithms.fit import fit
from threatloop.core.assets import Architecture
from threatloop.core.schema import ImageSchema, TextSchema
from threatloop.core.seeds import Streams
from threatloop.data.sources import parse_source
from threatloop.models.defaults import FEWEST_STEPS, default_recipe


@pytest.mark.parametrize(("name", "train", "test"), [("digits", 0.995, 0.95), ("breast_cancer", 0.985, 0.92)])
def test_the_default_mlp_converges(name: str, train: float, test: float) -> None:
    data, mlp = parse_source(name).read(Path()).dataset, Architecture(name="mlp")
    order = np.random.default_rng(0).permutation(len(data))
    cut = int(0.75 * len(data))
    members, others = data.take(order[:cut]), data.take(order[cut:])
    model = fit(mlp, members, default_recipe(data.schema, mlp, cut), Streams(0))
    assert accuracy(model, members) >= train
    assert accuracy(model, others) >= test


def test_small_data_gets_more_epochs_and_own_networks_train_like_their_kind() -> None:
    schema = ImageSchema(classes=("0", "1"), channels=1, height=8, width=8)
    mlp, own = Architecture(name="mlp"), Architecture(name="my.module:net")
    few, many = (default_recipe(schema, mlp, n) for n in (20, 10_000))
    assert few.epochs >= FEWEST_STEPS > many.epochs
    assert default_recipe(schema, own, 10_000) == default_recipe(schema, Architecture(name="cnn"), 10_000)
    text = TextSchema(width=4)
    assert default_recipe(text, own, 10_000).optimiser == "adam"
