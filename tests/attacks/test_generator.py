"""Generators make valid records of every schema, and start near what is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from m2d_world import breast_cancer, digits

from threatloop import modality
from threatloop.algorithms.generator import Frame, generator
from threatloop.algorithms.record_features import vectors
from threatloop.core.assets import Dataset
from threatloop.core.errors import NotAssessable
from threatloop.core.schema import Column, ImageSchema, Schema, TabularSchema, TextSchema

CLASSES = ("a", "b")
MIXED = TabularSchema(
    classes=CLASSES,
    columns=(
        Column(name="size", low=-1.5, high=2.0),
        Column(name="town", kind="categorical", categories=("x", "y", "z")),
        Column(name="rooms", kind="integer", low=1, high=9),
        Column(name="free"),
        Column(name="half", low=3.0),
        Column(name="kind", kind="categorical", categories=("u", "v")),
    ),
)
SCHEMAS: list[Schema] = [
    ImageSchema(classes=CLASSES, channels=1, height=1, width=1),
    ImageSchema(classes=CLASSES, channels=1, height=8, width=8),
    ImageSchema(classes=CLASSES, channels=3, height=17, width=30),
    MIXED,
]


def made(schema: Schema, known: Dataset | None = None, scale: float = 10.0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    found: torch.Tensor = generator(schema, 5, 0, known)(scale * torch.randn(40, 5, generator=draws))
    return found


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_it_makes_is_valid_and_differs_with_the_latent(schema: Schema) -> None:
    found = made(schema).detach()
    assert found.flatten(1).std(dim=0).max() > 1e-3
    kind = modality.of(schema)
    stored = kind.decode(found.numpy(), schema)
    assert kind.problems(Dataset(stored, np.zeros(40, np.int64), schema, np.arange(40))) == []
    space = kind.space(schema)
    low, high = space.bounds
    flat = found.flatten(1).numpy()
    assert (flat >= low - 1e-6).all()
    assert (flat <= high + 1e-6).all()
    for start, stop in space.groups:
        np.testing.assert_allclose(flat[:, start:stop].sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_gradients_reach_the_latent_and_weights_depend_on_the_seed_alone(schema: Schema) -> None:
    z = torch.randn(6, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
    first, again, other = (generator(schema, 5, seed) for seed in (3, 3, 4))
    (gradient,) = torch.autograd.grad(first(z).square().sum(), z)
    assert (gradient.abs().amax(dim=1) > 0).all()
    assert torch.equal(first(z), again(z))
    assert not torch.equal(first(z), other(z))


@pytest.mark.parametrize("data", [digits(), breast_cancer()], ids=["digits", "breast_cancer"])
def test_with_known_records_it_starts_at_their_mean_and_keeps_what_never_varies(data: Dataset) -> None:
    rows, frame = vectors(data), Frame.of(data.schema, data)
    found = made(data.schema, data, scale=0.0).detach().flatten(1).numpy()
    far = np.abs(found - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-2)
    assert far.max() < 1
    fixed = frame.spread == 0
    strayed = made(data.schema, data).detach().flatten(1).numpy()
    np.testing.assert_array_equal(strayed[:, fixed], np.broadcast_to(frame.centre[fixed], strayed[:, fixed].shape))


def test_texts_are_not_assessed_with_the_reason() -> None:
    with pytest.raises(NotAssessable, match="small steps"):
        generator(TextSchema(width=4), 5, 0)
