"""Building networks: initial weights, names, parameters, torchvision's layout."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from threatloop.core.assets import Architecture
from threatloop.core.errors import InputError, Problems
from threatloop.core.schema import Column, ImageSchema, Schema, TabularSchema, TextSchema
from threatloop.models.build import build, load
from threatloop.models.gpt import LARGEST
from threatloop.models.network import Network, dump
from threatloop.models.shapes import input_shape, logits_shape, normalises

TWO = ("no", "yes")
IMAGES = ImageSchema(classes=TWO, channels=1, height=28, width=28)
COLUMNS = (Column(name="a"), Column(name="b", kind="categorical", categories=("x", "y", "z")))
TABLE = TabularSchema(classes=TWO, columns=COLUMNS)
TEXT = TextSchema(width=12)
PAIRS: list[tuple[str, Schema]] = [
    ("mlp", IMAGES),
    ("mlp", TABLE),
    ("cnn", IMAGES),
    ("resnet18", IMAGES),
    ("gpt", TEXT),
]


def fresh(architecture: Architecture, schema: Schema, seed: int = 0, allow_code: bool = False) -> Network:
    return build(architecture, schema, torch.Generator().manual_seed(seed), allow_code=allow_code)


def sample(schema: Schema, n: int) -> torch.Tensor:
    shape = (n, *input_shape(schema))
    generator = torch.Generator().manual_seed(1)
    return (
        torch.rand(shape, generator=generator)
        if normalises(schema)
        else torch.randint(1, 8, shape, generator=generator)
    )


def imagenet(width: int = 64, classes: int = 1000, channels: int = 3) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's ResNet-18, from its published layer table."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, size: int) -> None:
        shapes.update({f"{name}.{part}": (size,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (width, channels, 7, 7)
    norm("bn1", width)
    before = width
    for stage in range(4):
        size = width * 2**stage
        for block in range(2):
            name = f"layer{stage + 1}.{block}"
            shapes[f"{name}.conv1.weight"] = (size, before, 3, 3)
            norm(f"{name}.bn1", size)
            shapes[f"{name}.conv2.weight"] = (size, size, 3, 3)
            norm(f"{name}.bn2", size)
            if before != size:
                shapes[f"{name}.downsample.0.weight"] = (size, before, 1, 1)
                norm(f"{name}.downsample.1", size)
            before = size
    return {**shapes, "fc.weight": (classes, before), "fc.bias": (classes,)}


@pytest.mark.parametrize(("name", "schema"), PAIRS)
def test_initial_weights_come_from_the_generator_alone(name: str, schema: Schema) -> None:
    before = torch.get_rng_state()
    one, same, other = (fresh(Architecture(name=name), schema, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    assert all(bool(torch.isfinite(value).all()) for value in one.values())


@pytest.mark.parametrize(("name", "schema"), PAIRS)
def test_answers_have_the_shape_of_the_schema(name: str, schema: Schema) -> None:
    network = fresh(Architecture(name=name), schema).eval()
    answers = network(sample(schema, 3))
    assert answers.shape == (3, *logits_shape(schema))
    assert answers.std() > 1e-3


def test_resnet18_has_torchvisions_names_and_shapes() -> None:
    schema = ImageSchema(classes=tuple(str(i) for i in range(1000)), channels=3, height=224, width=224)
    own = fresh(Architecture(name="resnet18"), schema).body.state_dict()
    assert {name: tuple(value.shape) for name, value in own.items()} == imagenet()
    assert sum(v.numel() for n, v in own.items() if "running" not in n and "tracked" not in n) == 11_689_512


@pytest.mark.parametrize(("side", "small", "kernel"), [(32, None, 3), (64, None, 3), (65, None, 7), (32, False, 7)])
def test_resnet18_stem_follows_the_image_unless_told(side: int, small: bool | None, kernel: int) -> None:
    schema = ImageSchema(classes=TWO, channels=3, height=side, width=side)
    network = fresh(Architecture(name="resnet18", parameters={"width": 4, "small_input": small}), schema)
    assert network.state_dict()["body.conv1.weight"].shape[2] == kernel


def test_small_networks_have_the_promised_size() -> None:
    cnn = sum(p.numel() for p in fresh(Architecture(name="cnn"), IMAGES).parameters())
    wide = TextSchema(width=128)
    gpt = sum(p.numel() for p in fresh(Architecture(name="gpt"), wide).parameters())
    assert 80_000 < cnn < 120_000
    assert 80_000 < gpt < LARGEST


def test_gpt_never_looks_ahead() -> None:
    network = fresh(Architecture(name="gpt"), TEXT).eval()
    ids = sample(TEXT, 1)
    changed = ids.clone()
    changed[0, 7] = (ids[0, 7] % 7) + 1
    a, b = network(ids), network(changed)
    torch.testing.assert_close(a[0, :7], b[0, :7])
    assert (a[0, 7:] - b[0, 7:]).abs().max() > 1e-5


def test_preprocessing_and_probabilities_are_applied() -> None:
    plain = fresh(Architecture(name="mlp"), IMAGES)
    stated = fresh(Architecture(name="mlp", mean=(0.4,), std=(0.25,)), IMAGES)
    soft = fresh(Architecture(name="mlp", outputs="probabilities"), IMAGES)
    x = sample(IMAGES, 4)
    torch.testing.assert_close(stated(x), plain((x - 0.4) / 0.25))
    torch.testing.assert_close(soft(x), plain(x).clamp_min(1e-12).log())


@pytest.mark.parametrize(
    ("architecture", "schema", "words"),
    [
        (Architecture(name="restnet18"), IMAGES, "did you mean resnet18"),
        (Architecture(name="cnn"), TABLE, "does not read tabular records; use mlp"),
        (Architecture(name="mlp"), TEXT, "does not read text records; use gpt"),
        (Architecture(name="mlp", mean=(0.1, 0.2), std=(1.0, 1.0)), IMAGES, "has 2 numbers"),
        (Architecture(name="gpt", parameters={"width": 10, "heads": 3}), TEXT, "not a multiple of twice the heads"),
        (Architecture(name="some.module:net"), IMAGES, "--allow-code"),
    ],
)
def test_bad_architectures_get_one_clear_line(architecture: Architecture, schema: Schema, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        fresh(architecture, schema)
    assert "\n" not in str(caught.value)


def test_bad_parameters_are_all_listed() -> None:
    with pytest.raises(Problems) as caught:
        fresh(Architecture(name="cnn", parameters={"hidden": 0, "depth": 3}), IMAGES)
    assert len(caught.value.problems) == 2


def test_the_users_factory_runs_only_when_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, width))"
    code = f"import torch\ndef net(width):\n    {body}\n"
    (tmp_path / "their_networks.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs = Architecture(name="their_networks:net", parameters={"width": 2})
    with pytest.raises(InputError, match="--allow-code"):
        fresh(theirs, IMAGES)
    assert "their_networks" not in sys.modules
    before = torch.get_rng_state()
    one, same, other = (fresh(theirs, IMAGES, seed, allow_code=True) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    weights = [n.state_dict()["body.1.weight"] for n in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    with pytest.raises(InputError, match="need an importable module:function"):
        fresh(Architecture(name="their_networks:absent"), IMAGES, allow_code=True)
    with pytest.raises(InputError, match="--allow-code"):
        load(dump(one, theirs, IMAGES))


def test_dump_and_load_keep_every_answer() -> None:
    architecture = Architecture(name="resnet18", parameters={"width": 8})
    network = fresh(architecture, IMAGES).eval()
    model = dump(network, architecture, IMAGES, {"seen": 1})
    loaded = load(model)
    x = sample(IMAGES, 2)
    torch.testing.assert_close(loaded(x), network(x), atol=1e-5, rtol=1e-5)
    assert load(model) is loaded
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    kinds = {np.dtype(w.dtype) for w in model.weights.values()}
    assert kinds == {np.dtype(np.float32), np.dtype(np.int64)}
